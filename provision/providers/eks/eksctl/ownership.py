"""What eksctl made, and what of it provision had it make. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from provision.providers.eks.names import MANAGED_BY

if TYPE_CHECKING:
    from provision.model.eks import EksCluster
    from provision.providers.eks.facts import ClusterFacts, NodeGroupFacts, Observation

CLUSTER_TAG = "alpha.eksctl.io/cluster-name"
BACKEND = "eksctl"
_ITS_LABELS = "alpha.eksctl.io/"


def tags(user: Mapping[str, str]) -> dict[str, str]:
    """The tags that eksctl gives everything it makes for provision, beside its own."""
    return {**user, MANAGED_BY: BACKEND}


def made_by_eksctl(cluster: str, found: Mapping[str, str]) -> bool:
    """Whether these are the tags of a part of eksctl's cluster of that name."""
    return found.get(CLUSTER_TAG) == cluster


def owned(cluster: str, found: Mapping[str, str]) -> bool:
    """Whether provision had eksctl make it; what a person made with eksctl is that person's."""
    return made_by_eksctl(cluster, found) and found.get(MANAGED_BY) == BACKEND


def own_cluster(found: ClusterFacts) -> ClusterFacts:
    """The cluster, `owned` if it is this backend's and not provision's own."""
    return replace(found, owned=owned(found.name, found.tags))


def own_parts(cluster: EksCluster, seen: Observation) -> Observation:
    """The parts of a cluster of this backend, `owned` as `own_cluster` says it.

    Add-ons and who may enter carry no tags of eksctl: in a cluster of ours they are ours.
    """
    return replace(
        seen,
        node_groups=tuple(_node_group(cluster, one) for one in seen.node_groups),
        fargate_profiles=tuple(
            replace(one, owned=owned(cluster.name, one.tags)) for one in seen.fargate_profiles
        ),
        addons=tuple(replace(one, owned=True) for one in seen.addons),
        access_entries=tuple(replace(one, owned=True) for one in seen.access_entries),
        pod_identities=tuple(replace(one, owned=True) for one in seen.pod_identities),
    )


def _node_group(cluster: EksCluster, found: NodeGroupFacts) -> NodeGroupFacts:
    """Without eksctl's own labels. The size of its disks is in a launch template, and is taken as the file says it."""
    asked = {group.name: group.disk for group in cluster.node_groups}
    return replace(
        found,
        owned=owned(cluster.name, found.tags),
        labels={key: value for key, value in found.labels.items() if not key.startswith(_ITS_LABELS)},
        disk=found.disk or asked.get(found.name, 0),
    )
