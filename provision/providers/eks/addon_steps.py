"""Add-ons and pod identities: missing, different, failed, not wanted any more. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from provision.providers.eks import desired, names
from provision.providers.eks.view import Row, View, going, step, surplus

if TYPE_CHECKING:
    from provision.model.eks import Addon
    from provision.model.plan import PlaybookStep

_FAILED = "CREATE_FAILED"
_SYSTEM = "kube-system"


def addon_steps(view: View, needs: tuple[str, ...]) -> Iterator[PlaybookStep]:
    """First those without which nodes do not become ready, then, behind the nodes, the others."""
    first = [one for one in view.cluster.addons if one.name in desired.FIRST_ADDONS]
    others = [one for one in view.cluster.addons if one.name not in desired.FIRST_ADDONS]
    yield from step(
        "first-addons",
        "Bring the add-ons in step that nodes need",
        [_row(view, one) for one in first],
        action="addons",
        needs=needs,
        awaited=True,
    )
    places = has_places(view)
    yield from step(
        "addons",
        "Bring the other add-ons in step",
        [_row(view, one, places=places) for one in others],
        needs=(*needs, "first-addons", "pod-identities", "node-groups", "fargate-profiles"),
        variables={"pods_have_a_place": places},
    )
    wanted = {one.name for one in view.cluster.addons}
    old = [
        surplus("addon", names.addon(one.name), one.name)
        for one in view.seen.addons
        if one.owned and one.name not in wanted
    ]
    yield from step(
        "remove-addons",
        "Take away add-ons",
        old,
        action="delete",
        needs=(*needs, "first-addons", "node-groups", "addons"),
        variables={"in_order": False},
    )


def pod_identity_steps(view: View, needs: tuple[str, ...]) -> Iterator[PlaybookStep]:
    rows = []
    for wanted in view.cluster.pod_identities:
        found = view.seen.pod_identity(wanted.namespace, wanted.service_account)
        part = names.pod_role(wanted.namespace, wanted.service_account)
        role = names.role_name(view.cluster.region, view.cluster.name, part)
        reasons: tuple[str, ...] = ()
        if found is None:
            reasons = ("is missing",)
        elif found.role_arn != wanted.role_arn and (
            wanted.role_arn is not None or not found.role_arn.endswith(f"/{role}")
        ):
            reasons = (f"gives {found.role_arn}, not {wanted.role_arn or role}",)
        spec = {
            "namespace": wanted.namespace,
            "service_account": wanted.service_account,
            **({"role_arn": wanted.role_arn} if wanted.role_arn else {"role": role}),
        }
        rows.append(Row(names.pod_identity(wanted.namespace, wanted.service_account), reasons, spec))
    yield from step(
        "pod-identities", "Give service accounts their AWS permissions", rows, needs=(*needs, "roles")
    )
    wanted_keys = {(one.namespace, one.service_account) for one in view.cluster.pod_identities}
    old = [
        surplus("pod-identity", names.pod_identity(one.namespace, one.service_account), one.id)
        for one in view.seen.pod_identities
        if one.owned and (one.namespace, one.service_account) not in wanted_keys
    ]
    yield from step(
        "remove-pod-identities",
        "Take AWS permissions of service accounts away",
        old,
        action="delete",
        needs=(*needs, "pod-identities", "addons"),
        variables={"in_order": False},
    )


def has_places(view: View) -> bool:
    """Whether the pods of add-ons find a node, or run on Fargate."""
    return any(group.desired for group in view.cluster.node_groups) or _on_fargate(view)


def _on_fargate(view: View) -> bool:
    """Whether pods of kube-system run on Fargate, because there are no node groups."""
    selected = {one.namespace for profile in view.cluster.fargate_profiles for one in profile.selectors}
    return not view.cluster.node_groups and _SYSTEM in selected


def _row(view: View, addon: Addon, *, places: bool = True) -> Row:
    found = view.seen.addon(addon.name)
    resource = names.addon(addon.name)
    spec: dict[str, object] = {"name": addon.name, "version": addon.version}
    if addon.name == "coredns" and _on_fargate(view):
        spec["configuration"] = json.dumps({"computeType": "Fargate"})
    if found is None:
        return Row(resource, ("is missing",), spec)
    if found.status == _FAILED:
        codes = ", ".join(issue.code for issue in found.health)
        reason = f"never worked ({codes or _FAILED}): it is deleted and made anew"
        return Row(resource, (reason,), {**spec, "recreate": True})
    if found.status == "DELETING":
        return Row(resource, ("is being deleted, and is wanted again",), spec)
    reasons = []
    if addon.version and addon.version != found.version and view.running == view.cluster.kubernetes:
        reasons.append(f"is {found.version}, not {addon.version}")
    if found.status == "DEGRADED" and places:
        reasons.append("is DEGRADED")
    elif going(found.status):
        reasons.append(going(found.status))
    return Row(resource, tuple(reasons), spec)
