"""What the hosts' own firewalls have to let through, computed from the cluster alone, and the step that opens them.

Every host opens for the members only, and a control plane also for those who use the API. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from provision.model.plan import Reason
from provision.model.units import counted, enumerated, is_ip
from provision.providers.kubeadm.steps import role_vars
from provision.providers.kubeadm.steps.context import step

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from provision.model.cluster import Cluster, Host
    from provision.model.plan import PlaybookStep
    from provision.providers.kubeadm.facts.host import HostFacts, Observation
    from provision.providers.kubeadm.steps.context import PlanContext

NODE_PORTS = "30000-32767"
_MEMBERS, _PLANES = "members", "control_planes"
_IPIP, _VRRP = "4", "112"  # numbers of protocols


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """Ports of a protocol, or (no port) a protocol by its number, that addresses and ranges may reach.

    `group`: hosts that are all among the sources, "members" or "control_planes"; "" for none.
    """

    protocol: str
    ports: tuple[str, ...]
    sources: tuple[str, ...]
    group: str = ""

    @property
    def shown(self) -> str:
        names = {_IPIP: "IP-in-IP", _VRRP: "VRRP"}
        return ", ".join(f"{port}/{self.protocol}" for port in self.ports) or names[self.protocol]


def openings(
    cluster: Cluster, host: Host, addresses: Mapping[str, Iterable[str]], controller: str, *, wireguard: bool
) -> Iterator[Opening]:
    """Everything that a host has to let in; `addresses` are those of every member by its name.

    https://kubernetes.io/docs/reference/networking/ports-and-protocols/ and
    https://docs.tigera.io/calico/latest/getting-started/kubernetes/requirements. The controller manager and the
    scheduler listen on the loopback interface only, Typha is not deployed.
    """
    members = [address for one in cluster.hosts for address in addresses.get(one.name, ())]
    planes = [address for one in cluster.control_planes for address in addresses.get(one.name, ())]
    pods = cluster.network.pod_cidr
    encapsulation = cluster.network.encapsulation
    yield _opening("tcp", ["10250"], [*members, pods], _MEMBERS)  # kubelets: the API server's calls, metrics
    if host.role == "control-plane":
        clients = cluster.firewall.api_from or ((controller,) if controller else ())
        ports = [str(role_vars.API_PORT)]
        if role_vars.balancer(cluster, host) == "vip":
            ports.append(str(role_vars.BALANCER_PORT))
            yield _opening(_VRRP, [], planes, _PLANES)
        name = role_vars.endpoint_host(cluster)
        balancer = [name] if is_ip(name) and not ip_address(name).is_loopback else []
        yield _opening("tcp", ports, [*members, pods, *balancer, *clients], _MEMBERS)
        yield _opening("tcp", ["2379-2380"], planes, _PLANES)
    if encapsulation.startswith("vxlan"):
        yield _opening("udp", ["4789"], members, _MEMBERS)
    else:
        yield _opening("tcp", ["179"], members, _MEMBERS)  # BGP
        if encapsulation.startswith("ipip"):
            yield _opening(_IPIP, [], members, _MEMBERS)
    if wireguard:  # switched on in Calico by the cluster's owner
        yield _opening("udp", ["51820-51821"], members, _MEMBERS)
    if cluster.firewall.node_ports_from:
        for protocol in ("tcp", "udp"):
            yield _opening(protocol, [NODE_PORTS], cluster.firewall.node_ports_from)


def _opening(protocol: str, ports: list[str], sources: Iterable[str], group: str = "") -> Opening:
    return Opening(protocol=protocol, ports=tuple(ports), sources=distinct(sources), group=group)


def distinct(sources: Iterable[str]) -> tuple[str, ...]:
    """The sources without those that another one holds: sets of firewalls refuse overlapping ranges."""
    found = {text: ip_network(text, strict=False) for text in sources}
    ranges = [network for network in found.values() if network.num_addresses > 1]  # the others hold nothing
    return tuple(
        text
        for text, network in found.items()
        if not any(
            other != network and other.version == network.version and network.subnet_of(other)  # type: ignore[arg-type]
            for other in ranges
        )
    )


def open_firewall(context: PlanContext) -> Iterator[PlaybookStep]:
    """Firewalls that let members not through, or let through what has left."""
    cluster, observation = context.cluster, context.firewall_observation
    leaving = context.leaving
    if not context.joins and leaving is not None:
        gone = {*leaving.delete, *leaving.reset}
        hosts = tuple(host for host in leaving.cluster.hosts if host.name not in gone)
        cluster = leaving.cluster.model_copy(update={"hosts": hosts})
        observation = leaving.observation
        if not leaving.delete:
            return
    if context.reset is not None or not cluster.firewall.managed:
        return
    guarded = hosts_with_firewall(cluster, observation)
    known = addresses(cluster, observation) if guarded else {}
    wanted = {
        host.name: variables
        for host, facts in observation.observed(cluster.hosts)
        if (variables := _wanted(cluster, host, facts, guarded, known))
    }
    yield from step(
        reasons=tuple(
            Reason(name, why)
            for name, variables in wanted.items()
            for why in _reasons(cluster, observation.hosts[name], variables)
        ),
        host_variables={
            name: {f"host_firewall_{key}": value for key, value in variables.items()}
            for name, variables in wanted.items()
        },
    )


def hosts_with_firewall(cluster: Cluster, observation: Observation) -> list[str]:
    """Names of the hosts with an active firewall: those observed, and those that an earlier run has noted."""
    noted = {
        name
        for facts in observation.hosts.values()
        for name in (facts.firewall.noted or {}).get("hosts", ())
        if name not in observation.hosts
    }
    active = {name for name, facts in observation.hosts.items() if any(facts.firewall.active)}
    return [host.name for host in cluster.hosts if host.name in noted | active]


def addresses(cluster: Cluster, observation: Observation) -> dict[str, tuple[str, ...]]:
    """Addresses by which each member reaches the others: that of the file, of the node, and of the machine.

    A machine whose address in the file is not its own (behind NAT, or a name) sends from that of its default route.
    """
    found: dict[str, tuple[str, ...]] = {}
    for host in cluster.hosts:
        known = [host.address] if is_ip(host.address) else []
        node = observation.cluster.node(host.name) if observation.cluster else None
        known += node.addresses if node else ()
        facts = observation.hosts.get(host.name)
        if facts is not None and not any(own.ip == host.address for own in facts.network.addresses):
            default = {route.interface for route in facts.network.routes if route.cidr.endswith("/0")}
            known += [own.ip for own in facts.network.addresses if own.interface in default]
        found[host.name] = tuple(dict.fromkeys(known))
    return found


def _wanted(
    cluster: Cluster,
    host: Host,
    facts: HostFacts,
    guarded: Collection[str],
    known: Mapping[str, tuple[str, ...]],
) -> dict[str, object] | None:
    """What the module host_firewall is asked for; None where there is nothing to open or to note.

    `guarded` are the hosts with a firewall, `known` the addresses of every member.
    Control planes note which hosts have a firewall, so that adding a node finds those without asking all.
    """
    is_guarded = host.name in guarded
    if not guarded or not (is_guarded or host.role == "control-plane"):
        return None
    noted = facts.firewall.noted or {}
    controller = noted.get("controller") or facts.firewall.client
    found = (
        openings(cluster, host, known, controller, wireguard=facts.firewall.wireguard) if is_guarded else ()
    )
    planes = [known[host.name] for host in cluster.control_planes]
    return {
        "input": [
            {
                "protocol": one.protocol,
                "ports": list(one.ports),
                "from": list(one.sources),
                "group": one.group,
            }
            for one in found
        ],
        "pods": cluster.network.pod_cidr,
        _MEMBERS: list(distinct(address for own in known.values() for address in own)),
        _PLANES: list(distinct(address for own in planes for address in own)),
        "node_ports_from": list(distinct(cluster.firewall.node_ports_from)),
        "controller": controller,
        "hosts": list(guarded),
    }


def _reasons(cluster: Cluster, facts: HostFacts, wanted: Mapping[str, object]) -> Iterator[str]:
    noted, active = facts.firewall.noted, [*facts.firewall.active]
    if not active:
        if noted is None or noted.get("hosts") != wanted["hosts"]:
            yield "notes which hosts have a firewall"
        return
    if noted is None or not noted.get("input"):
        yield f"{enumerated(active)}: opens {_summary(cluster, wanted)}"
        return
    if facts.firewall.lost:
        yield f"its firewall was changed ({', '.join(facts.firewall.lost)}): opens it again for the members"
    before, after = _sources(noted), _sources(wanted)
    for verb, these, those in (("opens", after, before), ("closes", before, after)):
        parts = [
            f"{what} for {enumerated([source for source in sources if source not in those.get(what, ())])}"
            for what, sources in these.items()
            if any(source not in those.get(what, ()) for source in sources)
        ]
        if parts:
            yield f"{verb} {'; '.join(parts)}"
    if before == after and not facts.firewall.lost and dict(noted) != dict(wanted):
        yield "the hosts that have a firewall are others than it has noted"


def _summary(cluster: Cluster, wanted: Mapping[str, object]) -> str:
    members = wanted["members"]
    count = counted(len(cluster.hosts), "member")
    parts: dict[str, list[str]] = {}
    for opening in _openings(wanted):
        rest = [
            source for source in opening.sources if not isinstance(members, list) or source not in members
        ]
        whole = isinstance(members, list) and set(members) <= set(opening.sources)
        known = [count] if whole else [] if len(rest) == len(opening.sources) else ["the control planes"]
        parts.setdefault(enumerated([*known, *rest]), []).append(opening.shown)
    return "; ".join(f"{', '.join(shown)} for {who}" for who, shown in parts.items())


def _sources(wanted: Mapping[str, object]) -> dict[str, tuple[str, ...]]:
    """Sources by what they may reach."""
    found: dict[str, tuple[str, ...]] = {}
    for opening in _openings(wanted):
        found[opening.shown] = (*found.get(opening.shown, ()), *opening.sources)
    return found


def _openings(wanted: Mapping[str, object]) -> Iterator[Opening]:
    found = wanted["input"]
    for one in found if isinstance(found, list | tuple) else ():
        yield Opening(protocol=one["protocol"], ports=tuple(one["ports"]), sources=tuple(one["from"]))
