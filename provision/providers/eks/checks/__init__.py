"""What is wrong with the account or the cluster, before anything is changed. Pure.

`CHECKS` is the one list of all rules: a new one is a function in the file of its topic and a line here.
What can be known from the file alone is checked when that is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from provision.providers.eks.checks import account, eksctl, machines, network, ownership, versions

if TYPE_CHECKING:
    from provision.model.eks import EksCluster
    from provision.model.plan import Finding
    from provision.providers.eks.checks.preflight_facts import Preflight
    from provision.providers.eks.facts import Observation

Check = Callable[["EksCluster", "Observation", "Preflight"], Iterator["Finding"]]

CHECKS: tuple[Check, ...] = (
    ownership.foreign,
    ownership.refused,
    eksctl.usable,
    eksctl.at_work,
    eksctl.beyond,
    account.credentials,
    account.permissions,
    account.room,
    versions.kubernetes,
    versions.addons,
    versions.kubectl,
    versions.endpoint,
    network.zones,
    network.ranges,
    network.subnets,
    machines.types,
    machines.zones,
    account.unasked,
)


def check(cluster: EksCluster, observation: Observation, preflight: Preflight) -> tuple[Finding, ...]:
    """Every finding of every check, errors first, then in the order of the list."""
    findings = [finding for rule in CHECKS for finding in rule(cluster, observation, preflight)]
    return tuple(sorted(findings, key=lambda finding: finding.severity != "error"))
