"""Check who owns the existing cluster, and that the backend can change it to what the file asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.model.plan import Finding
from provision.providers.eks import names
from provision.providers.eks.checks.refusals import refusals
from provision.providers.eks.eksctl import ownership as eksctl
from provision.providers.eks.resources.cluster_settings import settings
from provision.providers.eks.resources.node_group_spec import differences as node_group_differences

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provision.providers.eks.checks.context import Context
    from provision.providers.eks.facts import ClusterFacts

_BUSY = {"CREATING", "PENDING", "UPDATING"}
_SIZES = ("min is", "desired is", "max is")


def other_owner(context: Context) -> Iterator[Finding]:
    """An existing cluster of that name was created by the backend of the file; others are never changed."""
    cluster, observation = context.cluster, context.observation
    there = observation.cluster
    if there is None or there.owned:
        return
    place = f"the cluster {cluster.name} in {cluster.region} of account {observation.identity.account}"
    rename = "choose another `name`"
    if names.owned(cluster.name, there.tags):
        message, fix = f"{place} was not created by eksctl, but by provision itself", "write `backend: boto3`"
    elif eksctl.owned(cluster.name, there.tags):
        message, fix = f"{place} was created by eksctl, for provision", "write `backend: eksctl`"
    elif eksctl.created_by_eksctl(cluster.name, there.tags):
        tag = f"aws eks tag-resource --resource-arn {there.arn} --tags {names.MANAGED_BY}={eksctl.BACKEND}"
        message = f"{place} was created by eksctl, but not by provision"
        fix = f"{rename}; or hand it over ({tag}) and write `backend: eksctl`"
    else:
        message, fix = (
            f"{place} was not created by provision",
            f"{rename}: clusters with another owner are never changed",
        )
    yield Finding.error("another-owner", "", message, fix)


def unchangeable(context: Context) -> Iterator[Finding]:
    """Differences that AWS cannot apply to an existing cluster."""
    if (found := context.observation.cluster) is None or found.owned:
        yield from refusals(context.cluster, context.observation)


def eksctl_program(context: Context) -> Iterator[Finding]:
    """There is an eksctl on PATH, and it is new enough."""
    if (problem := context.preflight.eksctl) is not None:
        yield Finding.error("eksctl", "", problem.message, problem.fix)


def eksctl_busy(context: Context) -> Iterator[Finding]:
    """CloudFormation continues after eksctl was stopped, and accepts no other change until it has finished."""
    found = _eksctl_cluster(context)
    if found is not None and found.status in _BUSY:
        yield Finding.error(
            "cluster-state",
            "",
            f"the cluster is {found.status}: CloudFormation is still working on it",
            "run the same command again when it has finished, in about ten minutes",
        )


def beyond_eksctl(context: Context) -> Iterator[Finding]:
    """Warn of differences that stay: eksctl is run to create, scale, upgrade and delete only."""
    cluster, observation, found = context.cluster, context.observation, _eksctl_cluster(context)
    if found is None:
        return
    differences = {"cluster": [reason for reason, change in settings(cluster, found).values() if change]}
    for group in cluster.node_groups:
        existing = observation.node_group(group.name)
        if existing is not None and existing.owned:
            differences[names.node_group(group.name)] = [
                reason for reason in node_group_differences(group, existing) if not reason.startswith(_SIZES)
            ]
    for where, reasons in differences.items():
        if reasons:
            yield Finding.warning(
                "not-by-eksctl",
                where,
                f"{'; '.join(reasons)}: the backend eksctl does not change that",
                "change it with eksctl or in the console, or write the present value into the file",
            )


def _eksctl_cluster(context: Context) -> ClusterFacts | None:
    """The existing cluster if it is owned by this backend and the backend is eksctl."""
    found = context.observation.cluster
    return found if context.cluster.backend == "eksctl" and found is not None and found.owned else None
