"""What a step of a plan does to AWS, one file per kind of resource. An action is called with its `Work`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from provision.providers.eks.actions.access import ensure_access, remove_access
from provision.providers.eks.actions.addons import ensure_addons, upgrade_addons
from provision.providers.eks.actions.cluster import change_settings, ensure_cluster, upgrade_control_plane
from provision.providers.eks.actions.fargate import ensure_fargate_profiles
from provision.providers.eks.actions.nat import ensure_nat
from provision.providers.eks.actions.network import ensure_network
from provision.providers.eks.actions.node_groups import ensure_node_groups, upgrade_node_groups
from provision.providers.eks.actions.nodes import await_nodes
from provision.providers.eks.actions.pod_identities import ensure_pod_identities
from provision.providers.eks.actions.roles import ensure_roles
from provision.providers.eks.actions.tags import ensure_tags
from provision.providers.eks.deletions import delete

if TYPE_CHECKING:
    from provision.providers.eks.work import Work

ACTIONS: Mapping[str, Callable[[Work], None]] = {
    "eks-network": ensure_network,
    "eks-nat": ensure_nat,
    "eks-roles": ensure_roles,
    "eks-cluster": ensure_cluster,
    "eks-cluster-settings": change_settings,
    "eks-upgrade-control-plane": upgrade_control_plane,
    "eks-upgrade-addons": upgrade_addons,
    "eks-upgrade-node-groups": upgrade_node_groups,
    "eks-tags": ensure_tags,
    "eks-access": ensure_access,
    "eks-addons": ensure_addons,
    "eks-pod-identities": ensure_pod_identities,
    "eks-node-groups": ensure_node_groups,
    "eks-fargate-profiles": ensure_fargate_profiles,
    "eks-nodes-ready": await_nodes,
    "eks-remove-access": remove_access,
    "eks-delete": delete,
}
