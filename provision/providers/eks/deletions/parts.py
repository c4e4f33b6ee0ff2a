"""Deletes the cluster and what is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.providers.eks.deletions.removing import delete_once_free, remove
from provision.providers.eks.readers import cluster, parts

if TYPE_CHECKING:
    from provision.providers.eks.work import Work

# Seconds: what AWS takes at most, and half as much again.
_CLUSTER, _NODE_GROUP, _FARGATE, _ADDON = 2700.0, 3600.0, 1800.0, 1200.0


def delete_cluster(work: Work, resource: str, name: str) -> bool:
    account, eks = work.account, work.account.client("eks")
    return remove(
        work,
        resource,
        state=lambda: cluster.read(name, account),
        delete=lambda: eks.delete_cluster(name=name),
        limit=_CLUSTER,
    )


def delete_node_group(work: Work, resource: str, name: str) -> bool:
    """AWS drains the nodes first, and gives up on budgets of disruption after 15 minutes a node."""
    account, eks, whose = work.account, work.account.client("eks"), work.cluster.name
    return remove(
        work,
        resource,
        state=lambda: parts.read_node_group(whose, name, account),
        delete=lambda: eks.delete_nodegroup(clusterName=whose, nodegroupName=name),
        limit=_NODE_GROUP,
    )


def delete_fargate_profile(work: Work, resource: str, name: str) -> bool:
    account, eks, whose = work.account, work.account.client("eks"), work.cluster.name
    return remove(
        work,
        resource,
        state=lambda: parts.read_fargate_profile(whose, name, account),
        delete=lambda: eks.delete_fargate_profile(clusterName=whose, fargateProfileName=name),
        limit=_FARGATE,
    )


def delete_addon(work: Work, resource: str, name: str) -> bool:
    account, eks, whose = work.account, work.account.client("eks"), work.cluster.name
    return remove(
        work,
        resource,
        state=lambda: parts.read_addon(whose, name, account),
        delete=lambda: eks.delete_addon(clusterName=whose, addonName=name),
        limit=_ADDON,
    )


def delete_pod_identity(work: Work, resource: str, association: str) -> bool:
    eks, whose = work.account.client("eks"), work.cluster.name
    return delete_once_free(
        work,
        resource,
        lambda: eks.delete_pod_identity_association(clusterName=whose, associationId=association),
    )
