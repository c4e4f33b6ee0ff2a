"""Add-ons of EKS: read, compare, install, change, upgrade and delete them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from provision.providers.eks import names
from provision.providers.eks.facts import AddonFacts, health_issues
from provision.providers.eks.resources.cluster import read_cluster
from provision.providers.eks.steps.planning import (
    FAILED,
    NOT_IN_FILE,
    Change,
    Deletion,
    in_transition,
    never_worked,
)

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
_UPGRADED_LAST = "kube-proxy"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class AddonUpgrade(Change):
    """To `version`. `last`: after the others."""

    name: str
    version: str
    last: bool


def read_addon(cluster: str, name: str, account: Account) -> AddonFacts | None:
    """The add-on; None if there is none."""
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
    if found is None:
        yield "is missing"
    elif found.status == FAILED:
        yield never_worked(issue.code for issue in found.health)
    elif found.status == "DELETING":
        yield "is being deleted, and is wanted again"
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


def upgrade_changes(context: PlanContext, version: str) -> Iterator[AddonUpgrade]:
    """Add-ons whose version, after the upgrades to earlier minors, is not offered for the minor `version`."""
    for addon in context.cluster.addons:
        found = context.observation.addon(addon.name)
        if found is None or not _works(found):
            continue
        running = found.version
        for number in range(names.minor(context.running), names.minor(version)):
            running = _target(context, addon, f"1.{number}", running)
        target = _target(context, addon, version, running)
        if target != running:
            offer = context.observation.offer(addon.name, version)
            fits = offer is not None and running in offer.versions
            reason = f"is {running}, not {target}" if fits else f"{running} is not for Kubernetes {version}"
            last = addon.name == _UPGRADED_LAST
            yield AddonUpgrade(names.addon(addon.name), (reason,), name=addon.name, version=target, last=last)


def _target(context: PlanContext, addon: Addon, minor: str, running: str) -> str:
    """The version of an add-on for that minor: the running one where it fits, unless the file says another."""
    offer = context.observation.offer(addon.name, minor)
    if offer is None:
        return running
    if addon.version in offer.versions and minor == context.cluster.kubernetes:
        return addon.version or running
    return running if running in offer.versions else offer.default or running


def _works(found: AddonFacts) -> bool:
    return found.owned and found.status not in {FAILED, "DELETING", "DELETE_FAILED", "CREATING"}


def surplus(context: PlanContext) -> Iterator[Deletion]:
    wanted = {one.name for one in context.cluster.addons}
    for found in context.observation.addons:
        if found.owned and found.name not in wanted:
            yield Deletion(names.addon(found.name), (NOT_IN_FILE,), found.name)


def removals(context: PlanContext) -> Iterator[Deletion]:
    for found in context.observation.addons:
        if found.owned:
            yield Deletion(names.addon(found.name), ("provision made it",), found.name)


def ensure(work: Work) -> None:
    work.attempt_all(
        [
            (one.resource, f"bring in step ({_USUAL})", partial(_ensure, work, one))
            for one in work.changes(AddonChange)
        ]
    )


def upgrade(work: Work) -> None:
    """kube-proxy last: from its version a later run knows whether all of this was done."""
    for last in (False, True):
        tasks = [
            (one.resource, f"change version ({_USUAL})", partial(_upgrade, work, one))
            for one in work.changes(AddonUpgrade)
            if one.last is last
        ]
        if tasks and not work.attempt_all(tasks):
            return


def delete(work: Work) -> None:
    work.delete_all(Deletion, lambda one: _delete(work, one.resource, one.id))


def _delete(work: Work, resource: str, name: str) -> bool:
    eks, cluster = work.account.client("eks"), work.cluster.name
    return work.delete_and_wait(
        resource,
        read=lambda: _read(work, name),
        delete=lambda: eks.delete_addon(clusterName=cluster, addonName=name),
        limit=_DELETION,
    )


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
            _settled(work, change)
        return
    if found.status not in {"ACTIVE", "UPDATE_FAILED", "DEGRADED"}:
        found = _settled(work, change)
    if change.version is not None and found.version != change.version:
        yield from _change_version(work, resource, found, change.version)
        if awaits:
            _settled(work, change)
    elif awaits:
        _settled(work, change)


def _upgrade(work: Work, change: AddonUpgrade) -> Iterator[str]:
    found = _read(work, change.name)
    work.refuse_not_owned(change.resource, found)
    if found is None:
        return  # it was deleted since the plan: the next run makes it
    if found.status in {"CREATING", "UPDATING"}:
        found = _settled(work, change)
    if found.version != change.version:
        yield from _change_version(work, change.resource, found, change.version)
        _settled(work, change)


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


def _change_version(work: Work, resource: str, found: AddonFacts, version: str) -> Iterator[str]:
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


def _settled(work: Work, change: AddonChange | AddonUpgrade) -> AddonFacts:
    degraded_will_do = isinstance(change, AddonChange) and not change.pods_have_a_place
    return work.until_settled(
        change.resource,
        f"bring in step ({_USUAL})",
        lambda: _read(work, change.name),
        limit=_LIMIT,
        fix="look at `kubectl get pods -n kube-system`; then run the same command again",
        degraded_will_do=degraded_will_do,
    )
