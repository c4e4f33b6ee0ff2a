"""Node groups and Fargate profiles: missing, different, failed, not wanted any more. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from provision.providers.eks import desired, names, node_groups
from provision.providers.eks.view import Row, View, going, step, surplus

if TYPE_CHECKING:
    from provision.model.eks import FargateProfile, NodeGroup
    from provision.model.plan import PlaybookStep
    from provision.providers.eks.facts import FargateFacts, NodeGroupFacts

_FAILED = "CREATE_FAILED"


def node_group_steps(view: View, needs: tuple[str, ...]) -> Iterator[PlaybookStep]:
    rows = [_node_group(view, group) for group in view.cluster.node_groups]
    first = [names.addon(one.name) for one in view.cluster.addons if one.name in desired.FIRST_ADDONS]
    ways = [names.nat(zone) for zone in desired.nat_zones(view.cluster, view.zones)]
    ways += [names.private_routes(zone) for zone in view.zones]
    own = view.cluster.vpc.subnets is None
    yield from step(
        "node-groups",
        "Bring the node groups in step",
        rows,
        needs=(*needs, "nat", "first-addons"),
        requires=[names.NODE_ROLE, *first, *(ways if own else [])],
    )
    wanted = {group.name for group in view.cluster.node_groups}
    old = [
        surplus("node-group", names.node_group(one.name), one.name)
        for one in view.seen.node_groups
        if one.owned and one.name not in wanted
    ]
    yield from step(
        "remove-node-groups",
        "Take away node groups",
        old,
        action="delete",
        needs=(*needs, "node-groups", "fargate-profiles", "addons"),
        variables={"in_order": False},
        requires=[row.resource for row in rows if row.reasons],
    )


def fargate_steps(view: View, needs: tuple[str, ...]) -> Iterator[PlaybookStep]:
    rows = [_fargate_profile(view, profile) for profile in view.cluster.fargate_profiles]
    yield from step(
        "fargate-profiles",
        "Make the Fargate profiles, one after the other",
        rows,
        needs=(*needs, "nat"),
        requires=[names.FARGATE_ROLE],
    )
    wanted = {profile.name for profile in view.cluster.fargate_profiles}
    old = [
        surplus("fargate-profile", names.fargate_profile(one.name), one.name)
        for one in view.seen.fargate_profiles
        if one.owned and one.name not in wanted
    ]
    yield from step(
        "remove-fargate-profiles",
        "Take away Fargate profiles, one after the other",
        old,
        action="delete",
        needs=(*needs, "fargate-profiles", "node-groups", "addons"),
        variables={"in_order": True},
    )


def nodes_ready_steps(view: View, before: tuple[PlaybookStep, ...]) -> Iterator[PlaybookStep]:
    """The nodes are looked at where something was done that they feel."""
    felt = {"eks-cluster", "eks-node-groups", "eks-upgrade-node-groups"}
    touching = tuple(one.name for one in before if one.playbook in felt or one.name == "first-addons")
    if not touching:
        return
    rows = [
        Row(names.node_group(group.name), ("the steps before change nodes",), {"ready": group.desired})
        for group in view.cluster.node_groups
        if group.desired
    ]
    yield from step(
        "nodes-ready",
        "Wait until the nodes are ready",
        rows,
        needs=touching,
    )


def _node_group(view: View, group: NodeGroup) -> Row:
    found = view.seen.node_group(group.name)
    spec = {
        "name": group.name,
        "subnets": group.subnets,
        "create": node_groups.creation(group, view.cluster.kubernetes),
    }
    if found is None:
        return Row(names.node_group(group.name), ("is missing",), spec)
    if found.status == _FAILED:
        return Row(names.node_group(group.name), _failure(found), {**spec, "recreate": True})
    if found.status == "DELETING":
        return Row(names.node_group(group.name), ("is being deleted, and is wanted again",), spec)
    unwell = going(found.status) or ("is DEGRADED" if found.status == "DEGRADED" else "")
    reasons = (*((unwell,) if unwell else ()), *node_groups.differences(group, found))
    return Row(names.node_group(group.name), reasons, spec)


def _fargate_profile(view: View, profile: FargateProfile) -> Row:
    found = view.seen.fargate_profile(profile.name)
    resource = names.fargate_profile(profile.name)
    selectors = [
        {"namespace": one.namespace, **({"labels": dict(one.labels)} if one.labels else {})}
        for one in profile.selectors
    ]
    spec = {"name": profile.name, "selectors": selectors}
    if found is None:
        return Row(resource, ("is missing",), spec)
    if found.status == _FAILED:
        return Row(resource, _failure(found), {**spec, "recreate": True})
    if found.status == "DELETING":
        return Row(resource, ("is being deleted, and is wanted again",), spec)
    status = going(found.status)
    return Row(resource, (status,) if status else (), spec)


def _failure(found: NodeGroupFacts | FargateFacts) -> tuple[str, ...]:
    codes = ", ".join(issue.code for issue in found.health)
    return (f"never worked ({codes or _FAILED}): it is deleted and made anew",)
