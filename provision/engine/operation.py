"""What a verb is: the parts of the loop that differ between verbs and providers.

`provision.engine.run.run` is the loop. The CLI hands in an `Interaction`; nothing else of the loop prints or asks.
"""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from provision.model.plan import Finding, Plan, Step

if TYPE_CHECKING:
    from provision.engine.events import Emit, Event
    from provision.engine.executor import StepResult
    from provision.model.costs import Estimate
    from provision.model.outcome import Outcome
    from provision.model.status import Status

O = TypeVar("O")  # noqa: E741  what an operation observes
S = TypeVar("S", bound=Step)
S_contra = TypeVar("S_contra", bound=Step, contravariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a run is about, for people and for locks.

    `lock` is the name under which runs on this machine exclude each other; `subject` is what is observed ("2 hosts");
    `resume_command` is what to type after a failure or an interruption.
    """

    cluster: str
    lock: str
    subject: str
    resume_command: str


@dataclass(frozen=True, slots=True)
class RunRecord:
    """The journal of a run: its id and its directory."""

    run: str
    path: Path


class Interaction(Protocol):
    """How a run reaches the person or program that started it; made by the CLI."""

    def emit(self, event: Event) -> None:
        """Pass an event to every observer of the run."""

    def warn(self, message: str) -> None:
        """Show a warning that does not stop the run."""

    def inform(self, message: str) -> None:
        """Show a fact that needs no action."""

    def ask_password(self, reason: str) -> str | None:
        """Ask for the password of sudo on the hosts; None where there is no terminal to ask on."""

    def observing(self, description: Description) -> AbstractContextManager[None]:
        """Report what is being observed while the context is open."""

    def show_findings(self, findings: tuple[Finding, ...]) -> None:
        """Show what the checks found, as long as none of it is an error."""

    def confirm(self, description: Description, plan: Plan, warnings: tuple[str | Estimate, ...]) -> bool:
        """Show the plan and get a yes; true if a person gave it, false if an option did.

        Raises FileError where there is no terminal to ask on, InterruptedRunError after a no.
        """

    def running(self, description: Description) -> AbstractContextManager[RunRecord]:
        """Report the events of the steps, and keep a journal of them, while the context is open."""

    def nothing_to_do(self, description: Description) -> None:
        """Say that the plan is empty."""


class StepRunner(Protocol[S_contra]):
    def run_step(self, step: S_contra, emit: Emit, cancel: threading.Event) -> StepResult: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """How a run ended well: `changed` if it had steps; `seconds` since it began; `proofs` are the smoke test's."""

    changed: bool
    seconds: float
    proofs: tuple[str, ...] = ()


class Operation(Protocol[O, S]):
    """A verb on one cluster. Only `begin`, the step runner and `finish` change anything."""

    @property
    def description(self) -> Description:
        """What the run is about."""

    def observe(self, emit: Emit, interaction: Interaction, previous: O | None = None) -> O:
        """Observe hosts or account; `previous` is an earlier observation of this run. Raises UnreachableError."""

    def check(self, observed: O) -> tuple[Finding, ...]:
        """Everything wrong with the file and with what was observed."""

    def plan(self, observed: O) -> tuple[S, ...]:
        """The steps that are missing; () if there is nothing to do."""

    def warnings(self, observed: O, plan: tuple[S, ...]) -> tuple[str | Estimate, ...]:
        """What to know besides the plan before agreeing to it; an estimate where it costs money."""

    def step_runner(self, observed: O, interaction: Interaction) -> AbstractContextManager[StepRunner[S]]:
        """What runs the steps; entered once, with the cluster's lock where the provider has one."""

    def begin(self, observed: O) -> None:
        """Do what comes after the confirmation and before the first step."""

    def finish(self, observed: O, result: RunResult, interaction: Interaction) -> Outcome | None:
        """Do what comes after the last step; returns what to report, None for nothing."""


class ClusterOperation(Operation[O, S], Protocol[O, S]):
    """The operation that a cluster file stands for: `apply`; also what `status` and `kubeconfig` read from."""

    def status(self, observed: O, interaction: Interaction) -> Status:
        """State of the cluster by what was observed."""

    def kubeconfig(self, observed: O, name: str) -> str | None:
        """A kubeconfig whose cluster and context are called `name`; None where no cluster answers."""
