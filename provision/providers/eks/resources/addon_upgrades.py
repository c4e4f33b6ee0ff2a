"""Upgrades of add-ons: the versions that EKS offers for a minor of Kubernetes, and what must follow to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from provision.providers.eks import names
from provision.providers.eks.aws.calls import together
from provision.providers.eks.facts import AddonFacts, AddonOffer, Observation
from provision.providers.eks.resources.addons import change_version, read_addon, settled
from provision.providers.eks.steps.planning import FAILED, Change

if TYPE_CHECKING:
    from provision.model.eks import Addon, EksCluster
    from provision.providers.eks.aws.account import Account
    from provision.providers.eks.steps.execution import Work
    from provision.providers.eks.steps.planning import PlanContext

_USUAL = "usually 1 to 2 minutes"
_UPGRADED_LAST = "kube-proxy"


@dataclass(frozen=True, slots=True, kw_only=True)
class AddonUpgrade(Change):
    """To `version`. `last`: after the others."""

    name: str
    version: str
    last: bool


def read_offers(cluster: EksCluster, account: Account, seen: Observation) -> tuple[AddonOffer, ...]:
    """Offers for the add-ons of the file that are there, for each minor that the upgrade passes."""
    installed = [one.name for one in cluster.addons if seen.addon(one.name) is not None]
    calls = [
        partial(read_offer, account, name, version)
        for version in versions(cluster, seen)
        for name in installed
    ]
    return tuple(together(calls)) if calls else ()


def versions(cluster: EksCluster, seen: Observation) -> tuple[str, ...]:
    """The minors whose add-ons matter now: those of the upgrade, and the running one if add-ons may lag behind it."""
    if seen.cluster is None:
        return ()
    running, wanted = names.minor(seen.cluster.version), names.minor(cluster.kubernetes)
    lagging = (f"1.{running}",) if _may_lag(seen) else ()
    return (*lagging, *(f"1.{number}" for number in range(running + 1, wanted + 1)))


def _may_lag(seen: Observation) -> bool:
    """Whether an upgrade of the add-ons was perhaps cut off.

    kube-proxy is the last add-on of an upgrade, and node groups come after it: where they have the cluster's version,
    everything before has been done.
    """
    if seen.cluster is None:
        return False
    running = seen.cluster.version
    proxy = seen.addon("kube-proxy")
    if proxy is not None and proxy.owned:
        return not proxy.version.startswith(f"v{running}.")
    groups = [group for group in seen.node_groups if group.owned]
    return not groups or any(group.version != running for group in groups)


def read_offer(account: Account, addon: str, kubernetes: str) -> AddonOffer:
    """Versions of the add-on that EKS offers for the minor; none for an unknown add-on."""
    pages = account.client("eks").get_paginator("describe_addon_versions")
    listed = [
        one
        for page in pages.paginate(kubernetesVersion=kubernetes, addonName=addon)
        for found in page["addons"]
        for one in found.get("addonVersions", ())
    ]
    default = [
        one["addonVersion"]
        for one in listed
        for fit in one.get("compatibilities", ())
        if fit.get("defaultVersion") and fit.get("clusterVersion") == kubernetes
    ]
    fitting = tuple(
        one["addonVersion"]
        for one in listed
        if any(fit.get("clusterVersion") == kubernetes for fit in one.get("compatibilities", ()))
    )
    return AddonOffer(
        addon=addon,
        kubernetes=kubernetes,
        versions=fitting,
        default=default[0] if default else next(iter(fitting), ""),
    )


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


def _upgrade(work: Work, change: AddonUpgrade) -> Iterator[str]:
    found = read_addon(work.cluster.name, change.name, work.account)
    work.refuse_not_owned(change.resource, found)
    if found is None:
        return  # it was deleted since the plan: the next run makes it
    if found.status in {"CREATING", "UPDATING"}:
        found = settled(work, change.resource, change.name)
    if found.version != change.version:
        yield from change_version(work, change.resource, found, change.version)
        settled(work, change.resource, change.name)
