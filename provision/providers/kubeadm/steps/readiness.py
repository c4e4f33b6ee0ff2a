"""What of a cluster is not ready yet, in sentences. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.model.plan import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provision.model.cluster import Cluster
    from provision.providers.kubeadm.facts.cluster import ClusterFacts
    from provision.providers.kubeadm.facts.host import Observation

_DAEMON_SETS = ("calico-node", "kube-proxy")
_DEPLOYMENTS = ("calico-kube-controllers", "coredns")


def unready(cluster: Cluster, seen: Observation) -> Iterator[Reason]:
    """Nodes of observed hosts and workloads of kube-system that are not ready; the API server itself if it is silent.

    Where only some hosts were observed nothing is said of workloads: they may wait for the other ones.
    """
    if seen.cluster is None:
        for host in cluster.control_planes:
            facts = seen.hosts.get(host.name)
            if facts is not None and facts.api is not None:
                yield Reason(host.name, f"its API server does not answer ({facts.api.error})")
        return
    for host in cluster.hosts:
        node = seen.cluster.node(host.name) if host.name in seen.hosts else None
        if node is not None and not node.ready:
            yield Reason(host.name, f"is not ready ({node.message or 'its kubelet has not reported yet'})")
    if observed_all(cluster, seen):
        yield from _workloads(seen.cluster, seen.source)


def _workloads(cluster: ClusterFacts, source: str) -> Iterator[Reason]:
    for name in _DAEMON_SETS:
        workload = cluster.daemonsets.get(name)
        if workload is not None and not workload.is_ready:
            yield Reason(source, f"{name}: {workload.ready} of {workload.wanted} pods are ready")
    for name in _DEPLOYMENTS:
        workload = cluster.deployments.get(name)
        if workload is not None and not workload.is_ready:
            yield Reason(source, f"{name}: {workload.ready} of {workload.wanted} pods are ready")


def observed_all(cluster: Cluster, seen: Observation) -> bool:
    """Whether every host of the file was looked at, and not only those that a command is about."""
    return all(host.name in seen.hosts for host in cluster.hosts)
