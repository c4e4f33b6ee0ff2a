"""What host preparation and our other files changed, put back from the record.

What was changed by others since then stays.
"""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.module_utils.provision_files import MARK
from ansible.module_utils.provision_host import Changes, Run, atomic_write, read, without_block
from ansible.module_utils.provision_kernel import normal, sysctl, sysctl_path
from ansible.module_utils.provision_record import digest
from ansible.module_utils.provision_swap import active_swaps
from ansible.module_utils.provision_swap_off import FSTAB_MARK, ZRAM_MARK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


# Ours by name and mark even where no record tells of them.
_FILES = (
    "etc/NetworkManager/conf.d/99-zz-provision.conf",
    "etc/apt/keyrings/provision-*.gpg",
    "etc/apt/preferences.d/provision-*",
    "etc/apt/sources.list.d/provision-*.sources",
    "etc/cloud/cloud.cfg.d/99-zz-provision.cfg",
    "etc/containerd/certs.d/*/hosts.toml",
    "etc/containerd/config.toml",
    "etc/crictl.yaml",
    "etc/modules-load.d/provision.conf",
    "etc/sysctl.d/99-zz-provision.conf",
    "etc/yum.repos.d/provision-*.repo",
    "usr/local/share/bash-completion/completions/k",
    "usr/local/share/bash-completion/completions/kubectl",
)
_FIRST_SYSCTL = "net.ipv4.ip_forward"  # the kernel resets others when this one changes


def restore_files(
    files: Mapping[str, Any],
    changes: Changes,
    *,
    root: Path,
    written: Mapping[str, str],
    marked: bool = True,
) -> None:
    """Put back, or remove, every file of `files`, the record's, and (`marked`) those that carry our mark.

    `written` are the digests of what we wrote last.
    """
    patterns = _FILES if marked else ()
    known = {str(path): None for pattern in patterns for path in root.glob(pattern) if _is_marked(path)}
    for name, was in sorted({**known, **files}.items()):
        _restore_file(Path(name), was, changes, root, written.get(name, ""))


def original(present: str, was: str | None) -> str | None:
    """What a file holds without our part; None if it was not there. `was` is its former text.

    A file in which nothing is ours any more comes back as it is.
    """
    if present.startswith((MARK, ZRAM_MARK)):
        return was
    text = without_block(present)
    text = "".join(line.removeprefix(FSTAB_MARK) for line in text.splitlines(keepends=True))
    if text == present:
        return present
    if was is None:
        return text or None
    # Only we may have added the last line's end.
    return was if text.rstrip("\n") == was.rstrip("\n") else text


def _is_marked(path: Path) -> bool:
    return path.suffix == ".gpg" or (read(path) or "").startswith(MARK)


def _restore_file(path: Path, was: dict[str, Any] | None, changes: Changes, root: Path, written: str) -> None:
    if path.is_symlink():
        if str(path.readlink()) == "/dev/null":
            changes.make(f"unmasked {path}", lambda: _put(path, was))
        return
    if not path.is_file():
        return
    if path.suffix == ".gpg":
        changes.make(f"removed {path}", path.unlink)
        return
    if path == root / "etc/hostname" or digest(read(path) or "") == written:
        after = was["text"] if was else None
    else:
        after = original(read(path) or "", was.get("text") if was else None)
    if after is None:
        changes.make(f"removed {path}", path.unlink, path=str(path), before=read(path) or "")
    elif was:
        changes.file(path, after, sentence=f"restored {path}", mode=was["mode"], owner=tuple(was["owner"]))
    else:
        changes.file(path, after, sentence=f"restored {path}")


def _put(path: Path, was: dict[str, Any] | None) -> None:
    path.unlink()
    if was and "link" in was:
        path.symlink_to(was["link"])
    elif was:
        atomic_write(path, was["text"], mode=was["mode"], owner=tuple(was["owner"]))


def remove_directories(names: Iterable[str], changes: Changes) -> None:
    """Remove the directories that we made, if they are empty; the deepest first."""
    for path in sorted(map(Path, names), reverse=True):
        if path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
            changes.make(f"removed {path}", path.rmdir)


def restore_sysctls(values: Mapping[str, str], changes: Changes, *, root: Path) -> None:
    """Set kernel parameters to what they were; one that is gone with its module or interface is left out."""
    for name in sorted(values, key=lambda name: (name != _FIRST_SYSCTL, name)):
        path, value = Path(sysctl_path(root, name)), values[name]
        now = sysctl(root, name)
        if not path.exists() or now == normal(value):
            continue

        def effect(path: Path = path, value: str = value) -> None:
            with contextlib.suppress(OSError):  # in a container, read-only: it was not us who changed it
                path.write_text(value + "\n", encoding="utf-8")

        changes.make(f"set sysctl {name}={value} (was {now})", effect)


def restore_hostname(
    was: str,
    changes: Changes,
    *,
    current: Callable[[], str] = socket.gethostname,
    tell_kernel: Callable[[str], None] = socket.sethostname,
) -> None:
    """Give the kernel the former name; "" where we did not change it."""
    if was and current() != was:
        changes.make(f"set the host name: {was} (was {current()})", lambda: tell_kernel(was))


def restore_swap(
    swaps: Iterable[str], units: Iterable[str], changes: Changes, *, root: Path, run: Run
) -> None:
    """Turn on what was on; `units` are those that were masked. What cannot be turned on is reported, and no error."""
    missing = [path for path in swaps if path not in active_swaps(root)]
    if not missing:
        return

    def effect() -> None:
        run(["swapon", "--all"], check=False)
        for unit in units:
            run(["systemctl", "start", unit], check=False)
        for path in missing:
            if path not in active_swaps(root):
                run(["systemctl", "start", f"{_escaped(path)}.swap"], check=False)
            if path not in active_swaps(root):
                run(["swapon", "--", path], check=False)

    changes.make(f"turned swap on: {', '.join(missing)}", effect)
    off = [] if changes.dry else [path for path in missing if path not in active_swaps(root)]
    if off:
        changes.make(f"could not turn swap on again, left off: {', '.join(off)}", lambda: None)


def _escaped(path: str) -> str:
    """As `systemd-escape --path` does, as far as names of devices and files go."""
    return path.strip("/").replace("-", "\\x2d").replace("/", "-")
