"""Is the network free for the cluster: ranges that overlap, ports that are taken, another network plugin."""

from __future__ import annotations

import shlex
from ipaddress import ip_network
from typing import TYPE_CHECKING

from provision.model.plan import Finding
from provision.model.units import is_ip
from provision.providers.kubeadm.steps import role_vars
from provision.providers.kubeadm.steps.context import new_nodes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provision.model.cluster import Cluster
    from provision.providers.kubeadm.facts.host import Firewall, HostFacts, Observation

# Interfaces that the cluster itself makes, with routes into its own ranges.
_OURS = ("cali", "vxlan.calico", "tunl0", "wireguard.cali", "kube-ipvs", "nodelocaldns", "*", "lo")
_NODE_MASK = 24  # kubeadm's default size of a node's part of the pod range
_CALICO = "10-calico.conflist"
_HARMLESS = ("10-containerd-net.conflist", "calico-kubeconfig")
_WORKER_PORTS = (10250, 10256)


def ranges(cluster: Cluster, observation: Observation) -> Iterator[Finding]:
    """Pods and services where no host has an address or a route; the file's own ranges are checked with the file."""
    for name, facts in observation.hosts.items():
        for label, cidr in (("pod", cluster.network.pod_cidr), ("service", cluster.network.service_cidr)):
            clash = next(_clashes(cidr, facts), None)
            if clash:
                yield Finding.error(
                    "range-overlap",
                    name,
                    f"the {label} range {cidr} overlaps {clash}",
                    f"write another network.{label}_cidr, for example {_free(cluster, observation)}",
                )


def pod_room(cluster: Cluster, observation: Observation) -> Iterator[Finding]:
    """A part of the pod range for every node, those that the file does not name included."""
    room = 2 ** max(0, _NODE_MASK - ip_network(cluster.network.pod_cidr).prefixlen)
    names = {host.name for host in cluster.hosts} | {
        node.name for node in (observation.cluster.nodes if observation.cluster else ())
    }
    if len(names) > room:
        yield Finding.error(
            "pod-range-size",
            "",
            f"{cluster.network.pod_cidr} has room for {room} nodes (a /{_NODE_MASK} each), there would be {len(names)}",
            "use fewer hosts; the pod range of a cluster cannot be changed",
        )


def ports(cluster: Cluster, observation: Observation) -> Iterator[Finding]:
    """What kubelet and control plane will listen on must be free before they come."""
    ignored = cluster.kubeadm.ignore_preflight_errors
    for host, facts in new_nodes(cluster, observation):
        if facts.kubernetes.joined or facts.kubernetes.markers:
            continue  # interrupted: what listens may belong to it, and is removed before it starts again
        for listener in facts.network.ports:
            wanted = host.role == "control-plane" or listener.port in _WORKER_PORTS
            if wanted and f"Port-{listener.port}" not in ignored:
                who = f"{listener.process} (pid {listener.pid})" if listener.process else "an unknown process"
                yield Finding.error(
                    "port-taken",
                    host.name,
                    f"port {listener.port} is taken by {who}",
                    f"stop {listener.process or 'it'}, or use another machine",
                )


def plugins(cluster: Cluster, observation: Observation) -> Iterator[Finding]:
    """No other plugin in /etc/cni/net.d: the runtime takes the first file by name."""
    fresh = {host.name for host, _ in new_nodes(cluster, observation)}
    for name, facts in observation.hosts.items():
        for file in facts.software.cni:
            if file == _CALICO or file in _HARMLESS:
                continue
            judge = Finding.error if file < _CALICO and name in fresh else Finding.warning
            yield judge(
                "other-network-plugin",
                name,
                f"/etc/cni/net.d/{file} belongs to another network plugin",
                "remove it and reboot, so that its interfaces go, too: "
                f"`{shlex.join(['rm', f'/etc/cni/net.d/{file}'])}`",
            )


def virtual_address(cluster: Cluster, observation: Observation) -> Iterator[Finding]:
    """Every control plane must be able to have the virtual address, and no other machine may hold it."""
    vip, endpoint = role_vars.virtual_address(cluster), role_vars.endpoint(cluster)
    keepers = [name for name, facts in observation.hosts.items() if facts.software.keeps(endpoint)]
    if keepers and not vip:
        yield Finding.error(
            "virtual-address",
            keepers[0],
            f"{endpoint} is the virtual address that provision keeps there",
            f"write `endpoint: {{vip: {role_vars.endpoint_host(cluster)}}}`, or another endpoint",
        )
    for name, facts in observation.hosts.items() if vip else ():
        if name not in keepers and any(own.ip == vip for own in facts.network.addresses):
            yield Finding.error(
                "virtual-address",
                name,
                f"it has the address {vip} already, and not from provision",
                "take it away there (another keepalived?), or write one that is not in use",
            )
    for host, facts in observation.observed(cluster.control_planes) if vip else ():
        if facts.network.beside(vip, host.address) is None:
            its = [own.cidr for own in facts.network.addresses if own.ip == host.address]
            yield Finding.error(
                "virtual-address",
                host.name,
                f"it cannot have {vip}, which is no free address of the network of its own "
                f"{its[0] if its else host.address}",
                "write a free address of the network that the `address` of every control plane is in, as IPv4; "
                "where there is none, `endpoint: local`, or a load balancer's HOST:6443",
            )


