"""The loop of `provision apply` against the account of the tests, without its questions; and how it is cut off."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

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
from provision.providers.eks.aws.account import Account, account_of
from provision.providers.eks.aws.calls import Pace
from provision.providers.eks.observe import observe
from provision.providers.eks.refusals import refusals
from provision.providers.eks.steps.catalogue import apply_plan
from provision.providers.eks.steps.runner import actions

if TYPE_CHECKING:
    from provision.providers.eks.facts import Observation
    from provision.providers.eks.steps.planning import EksStep

ADMIN = "arn:aws:iam::123456789012:role/platform"
EBS = "arn:aws:iam::aws:policy/service-role/AmazonEBSCSIDriverPolicy"
ZONES = ("eu-central-1a", "eu-central-1b")
# One of everything, as small as may be: what is made is counted in the tests that cut it off.
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


class KilledError(BaseException):
    """What a killed process does not do any more: no `except` of the code under test may stop it."""


class Killer:
    """Lets so many mutating calls succeed; no call is made after the last of them."""

    def __init__(self, calls: int) -> None:
        self.left = calls
        self.dead = False
        self._lock = threading.Lock()

    def attach(self, account: Account) -> Account:
        events: Any = account.session._session
        events.register("before-call", self._before)
        events.register("after-call", self._after)
        return account

    def _before(self, **_: Any) -> None:
        if self.dead:
            raise KilledError

    def _after(self, http_response: Any, model: Any, **_: Any) -> None:
        with self._lock:
            if self.dead:
                raise KilledError
            if http_response.status_code >= 400 or model.name.startswith(("Describe", "Get", "List")):
                return
            self.left -= 1
            if self.left <= 0:
                self.dead = True
                raise KilledError


class _DoomedAccount(Account):
    """An account whose every session is watched by the same killer."""

    killer: Killer

    def renewed(self) -> Account:
        return self.killer.attach(super().renewed())


def doomed(account: Account, killer: Killer) -> Account:
    """The same account, until the killer strikes."""
    watched = _DoomedAccount(account.region, account.session)
    object.__setattr__(watched, "killer", killer)
    return watched


@dataclass(slots=True)
class Applied:
    """What a run saw, planned and told."""

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
    """One `provision apply --yes`; raises KilledError if the killer struck."""
    account = account_of(cluster)
    seen = observe(cluster, account, lambda _event: None)
    assert refusals(cluster, seen) == ()
    steps = apply_plan(cluster, seen)
    if killer is not None:
        account = doomed(account, killer)
    events: list[Event] = []
    with actions(cluster, account, seen, pace=pace, wait=wait) as backend:
        outcome = execute(steps, backend.run_step, events.append, cancel or threading.Event())
    return Applied(seen, steps, outcome, events)
