"""Everything that provider eks can do, as one ordered table: what plans a step, what carries it out, what it needs.

    network ─┬─ nat ──────────────────────────┬─ node groups ─┬─ other add-ons ─ nodes ready
    roles ───┴─ cluster ─┬─ first add-ons ────┘               │
                         ├─ access, pod identities ───────────┤
                         └─ Fargate profiles ─────────────────┘

An upgrade comes before everything that is made in the cluster: from the running minor to the file's one at a time, and
each time control plane, add-ons, node groups, so that the skew between them is never more than one. What the file does
not ask for any more goes last. A reset deletes in the order in which AWS lets resources go; roles go last: as long as
one is there, an interrupted reset knows that the orphans of that cluster are its own.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from provision.engine.catalogue import Catalogue
from provision.providers.eks import names
from provision.providers.eks.resources import (
    access,
    addon_upgrades,
    addons,
    cluster,
    fargate,
    nat,
    network,
    node_groups,
    nodes,
    roles,
    tags,
)
from provision.providers.eks.steps.planning import Change, EksStep, EksStepType, PlanContext, step_type
from provision.providers.eks.steps.removals import removal_types, reset_types, surplus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from provision.model.eks import EksCluster
    from provision.providers.eks.facts import Observation, Orphans

_IN_CLUSTER = ("cluster", "cluster-settings")


def apply_plan(cluster: EksCluster, observation: Observation) -> tuple[EksStep, ...]:
    """The steps that bring the account to what the file says; () if there is nothing to do."""
    return _plan(PlanContext(cluster, observation))


def reset_plan(
    cluster: EksCluster, observation: Observation, orphans: Orphans, *, delete_volumes: bool
) -> tuple[EksStep, ...]:
    """The steps that delete the cluster; () if nothing that provision made is there."""
    return _plan(PlanContext(cluster, observation, orphans, delete_volumes))


def _plan(context: PlanContext) -> tuple[EksStep, ...]:
    return Catalogue(step_types(_upgraded_minors(context))).plan(context)


def step_types(minors: tuple[str, ...]) -> tuple[EksStepType, ...]:
    """Every step type, of apply and of reset, with those of an upgrade through these minors ("1.35")."""
    return (*_apply_types(minors), *reset_types())


def effect_of(step: EksStep) -> Callable[[Any], None]:
    """What carries a planned step out; it is called with a Work."""
    minor = step.name.rpartition("-")[2] if step.name.startswith("upgrade-") else ""
    types = step_types((minor,) if minor else ())
    return next(one.effect for one in types if one.name == step.name)


def _apply_types(minors: tuple[str, ...]) -> Iterator[EksStepType]:
    yield step_type("network", "Make the VPC with its subnets", network.changes, network.ensure, awaited=True)
    yield step_type(
        "roles", "Make the roles of the cluster and its nodes", roles.changes, roles.ensure, awaited=True
    )
    yield step_type(
        "nat",
        "Give the private subnets a way out",
        nat.changes,
        nat.ensure,
        needs=("network",),
        requires=lambda _context: nat.REQUIRED,
        awaited=True,
    )
    yield step_type(
        "cluster",
        "Make the control plane with Kubernetes {kubernetes}",
        cluster.changes,
        cluster.ensure,
        needs=("network", "roles"),
        requires=cluster.required,
        awaited=True,
    )
    yield step_type(
        "cluster-settings",
        "Change settings of the control plane",
        cluster.setting_changes,
        cluster.change_settings,
        needs=("roles",),
        awaited=True,
    )
    upgrades = tuple(_upgrade_types(minors))
    yield from upgrades
    inside = (*_IN_CLUSTER, *(one.name for one in upgrades))
    yield step_type(
        "tags",
        "Bring the tags in step",
        lambda context: tags.changes(context, _leaving(context)),
        tags.ensure,
        needs=inside,
    )
    yield step_type(
        "access",
        "Let the administrators in",
        access.entry_changes,
        access.ensure_entries,
        needs=inside,
    )
    yield step_type(
        "first-addons",
        "Bring the add-ons in step that nodes need",
        _first_addons,
        addons.ensure,
        needs=inside,
        awaited=True,
    )
    yield step_type(
        "pod-identities",
        "Give service accounts their AWS permissions",
        access.pod_identity_changes,
        access.ensure_pod_identities,
        needs=(*inside, "roles"),
    )
    yield step_type(
        "node-groups",
        "Bring the node groups in step",
        node_groups.changes,
        node_groups.ensure,
        needs=(*inside, "nat", "first-addons"),
        requires=_required_by_nodes,
    )
    yield step_type(
        "fargate-profiles",
        "Make the Fargate profiles, one after the other",
        fargate.changes,
        fargate.ensure,
        needs=(*inside, "nat"),
        requires=lambda _context: (names.FARGATE_ROLE,),
    )
    yield step_type(
        "addons",
        "Bring the other add-ons in step",
        partial(addons.changes, first=False),
        addons.ensure,
        needs=(*inside, "first-addons", "pod-identities", "node-groups", "fargate-profiles"),
    )
    yield step_type(
        "nodes-ready",
        "Wait until the nodes are ready",
        _ready_nodes,
        nodes.await_nodes,
        needs=(
            "cluster",
            *(one.name for one in upgrades if "node-groups" in one.name),
            "first-addons",
            "node-groups",
        ),
    )
    yield from removal_types(inside)


def _upgrade_types(minors: tuple[str, ...]) -> Iterator[EksStepType]:
    """Control plane, add-ons and node groups, minor by minor. The first one only finishes an interrupted upgrade."""
    before: tuple[str, ...] = _IN_CLUSTER
    for minor in minors:
        control_plane, add_ons, groups = (
            f"upgrade-{part}-{minor}" for part in ("control-plane", "addons", "node-groups")
        )
        yield step_type(
            control_plane,
            f"Upgrade the control plane to Kubernetes {minor}",
            partial(_control_plane_upgrade, minor=minor),
            cluster.upgrade_control_plane,
            needs=before,
            # Not while an add-on or a node group could not follow to the minor before.
            requires=_parts_of_file,
            awaited=True,
        )
        yield step_type(
            add_ons,
            f"Bring the add-ons to versions for Kubernetes {minor}",
            partial(addon_upgrades.upgrade_changes, version=minor),
            addon_upgrades.upgrade,
            needs=(*before, control_plane),
            requires=lambda _context: (names.CLUSTER_RESOURCE,),
            awaited=True,
        )
        yield step_type(
            groups,
            f"Upgrade the node groups to Kubernetes {minor}",
            partial(node_groups.upgrade_changes, version=minor),
            node_groups.upgrade,
            needs=(*before, control_plane, add_ons),
            requires=lambda _context: (names.CLUSTER_RESOURCE, *map(names.addon, addons.FIRST_ADDONS)),
            awaited=True,
        )
        before = (*before, control_plane, add_ons, groups)


def _upgraded_minors(context: PlanContext) -> tuple[str, ...]:
    """The running minor, whose upgrade may have been interrupted, and those up to the file's; () for a new cluster."""
    if context.observation.cluster is None or cluster.is_new(context.observation.cluster):
        return ()
    last = names.minor(context.cluster.kubernetes)
    return tuple(f"1.{number}" for number in range(names.minor(context.running), last + 1))


