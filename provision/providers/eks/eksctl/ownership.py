"""Tell by tags what eksctl created, and what of that for provision. Pure."""

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
    """The tags of everything that eksctl creates for provision, in addition to its own."""
    return {**user, MANAGED_BY: BACKEND}


def created_by_eksctl(cluster: str, found: Mapping[str, str]) -> bool:
    """Whether these are tags of eksctl's cluster of that name or a part of it."""
    return found.get(CLUSTER_TAG) == cluster


def owned(cluster: str, found: Mapping[str, str]) -> bool:
    """Whether eksctl created it for provision, and not for a person."""
    return created_by_eksctl(cluster, found) and found.get(MANAGED_BY) == BACKEND


def own_cluster(found: ClusterFacts) -> ClusterFacts:
    """The cluster, `owned` if eksctl created it for provision."""
    return replace(found, owned=owned(found.name, found.tags))


def own_parts(cluster: EksCluster, seen: Observation) -> Observation:
    """The parts of a cluster of this backend, `owned` as in `own_cluster`.

    Add-ons, access entries and pod identities carry no tags of eksctl: they belong to the owner of the cluster.
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
    """Without eksctl's own labels. The size of its disks is in a launch template: assume that of the file."""
    asked = {group.name: group.disk for group in cluster.node_groups}
    return replace(
        found,
        owned=owned(cluster.name, found.tags),
        labels={key: value for key, value in found.labels.items() if not key.startswith(_ITS_LABELS)},
        disk=found.disk or asked.get(found.name, 0),
    )
