"""The nodes of a cluster beside the hosts of its file, as one control plane sees them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.model.status import Listed
from provision.model.units import epoch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provision.model.cluster import Cluster, Host
    from provision.providers.kubeadm.facts.cluster import Node
    from provision.providers.kubeadm.facts.host import Observation


def listed(cluster: Cluster, seen: Observation | None) -> tuple[Listed, ...]:
    """All of them, hosts in the file's order, then the other nodes; `seen` None: no control plane answered."""
    nodes = {node.name: node for node in seen.cluster.nodes} if seen and seen.cluster else {}
    at = seen.at if seen else 0.0
    return tuple(_all(cluster, nodes, at, known=seen is not None))


def _all(cluster: Cluster, nodes: dict[str, Node], at: float, *, known: bool) -> Iterator[Listed]:
    for host in cluster.hosts:
        node = nodes.pop(host.name, None)
        if node is not None:
            yield _node(node, at, host)
            continue
        yield Listed(
            name=host.name,
            role=host.role,
            address=host.address,
            state="no node" if known else "unknown",
            cordoned=False,
            version="",
            runtime="",
            age=None,
            in_file=True,
            labels=dict(host.labels),
            taints=host.taints,
            message="is in the file, but no node of the cluster" if known else "",
        )
    for node in nodes.values():
        yield _node(node, at, None)


def _node(node: Node, at: float, host: Host | None) -> Listed:
    return Listed(
        name=node.name,
        role=node.role,
        address=host.address if host else next(iter(node.addresses), ""),
        state="ready" if node.ready else "not ready",
        cordoned=node.cordoned,
        version=node.kubelet.removeprefix("v"),
        runtime=node.runtime,
        age=max(0.0, at - epoch(node.created)) if node.created else None,
        in_file=host is not None,
        labels=dict(node.labels),
        taints=tuple(map(str, node.taints)),
        message="" if node.ready else node.message,
    )
