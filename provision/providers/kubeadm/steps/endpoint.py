"""Detect endpoint drift, and plan load balancers, virtual address and every place that names the endpoint. Pure."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import yaml

from provision.model.plan import Reason
from provision.model.units import join_host_port
from provision.providers.kubeadm.steps import kubeadm_config, role_vars
from provision.providers.kubeadm.steps.context import membership, step

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from provision.model.cluster import Cluster, Host
    from provision.model.plan import PlaybookStep
    from provision.providers.kubeadm.facts.host import HostFacts, Observation
    from provision.providers.kubeadm.facts.software import BalancerKind
    from provision.providers.kubeadm.steps.context import Leaving, PlanContext

_BALANCED = "its load balancer for the API server"
_KEPT = "what keeps the virtual address (keepalived)"
_UNITS: Mapping[BalancerKind, Mapping[str, str]] = {
    "local": {"provision-api": _BALANCED},
    "vip": {"provision-vip-api": _BALANCED, "provision-vip": _KEPT},
}


def install_endpoint(context: PlanContext) -> Iterator[PlaybookStep]:
    """Load balancers that are missing or differ; where control planes leave, those that still have them."""
    cluster, observation = context.cluster, context.endpoint_observation
    if context.joins:
        reasons = [*_unbalanced(cluster, observation)]
    elif context.leaving is not None and context.leaving.update_endpoint:
        cluster, observation = _remaining(context.leaving), context.leaving.observation
        names = ", ".join(context.leaving.etcd_members)
        reasons = [
            Reason(host.name, f"its load balancer still has {names}")
            for host, _ in observation.observed(cluster.hosts)
            if role_vars.balancer(cluster, host)
        ]
    else:
        return
    vip = role_vars.virtual_address(cluster)
    variables: dict[str, object] = {
        "api_balancer_kind": "vip" if vip else "local",
        "api_balancer_port": role_vars.BALANCER_PORT,
        "api_balancer_backends": role_vars.backends(cluster),
    }
    addresses = {
        host.name: found
        for host, facts in observation.observed(cluster.control_planes)
        if vip and (found := facts.network.beside(vip, host.address))
    }
    if vip:
        endpoint = role_vars.endpoint(cluster)
        is_kept = any(facts.software.keeps(endpoint) for facts in observation.hosts.values())
        variables |= {"api_balancer_vip": vip, "api_balancer_vip_is_new": not is_kept}
    yield from step(
        summary="Keep a virtual address for the API server" if vip else "",
        reasons=tuple(reasons),
        variables=variables,
        host_variables={
            name: {"api_balancer_interface": address.interface, "api_balancer_source": address.ip}
            for name, address in addresses.items()
        },
    )


def update_endpoint(context: PlanContext) -> Iterator[PlaybookStep]:
    """Places that name another endpoint than the file, or control planes that leave."""
    if context.joins:
        observation = context.endpoint_observation
        new = membership(context.cluster, observation).new_nodes
        reasons = [*endpoint_drift(context.cluster, observation, new)]
        yield from _update(context.cluster, observation, reasons, through=context.members.through)
        return
    leaving = context.leaving
    if leaving is None or not leaving.update_endpoint:
        return
    cluster, observation = _remaining(leaving), leaving.observation
    gone = {host.name: host.address for host in leaving.cluster.control_planes_among(leaving.etcd_members)}
    reasons = [
        Reason(leaving.through if one.host in gone else one.host, one.what)
        for one in endpoint_drift(cluster, observation)
    ]
    configuration = observation.cluster.kubeadm if observation.cluster else {}
    certificate_names = set((configuration.get("apiServer") or {}).get("certSANs") or [])
    if certificate_names & {*gone, *gone.values()}:
        what = f"kubeadm's configuration still names {', '.join(gone)}"
        reasons.append(Reason(leaving.through, what))
    yield from _update(cluster, observation, reasons, through=leaving.through)


def remove_endpoint(context: PlanContext) -> Iterator[PlaybookStep]:
    """Load balancers that the file does not ask for, once every place names another endpoint."""
    hosts = context.hosts
    if context.observation.cluster is None and any(facts.kubernetes.joined for _, facts in hosts):
        return  # no API server can say whether every place names another endpoint
    surplus = {
        host.name: [
            kind for kind in facts.software.balancers if kind != role_vars.balancer(context.cluster, host)
        ]
        for host, facts in hosts
    }
    yield from step(
        reasons=tuple(
            Reason(name, "has a load balancer for the API server that the file does not ask for")
            for name, kinds in surplus.items()
            if kinds
        ),
        variables={"api_balancer_kind": "none"},
        host_variables={name: {"api_balancer_gone": kinds} for name, kinds in surplus.items()},
    )


def _remaining(leaving: Leaving) -> Cluster:
    hosts = tuple(host for host in leaving.cluster.hosts if host.name not in leaving.etcd_members)
    return leaving.cluster.model_copy(update={"hosts": hosts})


def _update(
    cluster: Cluster, observation: Observation, reasons: list[Reason], *, through: str
) -> Iterator[PlaybookStep]:
    """The step on the hosts of the reasons, and on `through`."""
    if not reasons or observation.cluster is None:
        return
    configuration = kubeadm_config.corrected_configuration(cluster, observation.cluster.kubeadm)
    hosts = [host for host in cluster.hosts if host.name in {through, *(reason.host for reason in reasons)}]
    yield from step(
        reasons=tuple(reasons),
        hosts=tuple(host.name for host in hosts),
        through=through,
        variables={
            "api_endpoint_server": role_vars.endpoint(cluster),
            "api_endpoint_control_plane": through,
            "api_endpoint_configuration": yaml.safe_dump(configuration, sort_keys=True),
        },
        host_variables={
            host.name: {
                "api_endpoint_login_user": observation.hosts[host.name].machine.login
                if host.role == "control-plane" and host.name in observation.hosts
                else ""
            }
            for host in hosts
        },
    )


def endpoint_drift(
    cluster: Cluster, observation: Observation, new_nodes: Iterable[str] = ()
) -> Iterator[Reason]:
    """Every place of the cluster and of the observed hosts that names another endpoint than the file.

    Nothing while no API server answers, or where neither the file nor the cluster has an endpoint of its own.
    """
    if observation.cluster is None or not observation.cluster.kubeadm:
        return
    wanted = role_vars.configured_endpoint(cluster)
    there = str(observation.cluster.kubeadm.get("controlPlaneEndpoint") or "")
    if not wanted and not there:
        return
    if wanted != there:
        yield Reason(
            observation.source,
            f"kubeadm's configuration has {there or 'no endpoint'}, not {wanted or 'none'}",
        )
    url = f"https://{role_vars.endpoint(cluster)}"
    for place, server in observation.cluster.servers.items():
        if server and server != url:
            yield Reason(observation.source, f"{place} has the API server at {server}, not at {url}")
    new = set(new_nodes)
    for host, facts in observation.observed(cluster.hosts):
        for what in _host_drift(cluster, host, facts, url) if host.name not in new else ():
            yield Reason(host.name, what)


def _host_drift(cluster: Cluster, host: Host, facts: HostFacts, url: str) -> Iterator[str]:
    kubernetes = facts.kubernetes
    own = {f"https://{join_host_port(address.ip, role_vars.API_PORT)}" for address in facts.network.addresses}
    # kubeadm points the kubelet of a control plane to its own API server, which is no worse.
    fine = {url, *own} if host.role == "control-plane" else {url}
    if kubernetes.kubelet_server and kubernetes.kubelet_server not in fine:
        yield f"its kubelet has the API server at {kubernetes.kubelet_server}, not at {url}"
    if kubernetes.admin_server not in {"", url}:
        yield f"its admin.conf has the API server at {kubernetes.admin_server}, not at {url}"
    name = role_vars.endpoint_host(cluster)
    if kubernetes.names and name not in kubernetes.names:
        yield f"its API server's certificate does not hold for {name}"


def _unbalanced(cluster: Cluster, observation: Observation) -> Iterator[Reason]:
    """Hosts whose load balancer is missing, has other control planes, or does not run."""
    for host in cluster.hosts:
        kind = role_vars.balancer(cluster, host)
        if kind is not None and host.name in observation.hosts:
            lacking = _lacking(cluster, kind, observation.hosts[host.name])
            yield from (Reason(host.name, what) for what in itertools.islice(lacking, 1))


def _lacking(cluster: Cluster, kind: BalancerKind, facts: HostFacts) -> Iterator[str]:
    there = facts.software.balancers.get(kind)
    if there is None:
        yield "has no load balancer for the API server"
        return
    endpoint = role_vars.endpoint(cluster)
    if there.listens != endpoint:
        yield f"{_BALANCED} listens at {there.listens or 'no address'}, not at {endpoint}"
    wanted = {join_host_port(host.address, role_vars.API_PORT) for host in cluster.control_planes}
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
