"""Whether everything that says where the API server is says what the file says, and the steps that make it so. Pure."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import yaml

from provision.model.plan import Reason
from provision.model.units import join_host_port
from provision.providers.kubeadm.steps import kubeadm_config
from provision.providers.kubeadm.steps import role_vars as desired
from provision.providers.kubeadm.steps.context import step

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from provision.model.cluster import Cluster, Host
    from provision.model.plan import PlaybookStep
    from provision.providers.kubeadm.facts.host import BalancerKind, HostFacts, Observation
    from provision.providers.kubeadm.steps.context import View

_BALANCED = "its load balancer for the API server"
_KEPT = "what keeps the virtual address (keepalived)"
_UNITS: Mapping[BalancerKind, Mapping[str, str]] = {
    "local": {"provision-api": _BALANCED},
    "vip": {"provision-vip-api": _BALANCED, "provision-vip": _KEPT},
}


def endpoint_steps(view: View) -> Iterator[PlaybookStep]:
    """Load balancers of the file's endpoint, places that name another, and balancers that nobody asks any more."""
    yield from install_step(view.cluster, view.seen, _unbalanced(view), needs=("prepare-hosts",))
    yield from update_step(
        view.cluster,
        view.seen,
        [*astray(view.cluster, view.seen, view.members.newcomers)],
        through=view.members.through,
        needs=("install-endpoint",),
    )
    yield from _remove_step(view)


def install_step(
    cluster: Cluster, seen: Observation, reasons: Iterable[Reason], *, needs: tuple[str, ...]
) -> Iterator[PlaybookStep]:
    """The step `install-endpoint`, if there is a reason for it."""
    vip = desired.virtual_address(cluster)
    variables: dict[str, object] = {
        "api_balancer_kind": "vip" if vip else "local",
        "api_balancer_port": desired.BALANCER_PORT,
        "api_balancer_backends": desired.backends(cluster),
    }
    own = {
        host.name: found
        for host in cluster.control_planes
        if vip
        and host.name in seen.hosts
        and (found := seen.hosts[host.name].network.beside(vip, host.address))
    }
    if vip:
        is_kept = any(facts.software.keeps(desired.endpoint(cluster)) for facts in seen.hosts.values())
        variables |= {"api_balancer_vip": vip, "api_balancer_vip_is_new": not is_kept}
    yield from step(
        "install-endpoint",
        "Keep a virtual address for the API server" if vip else "Balance the API server from every node",
        needs=needs,
        reasons=tuple(reasons),
        variables=variables,
        host_variables={
            name: {"api_balancer_interface": address.interface, "api_balancer_source": address.ip}
            for name, address in own.items()
        },
    )


def _remove_step(view: View) -> Iterator[PlaybookStep]:
    if view.seen.cluster is None and any(facts.kubernetes.joined for _, facts in view.hosts):
        return  # nobody says whether all have left them
    gone = {
        host.name: [kind for kind in facts.software.balancers if kind != desired.balancer(view.cluster, host)]
        for host, facts in view.hosts
    }
    yield from step(
        "remove-endpoint",
        "Remove load balancers that nobody asks any more",
        needs=("update-endpoint",),
        reasons=tuple(
            Reason(name, "has a load balancer for the API server that the file does not ask for")
            for name, kinds in gone.items()
            if kinds
        ),
        variables={"api_balancer_kind": "none"},
        host_variables={name: {"api_balancer_gone": kinds} for name, kinds in gone.items()},
    )


def update_step(
    cluster: Cluster, seen: Observation, reasons: list[Reason], *, through: str, needs: tuple[str, ...]
) -> Iterator[PlaybookStep]:
    """The step `update-endpoint`, if there is a reason for it: on the hosts of the reasons, and on `through`."""
    if not reasons or seen.cluster is None:
        return
    configuration = kubeadm_config.corrected_configuration(cluster, seen.cluster.kubeadm)
    hosts = [host for host in cluster.hosts if host.name in {through, *(reason.host for reason in reasons)}]
    yield from step(
        "update-endpoint",
        "Make every place name the endpoint of the file",
        needs=needs,
        reasons=tuple(reasons),
        hosts=tuple(host.name for host in hosts),
        through=through,
        variables={
            "api_endpoint_server": desired.endpoint(cluster),
            "api_endpoint_control_plane": through,
            "api_endpoint_configuration": yaml.safe_dump(configuration, sort_keys=True),
        },
        host_variables={
            host.name: {
                "api_endpoint_login_user": seen.hosts[host.name].machine.login
                if host.role == "control-plane" and host.name in seen.hosts
                else ""
            }
            for host in hosts
        },
    )


