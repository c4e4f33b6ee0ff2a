"""Step types that delete: what the file asks for no more, and everything, for a reset."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from provision.providers.eks import names
from provision.providers.eks.facts import (
    AccessEntryFacts,
    AddonFacts,
    FargateFacts,
    NodeGroupFacts,
    PodIdentityFacts,
)
from provision.providers.eks.resources import (
    access,
    addons,
    cluster,
    fargate,
    node_groups,
    orphan_deletion,
    roles,
    vpc_cleanup,
)
from provision.providers.eks.steps.planning import Deletion, EksStepType, PlanContext, step_type

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provision.providers.eks.facts import Child


def removal_types(inside: tuple[str, ...]) -> Iterator[EksStepType]:
    """What the file asks for no more; what uses a role goes before the role."""
    yield step_type(
        "remove-access",
        "Take former administrators' access away",
        partial(surplus, kind=AccessEntryFacts),
        access.delete_entries,
        needs=(*inside, "access"),
    )
    yield step_type(
        "remove-addons",
        "Take away add-ons",
        partial(surplus, kind=AddonFacts),
        addons.delete,
        needs=(*inside, "first-addons", "node-groups", "addons"),
    )
    yield step_type(
        "remove-pod-identities",
        "Take AWS permissions of service accounts away",
        partial(surplus, kind=PodIdentityFacts),
        access.delete_pod_identities,
        needs=(*inside, "pod-identities", "addons"),
    )
    yield step_type(
        "remove-node-groups",
        "Take away node groups",
        partial(surplus, kind=NodeGroupFacts),
        node_groups.delete,
        needs=(*inside, "node-groups", "fargate-profiles", "addons"),
        requires=lambda context: (one.resource for one in node_groups.changes(context) if one.reasons),
    )
    yield step_type(
        "remove-fargate-profiles",
        "Take away Fargate profiles, one after the other",
        partial(surplus, kind=FargateFacts),
        fargate.delete,
        needs=(*inside, "fargate-profiles", "node-groups", "addons"),
    )
    yield step_type(
        "remove-roles",
        "Take away roles",
        roles.surplus,
        roles.delete,
        needs=(
            *("network", "nat", "roles", *inside, "access", "remove-access", "first-addons", "addons"),
            *("remove-addons", "pod-identities", "remove-pod-identities", "node-groups"),
            *("remove-node-groups", "fargate-profiles", "remove-fargate-profiles", "nodes-ready"),
        ),
        requires=lambda context: (one.resource for one in surplus(context)),
    )


def reset_types() -> Iterator[EksStepType]:
    """Steps of a stage do not depend on each other; each needs all of the stages before."""
    stages = (
        (
            (
                "delete-load-balancers",
                "Delete the cluster's load balancers",
                orphan_deletion.load_balancer_removals,
                orphan_deletion.delete_load_balancers,
            ),
        ),
        (
            (
                "delete-target-groups",
                "Delete their target groups",
                orphan_deletion.target_group_removals,
                orphan_deletion.delete_target_groups,
            ),
        ),
        (
            (
                "delete-pod-identities",
                "Delete pod identities",
                partial(_made, kind=PodIdentityFacts),
                access.delete_pod_identities,
            ),
        ),
        (("delete-add-ons", "Delete add-ons", partial(_made, kind=AddonFacts), addons.delete),),
        (
            (
                "delete-fargate-profiles",
                "Delete Fargate profiles, one after the other",
                partial(_made, kind=FargateFacts),
                fargate.delete,
            ),
            (
                "delete-node-groups",
                "Delete node groups",
                partial(_made, kind=NodeGroupFacts),
                node_groups.delete,
            ),
        ),
        (("delete-cluster", "Delete the cluster", cluster.removals, cluster.delete),),
        (
            (
                "delete-leftovers",
                "Delete what the cluster left",
                orphan_deletion.orphan_removals,
                orphan_deletion.delete_orphans,
            ),
            (
                "delete-volumes",
                "Delete the volumes of claims",
                orphan_deletion.volume_removals,
                orphan_deletion.delete_volumes,
            ),
            ("delete-nat-gateways", "Delete NAT gateways", vpc_cleanup.nat_removals, vpc_cleanup.delete_nats),
        ),
        (
            (
                "delete-addresses",
                "Release addresses",
                vpc_cleanup.address_removals,
                vpc_cleanup.release_addresses,
            ),
        ),
        (("delete-network", "Delete the network", vpc_cleanup.network_removals, vpc_cleanup.delete_network),),
        (("delete-roles", "Delete roles", roles.removals, roles.delete),),
    )
    before: tuple[str, ...] = ()
    for stage in stages:
        for name, summary, removals, effect in stage:
            # What depends on one resource would keep those behind it, too.
            yield step_type(name, summary, removals, effect, needs=before, resets=True)
        before = (*before, *(name for name, *_ in stage))


def surplus(context: PlanContext, kind: type[Child] | None = None) -> Iterator[Deletion]:
    """What the file asks for no more inside of the cluster: of one kind, or all of it."""
    wanted = {resource for _, resource in names.wanted_children(context.cluster)}
    for one in _made(context, kind):
        if one.resource not in wanted:
            yield replace(one, reasons=("is not in the file any more",))


def _made(context: PlanContext, kind: type[Child] | None) -> Iterator[Deletion]:
    """What provision made inside of the cluster."""
    for resource, id_, found in context.observation.children:
        if found.owned and (kind is None or isinstance(found, kind)):
            nodes = f" ({found.desired} nodes)" if isinstance(found, NodeGroupFacts) else ""
            yield Deletion(resource, (f"provision made it{nodes}",), id_)
