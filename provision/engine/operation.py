"""What a command wants of a cluster. Every verb and every provider is the same loop with another goal."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from provision.engine.events import Emit
    from provision.engine.executor import StepResult
    from provision.model.plan import Finding
    from provision.model.status import Status

S = TypeVar("S")  # what a goal sees when it looks


class Backend(Protocol):
    """What gives a step its effect."""

    def run_step(self, step: Any, emit: Emit, cancel: threading.Event) -> StepResult: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How a run ended well: `changed` if it had steps; `seconds` since the first look; `proofs` of its tests."""

    changed: bool
    seconds: float
    proofs: tuple[str, ...] = ()


class Goal(Protocol[S]):
    """The parts of the loop that differ. Nothing but `begin` and the back end changes anything."""

    @property
    def cluster(self) -> str:
        """The cluster's name."""

    @property
    def lock(self) -> str:
        """What two runs must not work on at the same time from this machine."""

    @property
    def subject(self) -> str:
        """What is looked at: "2 hosts"."""

    @property
    def again(self) -> str:
        """The command that goes on after a failure or an interruption."""

    def look(self, emit: Emit, again: S | None = None) -> S:
        """Observe; `again` is what was seen before. Raises UnreachableError."""

    def check(self, seen: S) -> tuple[Finding, ...]:
        """Everything wrong with the file and with what was seen."""

    def plan(self, seen: S) -> Any:
        """The steps that are missing; () if there is nothing to do."""

    def notice(self, seen: S, steps: Any) -> str:
        """What a person should know beside the plan before saying yes, in whole lines; "" for nothing."""

    def begin(self, seen: S) -> None:
        """Do what comes after the yes and before the first step."""

    def backend(self, seen: S) -> AbstractContextManager[Backend]:
        """What runs the steps."""

    def end(self, seen: S, run: Run, emit: Emit) -> str:
        """Do what comes last, emit what it made, and return what people are told, in whole lines."""


class ClusterGoal(Goal[S], Protocol[S]):
    """The goal that a cluster file stands for."""

    def status(self, seen: S) -> Status:
        """How the cluster is, by what was seen."""

    def kubeconfig(self, seen: S, name: str) -> str | None:
        """A kubeconfig whose cluster and context are called `name`; None where there is no cluster that answers."""
