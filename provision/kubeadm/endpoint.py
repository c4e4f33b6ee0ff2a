"""Whether everything that says where the API server is says what the file says, and the steps that make it so. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from provision.kubeadm import desired, kubeadm_config
from provision.kubeadm.view import step
from provision.model import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from provision.kubeadm.facts import HostFacts, Observation
    from provision.kubeadm.view import View
    from provision.model import Cluster, Host, Step

BALANCER = "provision-api"  # our unit and its configuration's name


def endpoint_steps(view: View) -> Iterator[Step]:
    """The load balancers of the file's endpoint, then the places that name another endpoint."""
    leaving = not desired.backends(view.cluster)  # nobody is balanced any more: clients move before they go
    correct = correct_step(
        view.cluster,
        view.seen,
        [*astray(view.cluster, view.seen, view.members.newcomers)],
        through=view.members.through,
        needs=() if leaving else ("install-endpoint",),
    )
    install = install_step(
        view.cluster, _unbalanced(view), needs=("correct-endpoint",) if leaving else ("prepare-hosts",)
    )
    yield from (*correct, *install) if leaving else (*install, *correct)


def install_step(cluster: Cluster, reasons: Iterable[Reason], *, needs: tuple[str, ...]) -> Iterator[Step]:
    """The step `install-endpoint`, if there is a reason for it."""
    yield from step(
        "install-endpoint",
        "Balance the API server from every node",
        needs=needs,
        reasons=tuple(reasons),
        variables={
            "api_balancer_port": desired.BALANCER_PORT,
            "api_balancer_backends": desired.backends(cluster),
        },
    )


def correct_step(
    cluster: Cluster, seen: Observation, reasons: list[Reason], *, through: str, needs: tuple[str, ...]
) -> Iterator[Step]:
    """The step `correct-endpoint`, if there is a reason for it: on the hosts of the reasons, and on `through`."""
    if not reasons or seen.cluster is None:
        return
    configuration = kubeadm_config.corrected_configuration(cluster, seen.cluster.kubeadm)
    hosts = [host for host in cluster.hosts if host.name in {through, *(reason.host for reason in reasons)}]
    yield from step(
        "correct-endpoint",
        "Make every place name the endpoint of the file",
        needs=needs,
        reasons=tuple(reasons),
        hosts=tuple(host.name for host in hosts),
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
    own = {f"https://{desired.host_port(address)}" for address in _addresses(facts)}
    # kubeadm points the kubelet of a control plane to its own API server, which is no worse.
    fine = {url, *own} if host.role == "control-plane" else {url}
    if kubernetes.kubelet_server and kubernetes.kubelet_server not in fine:
        yield f"its kubelet has the API server at {kubernetes.kubelet_server}, not at {url}"
    if kubernetes.admin_server not in {"", url}:
        yield f"its admin.conf has the API server at {kubernetes.admin_server}, not at {url}"
    name = desired.endpoint_host(cluster)
    if kubernetes.names and name not in kubernetes.names:
        yield f"its API server's certificate does not hold for {name}"


def _addresses(facts: HostFacts) -> Iterator[str]:
    for address in facts.network.addresses:
        yield address.cidr.partition("/")[0]


def _unbalanced(view: View) -> Iterator[Reason]:
    """Hosts whose load balancer is missing, knows other control planes, or is not wanted any more."""
    wanted = {f"{one['address']}:{one['port']}" for one in desired.backends(view.cluster)}
    for host, facts in view.hosts:
        there = facts.software.balancer
        service = facts.software.services.get(BALANCER)
        if not wanted:
            if there is not None:
                yield Reason(
                    host.name, "has a load balancer for the API server that the file does not ask for"
                )
        elif there is None:
            yield Reason(host.name, "has no load balancer for the API server")
        elif set(there) != wanted:
            yield Reason(host.name, _differs(set(there), wanted))
        elif service is None or not service.active:
            yield Reason(host.name, "its load balancer for the API server is not running")
        elif not service.enabled:
            yield Reason(host.name, "its load balancer for the API server does not start at boot")


def _differs(there: set[str], wanted: set[str]) -> str:
    parts = [f"lacks {', '.join(sorted(wanted - there))}"] if wanted - there else []
    parts += [f"still has {', '.join(sorted(there - wanted))}"] if there - wanted else []
    return f"its load balancer for the API server {' and '.join(parts)}"