def default_route(cluster: Cluster, observation: Observation) -> Iterator[Finding]:
    """Without one, ClusterIPs are unreachable from the host itself, and kubeadm cannot guess addresses."""
    for host, facts in new_nodes(cluster, observation):
        if not any(
            route.cidr in ("0.0.0.0/0", "::/0") or route.cidr.endswith("/0") for route in facts.network.routes
        ):
            yield Finding.warning(
                "no-default-route",
                host.name,
                "it has no default route",
                "add one, even to a router that drops everything: the kernel wants a route for a ClusterIP",
            )


def firewalls(cluster: Cluster, observation: Observation) -> Iterator[Finding]:
    """Firewalls that cannot be opened, or not for everybody who needs the API server."""
    leave = "or write `firewall: {managed: false}` and open it yourself: docs/firewalls.md"
    for host, facts in observation.observed(cluster.hosts) if cluster.firewall.managed else ():
        found = facts.firewall
        for message, fix in _unmanageable(found):
            yield Finding.error("firewall", host.name, message, f"{fix}, {leave}")
        for chain in found.chains:
            if chain.hook == "output":
                yield Finding.warning(
                    "firewall",
                    host.name,
                    f"its chain {chain.name} drops what the host sends by default, which is not opened",
                    "let it send to the other hosts, the pods and the services: docs/firewalls.md",
                )
        docker = facts.software.services.get("docker")
        if docker and docker.active and role_vars.chosen_dataplane(cluster, observation) == "nftables":
            yield Finding.warning(
                "firewall",
                host.name,
                "Docker lets iptables drop what is forwarded, which `dataplane: nftables` cannot overrule",
                'stop Docker there, or write `"ip-forward-no-drop": true` into /etc/docker/daemon.json and restart it',
            )
        if found.legacy and not facts.kubernetes.joined and not found.ufw:
            yield Finding.warning(
                "firewall",
                host.name,
                "iptables has rules of its legacy kind, which are not examined and not opened",
                "`sudo iptables-legacy -S` shows them; they can be opened once they are loaded by iptables-nft "
                "(`sudo update-alternatives --set iptables /usr/sbin/iptables-nft`)",
            )
    name = role_vars.endpoint_host(cluster)
    foreign = not is_ip(name) and all(name not in (host.name, host.address) for host in cluster.hosts)
    planes = [facts.firewall for _, facts in observation.observed(cluster.control_planes)]
    guarded = cluster.firewall.managed and any(any(one.active) for one in planes)
    if foreign and guarded and not cluster.firewall.api_from:
        yield Finding.warning(
            "firewall",
            "",
            f"the addresses of {name} are not opened in the firewalls of the control planes",
            "write those of the load balancer, and of who else uses the API, to firewall.api_from",
        )


def _unmanageable(found: Firewall) -> Iterator[tuple[str, str]]:
    if found.firewalld.active and found.firewalld.lockdown:
        yield "firewalld is locked down (Lockdown=yes)", "`sudo firewall-cmd --lockdown-off`"
    if found.firewalld.active and found.firewalld.backend == "iptables":
        yield (
            "firewalld uses iptables: each of its reloads would drop the rules of kube-proxy and Calico",
            "set FirewallBackend=nftables in /etc/firewalld/firewalld.conf and restart firewalld",
        )
    if found.firewalld.active and found.ufw:
        yield "firewalld and ufw are both active", "keep one of them"
    chains = [chain.name for chain in found.chains if chain.hook in ("input", "forward")]
    if chains and "nft" not in found.programs:
        yield (
            f"its chain {chains[0]} drops by default, and there is no program nft",
            "install the package nftables",
        )


def _clashes(cidr: str, facts: HostFacts) -> Iterator[str]:
    """What of a host lies in a range, in words; default routes do not count."""
    wanted = ip_network(cidr)
    network = facts.network
    found = [
        (a.cidr, a.interface, f"of {a.interface or 'an interface'} ({a.cidr})") for a in network.addresses
    ]
    found += [(r.cidr, r.interface, f"(a route by {r.interface})") for r in network.routes]
    for text, interface, words in found:
        other = ip_network(text, strict=False)
        foreign = other.prefixlen and not interface.startswith(_OURS)
        if foreign and other.version == wanted.version and wanted.overlaps(other):
            yield f"{other} {words}"


def _free(cluster: Cluster, observation: Observation) -> str:
    taken = [ip_network(cluster.network.pod_cidr), ip_network(cluster.network.service_cidr)]
    taken += [ip_network(f"{host.address}/32") for host in cluster.hosts if is_ip(host.address)]
    for text in (
        "10.244.0.0/16",
        "10.96.0.0/16",
        "172.20.0.0/16",
        "192.168.0.0/16",
        "10.128.0.0/16",
        "100.64.0.0/16",
    ):
        network = ip_network(text)
        if any(network.version == other.version and network.overlaps(other) for other in taken):
            continue
        if not any(next(_clashes(text, facts), None) for facts in observation.hosts.values()):
            return text
    return "a private range that nothing uses"
