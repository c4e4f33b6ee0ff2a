"""Is what has the cluster's name ours, and can it become what the file asks. What is not ours is never touched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.providers.eks import names
from provision.providers.eks.checks.verdict import error
from provision.providers.eks.eksctl import ownership as eksctl
from provision.providers.eks.refusals import refusals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provision.model.eks import EksCluster
    from provision.model.plan import Finding
    from provision.providers.eks.checks.preflight_facts import Preflight
    from provision.providers.eks.facts import Observation


def foreign(cluster: EksCluster, seen: Observation, preflight: Preflight) -> Iterator[Finding]:  # noqa: ARG001 - all checks look alike
    """A cluster of that name was made by the backend of the file."""
    there = seen.cluster
    if there is None or there.owned:
        return
    place = f"the cluster {cluster.name} in {cluster.region} of account {seen.identity.account}"
    rename = "choose another `name` for yours"
    if names.owned(cluster.name, there.tags):
        message, fix = f"{place} was not made by eksctl, but by provision itself", "write `backend: boto3`"
    elif eksctl.owned(cluster.name, there.tags):
        message, fix = f"{place} was made by eksctl, for provision", "write `backend: eksctl`"
    elif eksctl.made_by_eksctl(cluster.name, there.tags):
        tag = f"aws eks tag-resource --resource-arn {there.arn} --tags {names.MANAGED_BY}={eksctl.BACKEND}"
        message = f"{place} was made by eksctl, but not by provision"
        fix = f"{rename}; or hand it over ({tag}) and write `backend: eksctl`"
    else:
        message, fix = f"{place} was not made by provision", f"{rename}: what others made is never changed"
    yield error("another-owner", message, fix)


def refused(cluster: EksCluster, seen: Observation, preflight: Preflight) -> Iterator[Finding]:  # noqa: ARG001 - all checks look alike
    """What AWS cannot do to what is there."""
    if seen.cluster is None or seen.cluster.owned:
        yield from refusals(cluster, seen)
