"""Check the account and the cluster before anything is changed. Pure.

`CHECKS` lists all checks: a new one is a function in the module of its topic and a line here. What the file alone
shows is checked when it is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from provision.providers.eks.checks import account, machines, network, ownership, versions
from provision.providers.eks.checks.context import Context, pending

if TYPE_CHECKING:
    from provision.model.eks import EksCluster
    from provision.model.plan import Finding
    from provision.providers.eks.checks.context import Preflight
    from provision.providers.eks.facts import Observation

Check = Callable[[Context], Iterator["Finding"]]

CHECKS: tuple[Check, ...] = (
    ownership.other_owner,
    ownership.unchangeable,
    ownership.eksctl_program,
    ownership.eksctl_busy,
    ownership.beyond_eksctl,
    account.credentials,
    account.permissions,
    account.quotas,
    versions.kubernetes,
    versions.addons,
    versions.kubectl,
    versions.endpoint,
    network.zones,
    network.ranges,
    network.subnets,
    machines.types,
    machines.zones,
    account.unanswered,
)


def check(cluster: EksCluster, observation: Observation, preflight: Preflight) -> tuple[Finding, ...]:
    """Return the findings of every check, errors first, then in the order of CHECKS."""
    context = Context(
        cluster=cluster,
        observation=observation,
        preflight=preflight,
        pending=pending(cluster, observation),
    )
    findings = [finding for run in CHECKS for finding in run(context)]
    return tuple(sorted(findings, key=lambda finding: finding.severity != "error"))