def _control_plane_upgrade(context: PlanContext, *, minor: str) -> Iterable[Change]:
    return cluster.upgrade_changes(minor) if minor != context.running else ()


def _parts_of_file(context: PlanContext) -> Iterator[str]:
    yield from (names.node_group(group.name) for group in context.cluster.node_groups)
    yield from (names.addon(addon.name) for addon in context.cluster.addons)


def _first_addons(context: PlanContext) -> Iterator[addons.AddonChange]:
    return addons.changes(context, first=True)


def _required_by_nodes(context: PlanContext) -> Iterator[str]:
    yield names.NODE_ROLE
    yield from (names.addon(one.name) for one in context.cluster.addons if one.name in addons.FIRST_ADDONS)
    if context.cluster.vpc.subnets is None:
        yield from (names.nat(zone) for zone in nat.nat_zones(context.cluster, context.zones))
        yield from (names.private_routes(zone) for zone in context.zones)


def _ready_nodes(context: PlanContext) -> Iterable[Change]:
    """Nodes are waited for where something is done that they feel."""
    felt = (
        *cluster.changes(context),
        *_first_addons(context),
        *node_groups.changes(context),
        *(one for minor in _upgraded_minors(context) for one in node_groups.upgrade_changes(context, minor)),
    )
    return nodes.changes(context) if any(one.reasons for one in felt) else ()


def _leaving(context: PlanContext) -> Iterator[str]:
    """Resources that are deleted, also to be replaced."""
    yield from (one.resource for one in (*surplus(context), *roles.surplus(context)))
    for change in nat.changes(context):
        if isinstance(change, nat.AddressDeletion | nat.NatDeletion):
            yield change.resource
    replaced: tuple[addons.AddonChange | node_groups.NodeGroupChange | fargate.FargateChange, ...] = (
        *_first_addons(context),
        *addons.changes(context, first=False),
        *node_groups.changes(context),
        *fargate.changes(context),
    )
    yield from (one.resource for one in replaced if one.recreate)
