"""Load balancers for the API servers: haproxy, and keepalived for a virtual address, under units of ours."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ansible.module_utils.provision_balancer import KEEPALIVED, KINDS, Service, written
from ansible.module_utils.provision_host import RUN_DIRECTORY, Changes, HostError, Run, run
from ansible.module_utils.provision_module import run_module
from ansible.module_utils.provision_packages import manager, note_before
from ansible.module_utils.provision_redhat import allow

DOCUMENTATION = r"""
module: api_balancer
short_description: Balance the API servers on this host
description:
  - Installs haproxy from the distribution's own repositories, and runs it under a unit of our own beside any other
    haproxy of the host. It passes TCP on to the API servers that say that they are ready.
  - C(local) listens on 127.0.0.1. C(vip) listens on a virtual address that keepalived, likewise a unit of our own,
    gives to one of the hosts, each configured with the others; where haproxy stops, the address goes to another host.
  - Units and configurations of kinds that are C(gone) are removed; packages that were installed for them stay.
options:
  kind: {description: What is wanted here, type: str, choices: [none, local, vip], required: true}
  gone: {description: "Kinds that are removed, C(local) or C(vip)", type: list, elements: str, required: true}
  port: {description: Port to listen on, type: int, required: true}
  backends: {description: "API servers, each `name`, `address`, `port`", type: list, elements: dict, required: true}
  name: {description: This host's own name among the backends, type: str, required: true}
  vip: {description: The virtual address, type: str, default: ""}
  interface: {description: The interface that gets it, type: str, default: ""}
  source: {description: The host's own address on that interface, type: str, default: ""}
author: provision
"""

_ANSWER = 20  # seconds for a unit to run


def provide(
    wanted: dict[str, Any],
    changes: Changes,
    *,
    root: Path = Path("/"),
    run: Run = run,
    pending_directory: Path = RUN_DIRECTORY,
) -> None:
    for kind in wanted["gone"]:
        for service in reversed(KINDS[kind]):
            _remove(service, changes, root, run)
    services = [written(service, wanted) for service in KINDS.get(wanted["kind"], ())]
    for service in services:
        if not (root / "usr/sbin" / service.package).exists():
            changes.make(
                f"installed {service.package}", lambda one=service: _install(one, changes, root, run)
            )
    if services:
        allow("haproxy_connect_any", root, run, changes)  # also to listen on any port
    # What a plan looks at, haproxy's configuration, comes last.
    for service in reversed(services):
        _write(service, changes, root, pending_directory)
    for service in services:
        pending = _pending(service, pending_directory)
        if pending.exists() and service.package == KEEPALIVED:
            _test(service, run)
        _ensure_running(service.unit, changes, run, reload=pending.exists())
        pending.unlink(missing_ok=True)


def _pending(service: Service, directory: Path) -> Path:
    """A file that is there until the unit has read what was written: a run may be cut off in between."""
    return directory / f"reload-{service.unit}"


def _write(service: Service, changes: Changes, root: Path, pending_directory: Path) -> None:
    if not changes.dry and _differs(service, root):
        pending_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _pending(service, pending_directory).touch()
    for path, text in reversed(service.files):
        changes.file(root / path, text, mode=0o644)


def _test(service: Service, run: Run) -> None:
    """By itself keepalived goes on without what it does not understand."""
    argv = ["keepalived", "--config-test", "--vrrp", f"--use-file=/{service.configuration}"]
    tested = run(argv, check=False)
    if tested.status != 0:
        lines = tested.last_lines()
        raise HostError(f"keepalived refuses /{service.configuration}", command=argv, lines=lines)


def _differs(service: Service, root: Path) -> bool:
    plan = Changes(dry=True)
    for path, text in service.files:
        plan.file(root / path, text, mode=0o644)
    return bool(plan.sentences)


def _install(service: Service, changes: Changes, root: Path, run: Run) -> None:
    """From the distribution's repositories; its own unit, which would listen for nothing, does not run."""
    package = service.package
    if changes.record is not None:
        note_before(package, [package], changes.record, root, run=run)
    try:
        manager(root).install_own([package], root=root, run=run)
    except HostError as error:
        raise HostError(
            f"{package} cannot be installed from the host's own package repositories: {error.message}",
            command=error.command.split(),
            lines=error.lines,
        ) from error
    run(["systemctl", "disable", "--now", "--quiet", f"{package}.service"])


def _ensure_running(unit: str, changes: Changes, run: Run, *, reload: bool) -> None:
    if reload:
        run(["systemctl", "daemon-reload"])
    if run(["systemctl", "is-enabled", "--quiet", unit], check=False).status != 0:
        changes.make(f"enabled {unit}", lambda: run(["systemctl", "enable", "--quiet", unit]))
    if run(["systemctl", "is-active", "--quiet", unit], check=False).status != 0:
        changes.make(f"started {unit}", lambda: _start(unit, run))
    elif reload:
        changes.make(f"reloaded {unit}", lambda: run(["systemctl", "reload", unit]))


def _start(unit: str, run: Run) -> None:
    try:
        run(["systemctl", "restart", unit], timeout=120)
    except HostError as error:
        lines = run(["journalctl", f"--unit={unit}", "--lines=8", "--no-pager", "--output=cat"], check=False)
        raise HostError(f"{unit} does not start: {error.message}", lines=lines.last_lines()) from error
    deadline = time.monotonic() + _ANSWER
    while run(["systemctl", "is-active", "--quiet", unit], check=False).status != 0:
        if time.monotonic() > deadline:
            raise HostError(f"{unit} is not active after {_ANSWER} s")
        time.sleep(0.5)


def _remove(service: Service, changes: Changes, root: Path, run: Run) -> None:
    if (root / service.unit_file).exists():
        changes.make(
            f"stopped {service.unit}",
            lambda: run(["systemctl", "disable", "--now", "--quiet", service.unit]),
        )
    for path, _ in reversed(service.files):
        if (root / path).exists():
            changes.make(f"removed {root / path}", (root / path).unlink)


if __name__ == "__main__":
    text = {"type": "str", "default": ""}
    run_module(
        {
            "kind": {"type": "str", "choices": ["none", *KINDS], "required": True},
            "gone": {"type": "list", "elements": "str", "required": True},
            "port": {"type": "int", "required": True},
            "backends": {"type": "list", "elements": "dict", "required": True},
            "name": {"type": "str", "required": True},
            "vip": text,
            "interface": text,
            "source": text,
        },
        provide,
    )