def astray(cluster: Cluster, seen: Observation, newcomers: Iterable[str] = ()) -> Iterator[Reason]:
    """Every place of the cluster and of the hosts seen that names another endpoint than the file.

    Nothing while no API server answers, or where neither the file nor the cluster has an endpoint of its own.
    """
    if seen.cluster is None or not seen.cluster.kubeadm:
        return
    wanted = desired.configured_endpoint(cluster)
    there = str(seen.cluster.kubeadm.get("controlPlaneEndpoint") or "")
    if not wanted and not there:
        return
    if wanted != there:
        yield Reason(
            seen.source, f"kubeadm's configuration has {there or 'no endpoint'}, not {wanted or 'none'}"
        )
    url = f"https://{desired.endpoint(cluster)}"
    for place, server in seen.cluster.servers.items():
        if server and server != url:
            yield Reason(seen.source, f"{place} has the API server at {server}, not at {url}")
    new = set(newcomers)
    for host in cluster.hosts:
        facts = seen.hosts.get(host.name)
        if facts is not None and host.name not in new:
            for what in _host_astray(cluster, host, facts, url):
                yield Reason(host.name, what)


def _host_astray(cluster: Cluster, host: Host, facts: HostFacts, url: str) -> Iterator[str]:
    kubernetes = facts.kubernetes
    own = {f"https://{join_host_port(address.ip, desired.API_PORT)}" for address in facts.network.addresses}
    # kubeadm points the kubelet of a control plane to its own API server, which is no worse.
    fine = {url, *own} if host.role == "control-plane" else {url}
    if kubernetes.kubelet_server and kubernetes.kubelet_server not in fine:
        yield f"its kubelet has the API server at {kubernetes.kubelet_server}, not at {url}"
    if kubernetes.admin_server not in {"", url}:
        yield f"its admin.conf has the API server at {kubernetes.admin_server}, not at {url}"
    name = desired.endpoint_host(cluster)
    if kubernetes.names and name not in kubernetes.names:
        yield f"its API server's certificate does not hold for {name}"


def _unbalanced(view: View) -> Iterator[Reason]:
    """Hosts whose load balancer is missing, knows other control planes, or does not run."""
    for host, facts in view.hosts:
        kind = desired.balancer(view.cluster, host)
        if kind is not None:
            yield from (Reason(host.name, what) for what in itertools.islice(_lacking(view, kind, facts), 1))


def _lacking(view: View, kind: BalancerKind, facts: HostFacts) -> Iterator[str]:
    there = facts.software.balancers.get(kind)
    if there is None:
        yield "has no load balancer for the API server"
        return
    endpoint = desired.endpoint(view.cluster)
    if there.listens != endpoint:
        yield f"{_BALANCED} listens at {there.listens or 'no address'}, not at {endpoint}"
    wanted = {join_host_port(host.address, desired.API_PORT) for host in view.cluster.control_planes}
    if set(there.servers) != wanted:
        yield _differs(set(there.servers), wanted)
    for unit, what in _UNITS[kind].items():
        if unit in facts.software.reloads:
            yield f"{what} has not read its configuration yet"
        service = facts.software.services.get(unit)
        if service is None or not service.active:
            yield f"{what} is not running"
        elif not service.enabled:
            yield f"{what} does not start at boot"


def _differs(there: set[str], wanted: set[str]) -> str:
    parts = [f"lacks {', '.join(sorted(wanted - there))}"] if wanted - there else []
    parts += [f"still has {', '.join(sorted(there - wanted))}"] if there - wanted else []
    return f"{_BALANCED} {' and '.join(parts)}"
