"""From what the file asks for and what was seen to the steps that are missing, each with its reasons. Pure.

A step is in the plan only if a resource needs it, and names only those resources: no step, nothing to do. The names of
its resources stand where hosts stand for kubeadm; what each is made of stands in `host_variables`.

    network ─┬─ nat ──────────────────────────┬─ node groups ─┬─ other add-ons ─ nodes ready
    roles ───┴─ cluster ─┬─ first add-ons ────┘               │
                         ├─ access, pod identities ───────────┤
                         └─ Fargate profiles ─────────────────┘

What is not wanted any more goes last. An upgrade comes before everything that is made in the cluster.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from provision.providers.eks import desired
from provision.providers.eks.addon_steps import addon_steps, pod_identity_steps
from provision.providers.eks.cluster_steps import access_steps, cluster_steps, role_steps
from provision.providers.eks.compute_steps import fargate_steps, node_group_steps, nodes_ready_steps
from provision.providers.eks.network_steps import network_steps
from provision.providers.eks.tag_steps import tag_steps
from provision.providers.eks.upgrade_steps import upgrade_steps
from provision.providers.eks.view import Row, View, step

if TYPE_CHECKING:
    from provision.model.eks import EksCluster
    from provision.model.plan import PlaybookPlan, PlaybookStep
    from provision.providers.eks.facts import Observation

# A removal is last, and in this order: what uses a role goes before the role.
_ORDER = (
    "network",
    "roles",
    "nat",
    "cluster",
    "cluster-settings",
    "upgrade",
    "tags",
    "access",
    "first-addons",
    "pod-identities",
    "node-groups",
    "fargate-profiles",
    "addons",
    "nodes-ready",
)


def plan(cluster: EksCluster, observation: Observation) -> PlaybookPlan:
    """The steps in an order in which they could also run one by one; () if there is nothing to do."""
    view = View(cluster, observation)
    before = ("cluster", "cluster-settings")
    upgrade = tuple(upgrade_steps(view, before))
    inside = (*before, *(one.name for one in upgrade))
    steps = [
        *network_steps(view),
        *role_steps(view),
        *cluster_steps(view),
        *upgrade,
        *access_steps(view, inside),
        *addon_steps(view, inside),
        *pod_identity_steps(view, inside),
        *node_group_steps(view, inside),
        *fargate_steps(view, inside),
    ]
    steps += nodes_ready_steps(view, tuple(steps))
    steps += _old_roles(view, steps)
    steps += tag_steps(view, inside, frozenset(_leaving(steps)))
    return tuple(sorted(_with_known_needs(steps), key=_rank))


def _old_roles(view: View, before: list[PlaybookStep]) -> Iterator[PlaybookStep]:
    """Roles of ours that nothing in the file needs any more."""
    wanted = desired.role_parts(view.cluster)
    rows = [
        Row(role.part or role.name, ("is not needed any more",), {"kind": "role", "id": role.name})
        for role in view.seen.roles
        if role.owned and role.part not in wanted
    ]
    users = [host for one in before if one.name.startswith("remove-") for host in one.hosts]
    needs = tuple(one.name for one in before)
    yield from step(
        "remove-roles",
        "Take away roles",
        rows,
        action="delete",
        needs=needs,
        requires=users,
        variables={"in_order": False},
    )


def _leaving(steps: list[PlaybookStep]) -> Iterator[str]:
    """Resources that are deleted, also to be made anew: AWS takes no tags for them meanwhile."""
    for one in steps:
        for host in one.hosts:
            spec = one.host_variables.get(host, {})
            if one.name.startswith("remove-") or spec.get("remove") or spec.get("recreate"):
                yield host


def _with_known_needs(steps: list[PlaybookStep]) -> Iterator[PlaybookStep]:
    """Needs that are not in the plan are fulfilled; they are left out, for whoever reads it."""
    there = {one.name for one in steps}
    for one in steps:
        yield replace(one, needs=tuple(need for need in one.needs if need in there))


def _rank(one: PlaybookStep) -> int:
    name = "upgrade" if one.name.startswith("upgrade-") else one.name
    return _ORDER.index(name) if name in _ORDER else len(_ORDER)
