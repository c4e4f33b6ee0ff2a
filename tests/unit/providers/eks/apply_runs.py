"""Run `provision apply` against the account of the tests: observe, plan and execute, without the command line."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from provision.engine.events import Event, HostFailed, Note
from provision.engine.executor import RunOutcome, execute
from provision.model.eks import (
    Access,
    Addon,
    EksCluster,
    FargateProfile,
    NodeGroup,
    PodIdentity,
    Selector,
    Vpc,
)
from provision.providers.eks.aws.account import account_of
from provision.providers.eks.aws.calls import Pace
from provision.providers.eks.checks.refusals import refusals
from provision.providers.eks.operations.observe import observe
from provision.providers.eks.steps.catalogue import apply_plan
from provision.providers.eks.steps.runner import Actions
from tests.unit.providers.eks.fault_injection import Killer, killed_account

if TYPE_CHECKING:
    from provision.providers.eks.facts import Observation
    from provision.providers.eks.steps.planning import EksStep

ADMIN = "arn:aws:iam::123456789012:role/platform"
EBS = "arn:aws:iam::aws:policy/service-role/AmazonEBSCSIDriverPolicy"
ZONES = ("eu-central-1a", "eu-central-1b")
# One of everything, as small as may be: what is made is counted in the tests that interrupt it.
SMALL = EksCluster(
    name="demo",
    provider="eks",
    region="eu-central-1",
    kubernetes="1.34",
    vpc=Vpc(zones=ZONES),
    node_groups=(NodeGroup(name="workers", desired=1),),
    fargate_profiles=(FargateProfile(name="batch", selectors=(Selector(namespace="batch"),)),),
    addons=(Addon(name="vpc-cni"), Addon(name="kube-proxy"), Addon(name="coredns")),
    access=Access(admins=(ADMIN,)),
    pod_identities=(PodIdentity(namespace="kube-system", service_account="ebs", policy_arns=(EBS,)),),
)


@dataclass(slots=True)
class Applied:
    """What a run observed, planned and emitted."""

    seen: Observation
    plan: tuple[EksStep, ...]
    outcome: RunOutcome
    events: list[Event] = field(default_factory=list)

    @property
    def steps(self) -> list[str]:
        return [step.name for step in self.plan]

    @property
    def failures(self) -> list[HostFailed]:
        return [event for event in self.events if isinstance(event, HostFailed)]

    @property
    def notes(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Note)]


def look(cluster: EksCluster = SMALL) -> Observation:
    return observe(cluster, account_of(cluster), lambda _event: None)


def apply(
    cluster: EksCluster = SMALL,
    *,
    killer: Killer | None = None,
    wait: bool = True,
    cancel: threading.Event | None = None,
    pace: Pace = Pace(0, 0),  # noqa: B008  (frozen)
) -> Applied:
    """One `provision apply --yes`; raises KilledError if the killer ended it."""
    account = account_of(cluster)
    seen = observe(cluster, account, lambda _event: None)
    assert refusals(cluster, seen) == ()
    steps = apply_plan(cluster, seen)
    if killer is not None:
        account = killed_account(account, killer)
    events: list[Event] = []
    backend = Actions(cluster, account, seen, pace, wait)
    outcome = execute(steps, backend.run_step, events.append, cancel or threading.Event())
    return Applied(seen, steps, outcome, events)
