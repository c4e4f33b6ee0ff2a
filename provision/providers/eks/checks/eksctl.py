"""Can the backend eksctl do what the file asks of a cluster that is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.providers.eks import names
from provision.providers.eks.checks.verdict import error, warning
from provision.providers.eks.resources.cluster_settings import settings
from provision.providers.eks.resources.node_group_spec import differences as node_group_differences

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provision.model.eks import EksCluster
    from provision.model.plan import Finding
    from provision.providers.eks.checks.preflight_facts import Preflight
    from provision.providers.eks.facts import ClusterFacts, Observation

_AT_WORK = {"CREATING", "PENDING", "UPDATING"}
_SIZES = ("min is", "desired is", "max is")


def usable(cluster: EksCluster, seen: Observation, preflight: Preflight) -> Iterator[Finding]:  # noqa: ARG001 - all checks look alike
    """There is an eksctl, and it is new enough."""
    if preflight.eksctl is not None:
        yield error("eksctl", preflight.eksctl.message, preflight.eksctl.fix)


def at_work(cluster: EksCluster, seen: Observation, preflight: Preflight) -> Iterator[Finding]:  # noqa: ARG001 - all checks look alike
    """CloudFormation goes on after eksctl was stopped, and takes no other work until it is done."""
    there = _ours(cluster, seen)
    if there is not None and there.status in _AT_WORK:
        yield error(
            "cluster-state",
            f"the cluster is {there.status}: CloudFormation is still at work on it",
            "run the same command again when it is done, in about ten minutes",
        )


def beyond(cluster: EksCluster, seen: Observation, preflight: Preflight) -> Iterator[Finding]:  # noqa: ARG001 - all checks look alike
    """Differences that stay: this backend has eksctl make, scale, upgrade and delete."""
    there = _ours(cluster, seen)
    if there is None:
        return
    differences = {"cluster": [reason for reason, change in settings(cluster, there).values() if change]}
    for group in cluster.node_groups:
        found = seen.node_group(group.name)
        if found is not None and found.owned:
            differences[names.node_group(group.name)] = [
                reason for reason in node_group_differences(group, found) if not reason.startswith(_SIZES)
            ]
    for where, reasons in differences.items():
        if reasons:
            yield warning(
                "not-by-eksctl",
                f"{'; '.join(reasons)}: the backend eksctl does not change that",
                "change it with eksctl or in the console, or write what is there into the file",
                where=where,
            )


def _ours(cluster: EksCluster, seen: Observation) -> ClusterFacts | None:
    there = seen.cluster
    return there if cluster.backend == "eksctl" and there is not None and there.owned else None
