"""Reads which versions of add-ons EKS offers, where an upgrade of Kubernetes is due or was interrupted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.providers.eks import names
from provision.providers.eks.aws.calls import together
from provision.providers.eks.facts import AddonOffer, Observation

if TYPE_CHECKING:
    from collections.abc import Callable

    from provision.model.eks import EksCluster
    from provision.providers.eks.aws.account import Account


def read_offers(cluster: EksCluster, account: Account, seen: Observation) -> tuple[AddonOffer, ...]:
    """Offers for the add-ons of the file that are there, for each minor that the upgrade passes."""
    installed = [one.name for one in cluster.addons if seen.addon(one.name) is not None]
    calls = [_reading(account, name, version) for version in versions(cluster, seen) for name in installed]
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


def _reading(account: Account, addon: str, kubernetes: str) -> Callable[[], AddonOffer]:
    return lambda: _read_one(account, addon, kubernetes)


def _read_one(account: Account, addon: str, kubernetes: str) -> AddonOffer:
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
