"""The nodes of an EKS cluster as its API server sees them, in the words of `provision node list`. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.model.status import Listed
from provision.model.units import epoch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from provision.model.eks import EksCluster
    from provision.providers.eks.aws.kube_api import KubeNode


def listed(cluster: EksCluster, nodes: Iterable[KubeNode], at: float) -> tuple[Listed, ...]:
    """All nodes; those of no node group of the file, and on Fargate with none, are not in it. `at`: now, seconds."""
    groups = {group.name for group in cluster.node_groups}
    return tuple(
        Listed(
            name=node.name,
            role="worker",
            address=node.address,
            state="ready" if node.ready else "not ready",
            cordoned=node.cordoned,
            version=node.version.removeprefix("v"),
            runtime=node.runtime,
            age=max(0.0, at - epoch(node.created)) if node.created else None,
            in_file=bool(cluster.fargate_profiles) if node.fargate else node.node_group in groups,
            labels=dict(node.labels),
            taints=node.taints,
            message=node.message,
        )
        for node in nodes
    )
