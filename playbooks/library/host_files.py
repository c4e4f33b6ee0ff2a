"""Several files with given content in one round trip, and the services that have to know of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible.module_utils.provision_files import MARK
from ansible.module_utils.provision_host import (
    RUN_DIRECTORY,
    Changes,
    HostError,
    Run,
    read,
    run,
    user_entry,
    with_block,
)
from ansible.module_utils.provision_module import run_module

DOCUMENTATION = r"""
module: host_files
short_description: Write files and restart what reads them
description:
  - Writes each file whole, or only a marked block in it, or only some keys of a JSON file. Removes our files that are
    no longer wanted. New unit files are made known to systemd.
  - A unit is enabled and started. It is restarted when a file changed, also if an earlier run was interrupted
    between the two. A unit that is not installed yet is left to its package.
options:
  files:
    description: The files
    type: list
    elements: dict
    required: true
    suboptions:
      path: {description: Absolute path, or C(~user/...), type: str, required: true}
      content: {description: Content of the file or of the block, type: str, required: true}
      mode: {description: "Octal mode; empty: as it is, or 0644", type: str, default: ""}
      owner: {description: "User; empty: as it is, or root", type: str, default: ""}
      block: {description: Keep the rest of the file and write a marked block, type: bool, default: false}
      json:
        description:
          - The content is a JSON object; other keys of the file stay.
          - Of lists, too, unless an item C(name=value) has another value.
        type: bool
        default: false
  prune:
    description: Directories below which a file of ours that is not in O(files) is removed
    type: list
    elements: str
    default: []
  units: {description: Services that read the files, type: list, elements: str, default: []}
author: provision
"""


def provide(
    wanted: dict[str, Any],
    changes: Changes,
    *,
    root: Path = Path("/"),
    run: Run = run,
    pending_directory: Path = RUN_DIRECTORY,
) -> None:
    plan = Changes(dry=True)
    _write(wanted, plan, root)
    pending = [pending_directory / f"restart-{unit}" for unit in wanted["units"]]
    if plan.sentences and not changes.dry:
        for path in pending:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch()
    _write(wanted, changes, root)
    if not changes.dry and any(path.exists() for path in pending) and _has_units(wanted):
        run(["systemctl", "daemon-reload"])
    for unit, path in zip(wanted["units"], pending):
        _ensure_unit(unit, changes, run, restart=bool(plan.sentences) or path.exists())
        if not changes.dry:
            path.unlink(missing_ok=True)


def _write(wanted: dict[str, Any], changes: Changes, root: Path) -> None:
    written = set()
    for file in wanted["files"]:
        path = _path(file["path"], root)
        written.add(path)
        content = file["content"]
        if file["block"]:
            content = with_block(path, content)
        elif file.get("json"):
            content = _with_keys(path, content)
        changes.file(
            path,
            content,
            mode=int(file["mode"], 8) if file["mode"] else None,
            owner=_owner(file["owner"]),
        )
    for directory in wanted["prune"]:
        for path in sorted((root / directory.lstrip("/")).rglob("*")):
            if path not in written and path.is_file() and (read(path) or "").startswith(MARK):
                changes.make(f"removed {path}", path.unlink, path=str(path), before=read(path) or "")


def _has_units(wanted: dict[str, Any]) -> bool:
    return any(file["path"].startswith("/etc/systemd/system/") for file in wanted["files"])


def _with_keys(path: Path, content: str) -> str:
    """The text of a JSON file with the keys of `content` in it; as it is, if it has them."""
    text = read(path) or "{}"
    try:
        present = json.loads(text)
    except ValueError as error:
        raise HostError(f"{path} is no valid JSON: {error}") from error
    if not isinstance(present, dict):
        raise HostError(f"{path} holds no JSON object")
    merged = _merged(present, json.loads(content))
    return text if merged == present else json.dumps(merged, indent=4) + "\n"


def _merged(present: Any, wanted: Any) -> Any:
    if isinstance(present, dict) and isinstance(wanted, dict):
        return {**present, **{key: _merged(present.get(key), value) for key, value in wanted.items()}}
    if isinstance(present, list) and isinstance(wanted, list):
        names = {str(item).partition("=")[0] for item in wanted if "=" in str(item)}
        others = [item for item in present if str(item).partition("=")[0] not in names and item not in wanted]
        return present if all(item in present for item in wanted) else [*others, *wanted]
    return wanted


def _ensure_unit(unit: str, changes: Changes, run: Run, *, restart: bool) -> None:
    shown = run(["systemctl", "show", "--property=LoadState,ActiveState,UnitFileState", unit]).out
    state = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    if state.get("LoadState") == "not-found":
        return
    if state.get("LoadState") == "masked":
        raise HostError(f"{unit} is masked: `systemctl unmask {unit}` gives it back")
    enabled, active = state.get("UnitFileState") == "enabled", state.get("ActiveState") == "active"
    is_right = active and not restart and state.get("UnitFileState") != "disabled"
    if changes.record is not None and not changes.dry and not is_right:
        changes.record.note("units", unit, {"enabled": enabled, "active": active})
    if state.get("UnitFileState") == "disabled":
        changes.make(f"enabled {unit}", lambda: run(["systemctl", "enable", "--quiet", unit]))
    if restart or state.get("ActiveState") != "active":
        verb = "restarted" if state.get("ActiveState") == "active" else "started"
        changes.make(f"{verb} {unit}", lambda: _restart(unit, run))


def _restart(unit: str, run: Run) -> None:
    done = run(["systemctl", "restart", unit], timeout=120, check=False)
    if done.status != 0:
        journal = run(["journalctl", "--unit", unit, "--lines=12", "--no-pager", "--output=cat"], check=False)
        raise HostError(f"{unit} does not start", command=done.argv, lines=journal.last_lines())


def _path(name: str, root: Path) -> Path:
    if not name.startswith("~"):
        return root / name.lstrip("/")
    user, _, rest = name[1:].partition("/")
    home: str = user_entry(user or "root").pw_dir
    # A user's dotfiles may be links into a repository; the file behind the link is what changes.
    return (root / home.lstrip("/") / rest).resolve()


def _owner(user: str) -> tuple[int, int] | None:
    if not user:
        return None
    entry = user_entry(user)
    return entry.pw_uid, entry.pw_gid


if __name__ == "__main__":
    run_module(
        {
            "files": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "path": {"type": "str", "required": True},
                    "content": {"type": "str", "required": True},
                    "mode": {"type": "str", "default": ""},
                    "owner": {"type": "str", "default": ""},
                    "block": {"type": "bool", "default": False},
                    "json": {"type": "bool", "default": False},
                },
            },
            "prune": {"type": "list", "elements": "str", "default": []},
            "units": {"type": "list", "elements": "str", "default": []},
        },
        provide,
    )
