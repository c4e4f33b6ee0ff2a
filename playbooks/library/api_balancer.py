"""The load balancer that a node reaches every API server through: haproxy of the distribution, as a unit of ours."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.module_utils.provision_apt import LOCK_TIMEOUT, install_own
from ansible.module_utils.provision_host import RUN_DIRECTORY, Changes, Completed, HostError, run
from ansible.module_utils.provision_module import run_module
from ansible.module_utils.provision_packages import note_before

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., Completed]

DOCUMENTATION = r"""
module: api_balancer
short_description: Balance the API servers on this host
description:
  - Installs haproxy from the distribution's own repositories, and runs it under a unit of our own beside any other
    haproxy of the host. It passes TCP on to the API servers that say that they are ready.
  - Without backends the unit and its configuration are removed; a package that was installed for it stays.
options:
  port: {description: Port on 127.0.0.1, type: int, required: true}
  backends: {description: "API servers, each `name`, `address`, `port`", type: list, elements: dict, required: true}
author: provision
"""

_PROGRAM = Path("usr/sbin/haproxy")
_CONFIGURATION = Path(
    "etc/haproxy/provision-api.cfg"
)  # Debian's AppArmor profile lets haproxy read this directory
_UNIT = "provision-api.service"
_UNIT_FILE = Path("etc/systemd/system") / _UNIT
_ANSWER = 20  # seconds for the unit to run

# The time-outs of the ends are long because a watch of the API may be silent for an hour; a dead peer is found by
# keep-alives. A connection to a server that is not ready any more is closed, so that clients go to another one.
_TEXT = """\
# Written by provision.
global
    log /dev/log local0 warning
    maxconn 2000
    user haproxy
    group haproxy

defaults
    mode tcp
    log global
    option clitcpka
    option srvtcpka
    timeout connect 4s
    timeout client 2h
    timeout server 2h
    timeout check 4s
    retries 2
    option redispatch

frontend api
    bind 127.0.0.1:{port}
    default_backend servers

backend servers
    balance leastconn
    option httpchk GET /readyz
    http-check expect status 200
    default-server check check-ssl verify none inter 3s fall 3 rise 2 on-marked-down shutdown-sessions
{servers}"""
_UNIT_TEXT = """\
# Written by provision.
[Unit]
Description=Load balancer for the Kubernetes API server, by provision
After=network-online.target
Wants=network-online.target
Before=kubelet.service

[Service]
Type=notify
ExecStartPre=/usr/sbin/haproxy -f /etc/haproxy/provision-api.cfg -c -q
ExecStart=/usr/sbin/haproxy -Ws -f /etc/haproxy/provision-api.cfg -p /run/provision-api.pid
ExecReload=/usr/sbin/haproxy -f /etc/haproxy/provision-api.cfg -c -q
ExecReload=/bin/kill -USR2 $MAINPID
KillMode=mixed
Restart=always
RestartSec=2
SuccessExitStatus=143

[Install]
WantedBy=multi-user.target
"""


def provide(
    wanted: dict[str, Any],
    changes: Changes,
    *,
    root: Path = Path("/"),
    run: Run = run,
    pending_directory: Path = RUN_DIRECTORY,
) -> None:
    """Bring the load balancer to what the parameters ask for."""
    if not wanted["backends"]:
        _remove(changes, root, run)
        return
    if not (root / _PROGRAM).exists():
        changes.make("installed haproxy", lambda: _install(changes, root, run))
    # An earlier run may have been cut off between the file and the reload.
    pending = pending_directory / f"reload-{_UNIT}"
    if not changes.dry and _differs(wanted, root):
        pending.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        pending.touch()
    changes.file(root / _CONFIGURATION, configuration(wanted), mode=0o644)
    changes.file(root / _UNIT_FILE, _UNIT_TEXT, mode=0o644)
    _ensure_running(changes, run, reload=pending.exists())
    pending.unlink(missing_ok=True)


def configuration(wanted: dict[str, Any]) -> str:
    """What haproxy reads; backends in an order of their own, so that it does not change with the file's."""
    lines = [
        f"    server {one['name']} {_host(one['address'])}:{one['port']}\n"
        for one in sorted(wanted["backends"], key=lambda one: str(one["name"]))
    ]
    return _TEXT.format(port=wanted["port"], servers="".join(lines))


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _differs(wanted: dict[str, Any], root: Path) -> bool:
    plan = Changes(dry=True)
    plan.file(root / _CONFIGURATION, configuration(wanted), mode=0o644)
    plan.file(root / _UNIT_FILE, _UNIT_TEXT, mode=0o644)
    return bool(plan.sentences)


def _install(changes: Changes, root: Path, run: Run) -> None:
    """From the distribution's repositories; its own unit, which would listen for nothing, does not run."""
    if changes.record is not None:
        note_before("haproxy", ["haproxy"], changes.record, root)
    try:
        install_own(["haproxy"], lock_timeout=LOCK_TIMEOUT, run=run)
    except HostError as error:
        raise HostError(
            f"haproxy cannot be installed from the host's own package repositories: {error.message}",
            command=error.command.split(),
            lines=error.lines,
        ) from error
    run(["systemctl", "disable", "--now", "--quiet", "haproxy.service"])


def _ensure_running(changes: Changes, run: Run, *, reload: bool) -> None:
    if reload:
        run(["systemctl", "daemon-reload"])
    if run(["systemctl", "is-enabled", "--quiet", _UNIT], check=False).status != 0:
        changes.make(f"enabled {_UNIT}", lambda: run(["systemctl", "enable", "--quiet", _UNIT]))
    if run(["systemctl", "is-active", "--quiet", _UNIT], check=False).status != 0:
        changes.make(f"started {_UNIT}", lambda: _start(run))
    elif reload:
        changes.make(f"reloaded {_UNIT}", lambda: run(["systemctl", "reload", _UNIT]))


def _start(run: Run) -> None:
    try:
        run(["systemctl", "restart", _UNIT], timeout=120)
    except HostError as error:
        lines = run(["journalctl", f"--unit={_UNIT}", "--lines=8", "--no-pager", "--output=cat"], check=False)
        raise HostError(f"{_UNIT} does not start: {error.message}", lines=lines.last_lines()) from error
    deadline = time.monotonic() + _ANSWER
    while run(["systemctl", "is-active", "--quiet", _UNIT], check=False).status != 0:
        if time.monotonic() > deadline:
            raise HostError(f"{_UNIT} is not active after {_ANSWER} s")
        time.sleep(0.5)


def _remove(changes: Changes, root: Path, run: Run) -> None:
    if (root / _UNIT_FILE).exists():
        changes.make(f"stopped {_UNIT}", lambda: run(["systemctl", "disable", "--now", "--quiet", _UNIT]))
    for path in (root / _UNIT_FILE, root / _CONFIGURATION):
        if path.exists():
            changes.make(f"removed {path}", path.unlink)


def main() -> None:
    run_module(
        {
            "port": {"type": "int", "required": True},
            "backends": {"type": "list", "elements": "dict", "required": True},
        },
        provide,
    )


if __name__ == "__main__":
    main()
