"""The load balancers of ours: units, and what haproxy and keepalived are to read."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from ansible.module_utils.provision_http import bracketed

HAPROXY, KEEPALIVED = "haproxy", "keepalived"

# The time-outs of the ends are long because a watch of the API may be silent for an hour; a dead peer is found by
# keep-alives. A connection to a server that is not ready any more is closed, so that clients go to another one.
# New connections find another server at once where one refuses. `checks`: a balancer of every node asks less often
# than the few of a virtual address, for API servers make a TLS connection for each of these questions.
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
    default-server check check-ssl verify none {checks} fall 3 rise 2 on-marked-down shutdown-sessions
{servers}"""
_CHECKS = {"local": "inter 15s fastinter 2s downinter 5s", "vip": "inter 3s"}
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
# of the network, and accept no other sender. The address stays where the API server is ill: haproxy passes on.
_KEEPALIVED_TEXT = """\
! Written by provision.
global_defs {{
    router_id {name}
    vrrp_check_unicast_src
    vrrp_garp_master_refresh 60
}}

vrrp_instance provision {{
    interface {interface}
    state BACKUP
    nopreempt
    priority 100
    virtual_router_id {router}
    advert_int 1
{unicast}    virtual_ipaddress {{
        {vip}/32
    }}
}}
"""
_UNICAST = """\
    unicast_src_ip {source}
    unicast_peer {{
{peers}    }}
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
    "local": (Service("provision-api.service", HAPROXY, Path("etc/haproxy/provision-api.cfg")),),
    "vip": (
        Service("provision-vip-api.service", HAPROXY, Path("etc/haproxy/provision-vip-api.cfg")),
        Service("provision-vip.service", KEEPALIVED, Path("etc/keepalived/provision-vip.conf")),
    ),
}


def written(service: Service, wanted: dict[str, Any]) -> Service:
    """The service with its texts; backends in an order of their own, so that these do not change with the file's.

    `wanted` are the parameters of the module api_balancer.
    """
    file, unit = f"/{service.configuration}", service.unit.partition(".")[0]
    backends = sorted(wanted["backends"], key=lambda one: str(one["name"]))
    if service.package == KEEPALIVED:
        return service._replace(
            text=_keepalived(backends, wanted),
            unit_text=_KEEPALIVED_UNIT.format(file=file, unit=unit, balancer=KINDS["vip"][0].unit),
        )
    port = wanted["port"]
    # Transparent: it listens before the address is there.
    bind = f"{wanted['vip']}:{port} transparent" if wanted["kind"] == "vip" else f"127.0.0.1:{port}"
    servers = [f"    server {one['name']} {bracketed(one['address'])}:{one['port']}\n" for one in backends]
    return service._replace(
        text=_HAPROXY_TEXT.format(bind=bind, checks=_CHECKS[wanted["kind"]], servers="".join(servers)),
        unit_text=_HAPROXY_UNIT.format(file=file, unit=unit),
    )


def _keepalived(backends: list[dict[str, Any]], wanted: dict[str, Any]) -> str:
    peers = "".join(f"        {one['address']}\n" for one in backends if one["name"] != wanted["name"])
    # Without a peer there is no unicast: one that is alone announces to the network.
    unicast = _UNICAST.format(source=wanted["source"], peers=peers) if peers else ""
    return _KEEPALIVED_TEXT.format(
        **{key: wanted[key] for key in ("name", "interface", "vip")},
        router=int(wanted["vip"].rpartition(".")[2]) or 255,
        unicast=unicast,
    )
