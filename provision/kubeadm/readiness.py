"""What of a cluster is not ready yet, in sentences. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.model import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provision.kubeadm.facts import Observation
    from provision.model import Cluster

_DAEMON_SETS = ("calico-node", "kube-proxy")
_DEPLOYMENTS = ("calico-kube-controllers", "coredns")


def unready(cluster: Cluster, seen: Observation) -> Iterator[Reason]:
    """Nodes of the file and workloads of kube-system that are not ready; the API server itself if it is silent."""
    if seen.cluster is None:
        for host in cluster.control_planes:
            facts = seen.hosts.get(host.name)
            if facts is not None and facts.api is not None:
                yield Reason(host.name, f"its API server does not answer ({facts.api.error})")
        return
    for host in cluster.hosts:
        node = seen.cluster.node(host.name)
        if node is not None and not node.ready:
            yield Reason(host.name, f"is not ready ({node.message or 'its kubelet has not reported yet'})")
    for name in _DAEMON_SETS:
        workload = seen.cluster.daemonsets.get(name)
        if workload is not None and not workload.is_ready:
            yield Reason(seen.source, f"{name}: {workload.ready} of {workload.wanted} pods are ready")
    for name in _DEPLOYMENTS:
        workload = seen.cluster.deployments.get(name)
        if workload is not None and not workload.is_ready:
            yield Reason(seen.source, f"{name}: {workload.ready} of {workload.wanted} pods are ready")
