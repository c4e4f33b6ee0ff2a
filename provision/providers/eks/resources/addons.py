"""Add-ons of EKS: read, compare, install, change, upgrade and delete them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from provision.providers.eks import names
from provision.providers.eks.facts import AddonFacts, health_issues
from provision.providers.eks.resources.cluster import read_cluster
from provision.providers.eks.steps.planning import FAILED, Change, Deletion, in_transition, unusable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provision.model.eks import Addon
    from provision.providers.eks.aws.account import Account
    from provision.providers.eks.steps.execution import Work
    from provision.providers.eks.steps.planning import PlanContext

_LIMIT, _DELETION = 1800.0, 1200.0  # seconds
_USUAL = "usually 1 to 2 minutes"
# Without these nodes do not become ready, so that they come before the node groups; the others need nodes.
FIRST_ADDONS = ("vpc-cni", "kube-proxy", "eks-pod-identity-agent")


@dataclass(frozen=True, slots=True, kw_only=True)
class AddonChange(Change):
    """`version` None: EKS's default. `recreate`: it never worked and is replaced. `configuration` is JSON.

    `pods_have_a_place` false: no node and no Fargate profile runs its pods, so that it never becomes ACTIVE.
    """

    name: str
    version: str | None
    configuration: str = ""
    recreate: bool = False
    pods_have_a_place: bool = True


def read_addon(cluster: str, name: str, account: Account) -> AddonFacts | None:
    eks = account.client("eks")
    try:
        found: Any = eks.describe_addon(clusterName=cluster, addonName=name)["addon"]
    except eks.exceptions.ResourceNotFoundException:
        return None
    tags = found.get("tags", {})
    return AddonFacts(
        name=name,
        arn=found["addonArn"],
        status=found["status"],
        version=found.get("addonVersion", ""),
        created=found.get("createdAt"),
        owned=names.owned(cluster, tags),
        health=health_issues((found.get("health") or {}).get("issues", ())),
        tags=tags,
    )


def changes(context: PlanContext, *, first: bool) -> Iterator[AddonChange]:
    """`first`: of the add-ons without which nodes do not become ready; else of the others."""
    places = first or has_places(context)
    for addon in context.cluster.addons:
        if (addon.name in FIRST_ADDONS) is not first:
            continue
        found = context.observation.addon(addon.name)
        on_fargate = addon.name == "coredns" and _on_fargate(context)
        yield AddonChange(
            names.addon(addon.name),
            tuple(_reasons(context, addon, found, places=places)),
            name=addon.name,
            version=addon.version,
            configuration=json.dumps({"computeType": "Fargate"}) if on_fargate else "",
            recreate=found is not None and found.status == FAILED,
            pods_have_a_place=places,
        )


def _reasons(context: PlanContext, addon: Addon, found: AddonFacts | None, *, places: bool) -> Iterator[str]:
    why = unusable(found)
    if found is None or why:
        yield why
    else:
        settled = context.running == context.cluster.kubernetes
        if addon.version and addon.version != found.version and settled:
            yield f"is {found.version}, not {addon.version}"
        if found.status == "DEGRADED" and places:
            yield "is DEGRADED"
        elif in_transition(found.status):
            yield in_transition(found.status)


def has_places(context: PlanContext) -> bool:
    """Whether the pods of add-ons find a node, or run on Fargate."""
    return any(group.desired for group in context.cluster.node_groups) or _on_fargate(context)


def _on_fargate(context: PlanContext) -> bool:
    """Whether pods of kube-system run on Fargate, because there are no node groups."""
    cluster = context.cluster
    selected = {one.namespace for profile in cluster.fargate_profiles for one in profile.selectors}
    return not cluster.node_groups and "kube-system" in selected


def ensure(work: Work) -> None:
    work.attempt_each(AddonChange, f"bring in step ({_USUAL})", _ensure)


def delete(work: Work) -> None:
    work.delete_all(Deletion, lambda one: _delete(work, one.resource, one.id))


def _delete(work: Work, resource: str, name: str) -> bool:
    request = partial(work.account.client("eks").delete_addon, clusterName=work.cluster.name, addonName=name)
    return work.delete_and_wait(resource, read=partial(_read, work, name), delete=request, limit=_DELETION)


def _read(work: Work, name: str) -> AddonFacts | None:
    return read_addon(work.cluster.name, name, work.account)


def _ensure(work: Work, change: AddonChange) -> Iterator[str]:
    resource, name = change.resource, change.name
    found = _read(work, name)
    work.refuse_not_owned(resource, found)
    failed = ""
    never_worked = found is not None and found.status == FAILED
    if found is not None and (found.status == "DELETING" or (change.recreate and never_worked)):
        failed = str(found.created)
        _delete(work, resource, name)
        yield "deleted it, because it never worked" if never_worked else "saw its deletion end"
        found = None
    awaits = work.awaits and change.pods_have_a_place
    if found is None:
        yield from _create(work, change, failed)
        if awaits:
            settled(work, resource, name)
        return
    if found.status not in {"ACTIVE", "UPDATE_FAILED", "DEGRADED"}:
        found = settled(work, resource, name, degraded_will_do=not change.pods_have_a_place)
    if change.version is not None and found.version != change.version:
        yield from change_version(work, resource, found, change.version)
    if awaits:
        settled(work, resource, name)


def _create(work: Work, change: AddonChange, failed: str) -> Iterator[str]:
    eks = work.account.client("eks")
    request: dict[str, Any] = {
        "clusterName": work.cluster.name,
        "addonName": change.name,
        "resolveConflicts": "OVERWRITE",
        "tags": work.tags(change.resource),
    }
    if change.version is not None:
        request["addonVersion"] = change.version
    if change.configuration:
        request["configurationValues"] = change.configuration
    # The time of its creation distinguishes this cluster from an earlier one of the same name.
    cluster = read_cluster(work.cluster.name, work.account)
    token = work.token({**request, "cluster": str(cluster.created) if cluster else "", "failed": failed})
    made: Any = work.once_idle(
        change.resource, "create add-on", lambda: eks.create_addon(**request, clientRequestToken=token)
    )["addon"]
    yield f"made {change.name} {made.get('addonVersion', '')}".rstrip()


def change_version(work: Work, resource: str, found: AddonFacts, version: str) -> Iterator[str]:
    """Objects of the add-on that users changed in the cluster are kept."""
    eks = work.account.client("eks")
    update: Any = work.once_idle(
        resource,
        "change version",
        lambda: eks.update_addon(
            clusterName=work.cluster.name,
            addonName=found.name,
            addonVersion=version,
            resolveConflicts="PRESERVE",
            clientRequestToken=work.token({"from": found.version, "to": version, "made": str(found.created)}),
        ),
    )["update"]
    yield f"went from {found.version} to {version}"
    if work.awaits:
        what = f"change to {version}"
        work.until_updated(resource, what, update["id"], limit=_LIMIT, addonName=found.name)


def settled(work: Work, resource: str, name: str, *, degraded_will_do: bool = False) -> AddonFacts:
    """The add-on, once it is ACTIVE. Raises UnhealthyError if it fails."""
    return work.until_settled(
        resource,
        f"bring in step ({_USUAL})",
        lambda: read_addon(work.cluster.name, name, work.account),
        limit=_LIMIT,
        fix="look at `kubectl get pods -n kube-system`; then run the same command again",
        degraded_will_do=degraded_will_do,
    )
