"""Load balancers for the API servers: haproxy, and keepalived for a virtual address, under units of ours."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

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
  - C(local) listens on 127.0.0.1. C(vip) listens on a virtual address that keepalived, likewise a unit of our own,
    gives to one of the hosts, which are told of each other; where haproxy stops, the address goes to another host.
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

_HAPROXY, _KEEPALIVED = "haproxy", "keepalived"
_ANSWER = 20  # seconds for a unit to run

# The time-outs of the ends are long because a watch of the API may be silent for an hour; a dead peer is found by
# keep-alives. A connection to a server that is not ready any more is closed, so that clients go to another one.
_HAPROXY_TEXT = """\
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
    bind {bind}
    default_backend servers

backend servers
    balance leastconn
    option httpchk GET /readyz
    http-check expect status 200
    default-server check check-ssl verify none inter 3s fall 3 rise 2 on-marked-down shutdown-sessions
{servers}"""
_HAPROXY_UNIT = """\
# Written by provision.
[Unit]
Description=Load balancer for the Kubernetes API server, by provision
After=network-online.target
Wants=network-online.target
Before=kubelet.service

[Service]
Type=notify
ExecStartPre=/usr/sbin/haproxy -f {file} -c -q
ExecStart=/usr/sbin/haproxy -Ws -f {file} -p /run/{unit}.pid
ExecReload=/usr/sbin/haproxy -f {file} -c -q
ExecReload=/bin/kill -USR2 $MAINPID
KillMode=mixed
Restart=always
RestartSec=2
SuccessExitStatus=143

[Install]
WantedBy=multi-user.target
"""
# All are equal and none takes the address back from another. They tell each other by unicast, which needs no multicast
# of the network. The address stays where the API server is ill: haproxy passes on to the others.
_KEEPALIVED_TEXT = """\
! Written by provision.
global_defs {{
    router_id {name}
    vrrp_garp_master_refresh 60
}}

vrrp_instance provision {{
    interface {interface}
    state BACKUP
    nopreempt
    priority 100
    virtual_router_id {router}
    advert_int 1
    unicast_src_ip {source}
    unicast_peer {{
{peers}    }}
    virtual_ipaddress {{
        {vip}/32
    }}
}}
"""
# Bound to the load balancer: where that stops, the address goes; it comes back with it.
_KEEPALIVED_UNIT = """\
# Written by provision.
[Unit]
Description=Virtual address of the Kubernetes API server, by provision
After=network-online.target {balancer}
Wants=network-online.target
BindsTo={balancer}

[Service]
ExecStart=/usr/sbin/keepalived --dont-fork --vrrp -f {file} --pid=/run/{unit}.pid --vrrp_pid=/run/{unit}-vrrp.pid
ExecReload=/bin/kill -HUP $MAINPID
KillMode=mixed
Restart=always
RestartSec=2

[Install]
WantedBy=multi-user.target {balancer}
"""


class Service(NamedTuple):
    """A unit of ours: the program of the package of that name, and what it is to read."""

    unit: str
    package: str
    configuration: Path
    text: str = ""
    unit_text: str = ""

    @property
    def unit_file(self) -> Path:
        return Path("etc/systemd/system") / self.unit

    @property
    def files(self) -> tuple[tuple[Path, str], ...]:
        return (self.configuration, self.text), (self.unit_file, self.unit_text)


# Debian's AppArmor profile lets haproxy read its own directory. In the order in which they start.
KINDS = {
    "local": (Service("provision-api.service", _HAPROXY, Path("etc/haproxy/provision-api.cfg")),),
    "vip": (
        Service("provision-vip-api.service", _HAPROXY, Path("etc/haproxy/provision-vip-api.cfg")),
        Service("provision-vip.service", _KEEPALIVED, Path("etc/keepalived/provision-vip.conf")),
    ),
}


def provide(
    wanted: dict[str, Any],
    changes: Changes,
    *,
    root: Path = Path("/"),
    run: Run = run,
    pending_directory: Path = RUN_DIRECTORY,
) -> None:
    """Bring the load balancers to what the parameters ask for."""
    for kind in wanted["gone"]:
        for service in reversed(KINDS[kind]):
            _remove(service, changes, root, run)
    services = [_written(service, wanted) for service in KINDS.get(wanted["kind"], ())]
    for service in services:
        if not (root / "usr/sbin" / service.package).exists():
            changes.make(
                f"installed {service.package}", lambda one=service: _install(one, changes, root, run)
            )
    # What a plan looks at, haproxy's configuration, comes last.
    for service in reversed(services):
        _write(service, changes, root, pending_directory)
    for service in services:
        pending = _pending(service, pending_directory)
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


def _written(service: Service, wanted: dict[str, Any]) -> Service:
    """The service with its texts; backends in an order of their own, so that these do not change with the file's."""
    file, unit = f"/{service.configuration}", service.unit.partition(".")[0]
    backends = sorted(wanted["backends"], key=lambda one: str(one["name"]))
    if service.package == _KEEPALIVED:
        peers = [_resolved(one["address"]) for one in backends if one["name"] != wanted["name"]]
        text = _KEEPALIVED_TEXT.format(
            **{key: wanted[key] for key in ("name", "interface", "source", "vip")},
            router=int(wanted["vip"].rpartition(".")[2]) or 255,
            peers="".join(f"        {peer}\n" for peer in peers),
        )
        balancer = KINDS["vip"][0].unit
        return service._replace(
            text=text, unit_text=_KEEPALIVED_UNIT.format(file=file, unit=unit, balancer=balancer)
        )
    port = wanted["port"]
    # Transparent: it listens before the address is there.
    bind = f"{wanted['vip']}:{port} transparent" if wanted["kind"] == "vip" else f"127.0.0.1:{port}"
    servers = [f"    server {one['name']} {_host(one['address'])}:{one['port']}\n" for one in backends]
    return service._replace(
        text=_HAPROXY_TEXT.format(bind=bind, servers="".join(servers)),
        unit_text=_HAPROXY_UNIT.format(file=file, unit=unit),
    )


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _resolved(address: str) -> str:
    """The IPv4 address of a host: keepalived takes no names."""
    try:
        return str(socket.getaddrinfo(address, None, socket.AF_INET, socket.SOCK_STREAM)[0][4][0])
    except OSError as error:
        raise HostError(
            f"the name {address} of a control plane cannot be resolved: {error.strerror}"
        ) from error


def _differs(service: Service, root: Path) -> bool:
    plan = Changes(dry=True)
    for path, text in service.files:
        plan.file(root / path, text, mode=0o644)
    return bool(plan.sentences)


def _install(service: Service, changes: Changes, root: Path, run: Run) -> None:
    """From the distribution's repositories; its own unit, which would listen for nothing, does not run."""
    package = service.package
    if changes.record is not None:
        note_before(package, [package], changes.record, root)
    try:
        install_own([package], lock_timeout=LOCK_TIMEOUT, run=run)
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


def main() -> None:
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


if __name__ == "__main__":
    main()
