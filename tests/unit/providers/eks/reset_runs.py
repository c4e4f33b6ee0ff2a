"""Run `provision reset` against the account of the tests, without the command line."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from provision.engine.events import Event, HostFailed
from provision.engine.executor import RunOutcome, execute
from provision.providers.eks.aws.account import account_of
from provision.providers.eks.aws.calls import Pace
from provision.providers.eks.operations.observe import observe
from provision.providers.eks.resources.orphans import observe_orphans, remaining, reset_findings
from provision.providers.eks.steps.catalogue import reset_plan
from provision.providers.eks.steps.runner import Actions
from tests.unit.providers.eks.apply_runs import SMALL
from tests.unit.providers.eks.fault_injection import Killer, killed_account

if TYPE_CHECKING:
    from provision.model.eks import EksCluster
    from provision.model.plan import Finding
    from provision.providers.eks.steps.planning import EksStep


@dataclass(slots=True)
class Reset:
    """What a reset planned and emitted."""

    plan: tuple[EksStep, ...]
    outcome: RunOutcome
    events: list[Event] = field(default_factory=list)

    @property
    def failures(self) -> list[HostFailed]:
        return [event for event in self.events if isinstance(event, HostFailed)]


def planned(cluster: EksCluster = SMALL, *, delete_volumes: bool = False) -> tuple[EksStep, ...]:
    account = account_of(cluster)
    seen = observe(cluster, account, lambda _event: None)
    return reset_plan(cluster, seen, observe_orphans(cluster, account, seen), delete_volumes=delete_volumes)


def findings(cluster: EksCluster = SMALL) -> tuple[Finding, ...]:
    return reset_findings(cluster, observe(cluster, account_of(cluster), lambda _event: None))


def remaining_resources(cluster: EksCluster = SMALL, *, delete_volumes: bool = False) -> tuple[str, ...]:
    """The sentences about what a reset leaves."""
    account = account_of(cluster)
    seen = observe(cluster, account, lambda _event: None)
    return remaining(cluster, seen, observe_orphans(cluster, account, seen), delete_volumes=delete_volumes)


def reset(
    cluster: EksCluster = SMALL,
    *,
    delete_volumes: bool = False,
    plan: tuple[EksStep, ...] | None = None,
    killer: Killer | None = None,
) -> Reset:
    """One `provision reset --yes`; `plan`: one that was made before. Raises KilledError if the killer ended it."""
    account = account_of(cluster)
    seen = observe(cluster, account, lambda _event: None)
    if plan is None:
        left = observe_orphans(cluster, account, seen)
        plan = reset_plan(cluster, seen, left, delete_volumes=delete_volumes)
    if killer is not None:
        account = killed_account(account, killer)
    events: list[Event] = []
    backend = Actions(cluster, account, seen, Pace(0, 0))
    outcome = execute(plan, backend.run_step, events.append, threading.Event())
    return Reset(plan, outcome, events)
