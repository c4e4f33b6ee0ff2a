"""The loop that every verb is: observe, check, plan, confirm, apply, observe again, report."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from provision.engine import events
from provision.engine.executor import execute
from provision.engine.locks import run_lock
from provision.engine.operation import RunRecord, RunResult
from provision.engine.signals import interruptible
from provision.errors import CheckError, InterruptedRunError, StepFailedError, UnreachableError
from provision.model.plan import Step

if TYPE_CHECKING:
    from provision.engine.events import Event
    from provision.engine.executor import RunOutcome
    from provision.engine.operation import Description, Interaction, Operation
    from provision.model.outcome import Outcome
    from provision.model.plan import Finding

O = TypeVar("O")  # noqa: E741  what an operation observes
S = TypeVar("S", bound=Step)
_WAITED = 5.0  # seconds for the cluster's lock, after which another run may have changed something


def run(operation: Operation[O, S], interaction: Interaction) -> Outcome | None:
    """Bring the cluster to what the operation asks for; returns what to report, None for nothing.

    Raises FileError, UnreachableError, BusyError or CheckError before anything is changed, StepFailedError or
    InterruptedRunError when something was.
    """
    started = time.monotonic()
    about = operation.description
    with run_lock(about.lock, about.resume_command):
        with interaction.observing(about):
            observed, findings = observe_and_check(operation, interaction)
        interaction.show_findings(findings)
        plan = operation.plan(observed)
        proofs: tuple[str, ...] = ()
        if plan:
            asked = interaction.confirm(about, plan, operation.warnings(observed, plan))
            proofs = _Run(operation, interaction, about, observed).apply(plan, asked=asked)
            observed = _observe_result(operation, interaction, observed)
        else:
            interaction.emit(events.RunFinished(run="", ok=True, seconds=time.monotonic() - started))
            interaction.nothing_to_do(about)
        result = RunResult(changed=bool(plan), seconds=time.monotonic() - started, proofs=proofs)
        return operation.finish(observed, result, interaction)


def observe_and_check(operation: Operation[O, S], interaction: Interaction) -> tuple[O, tuple[Finding, ...]]:
    """The observation and the warnings, which are emitted. Raises CheckError if there are errors."""
    observed = operation.observe(interaction.emit, interaction)
    findings = operation.check(observed)
    for finding in findings:
        interaction.emit(events.FindingSeen(finding=finding))
    _refuse_errors(findings)
    return observed, findings


@dataclass(slots=True)
class _Run(Generic[O, S]):
    """The part of a run that changes something."""

    operation: Operation[O, S]
    interaction: Interaction
    about: Description
    observed: O
    proofs: list[str] = field(default_factory=list)

    def apply(self, plan: tuple[S, ...], *, asked: bool) -> tuple[str, ...]:
        """Run the steps; returns the proofs of the smoke test. Raises unless all of them succeeded.

        `asked`: a person agreed to this plan, so nothing is done if another one is due when the lock is held.
        """
        started = time.monotonic()
        with ExitStack() as stack:
            cancel = stack.enter_context(interruptible(lambda: self.interaction.emit(events.Stopping())))
            runner = stack.enter_context(self.operation.step_runner(self.observed, self.interaction))
            if asked:
                self._refuse_changed_plan(plan)
            elif time.monotonic() - started > _WAITED:
                plan = self._plan_again()
            self.operation.begin(self.observed)
            record = stack.enter_context(self.interaction.running(self.about))
            self.interaction.emit(events.RunStarted(run=record.run, cluster=self.about.cluster, plan=plan))
            outcome = None
            try:
                outcome = execute(plan, runner.run_step, self._emit, cancel)
            finally:
                self.interaction.emit(
                    events.RunFinished(
                        run=record.run,
                        ok=outcome is not None and outcome.ok,
                        seconds=time.monotonic() - started,
                        interrupted=cancel.is_set() and (outcome is None or outcome.interrupted),
                    )
                )
        _raise_unless_ok(self.about.resume_command, outcome, record)
        return tuple(self.proofs)

    def _emit(self, event: Event) -> None:
        if isinstance(event, events.TaskFinished):
            self.proofs += event.proofs
        self.interaction.emit(event)

    def _refuse_changed_plan(self, plan: tuple[S, ...]) -> None:
        """Raise CheckError if the plan that was agreed to is not due any more: the answer may have taken hours."""
        due = self.operation.plan(self.operation.observe(_silent, self.interaction, self.observed))
        if [(step.name, step.hosts) for step in due] != [(step.name, step.hosts) for step in plan]:
            raise CheckError(
                f"cluster {self.about.cluster} has changed since the steps were planned; nothing was changed",
                fix=f"`{self.about.resume_command}` shows what is missing now",
            )

    def _plan_again(self) -> tuple[S, ...]:
        """The plan that is due now that the lock is held; raises CheckError if it cannot be carried out any more."""
        observed = self.operation.observe(_silent, self.interaction, self.observed)
        _refuse_errors(self.operation.check(observed))
        return self.operation.plan(observed)


def _silent(_event: Event) -> None:
    """Drop an event: repeated observations are not reported."""


def _refuse_errors(findings: tuple[Finding, ...]) -> None:
    if any(finding.severity == "error" for finding in findings):
        raise CheckError("the checks found errors; nothing was changed", findings=findings)


def _raise_unless_ok(resume_command: str, outcome: RunOutcome, record: RunRecord) -> None:
    if outcome.interrupted:
        raise InterruptedRunError(
            "interrupted; steps that had begun were stopped",
            fix=f"go on with `{resume_command}`   (journal: {record.path})",
        )
    if not outcome.ok:
        hosts = ", ".join(sorted(outcome.failed_hosts))
        raise StepFailedError(
            f"{', '.join(outcome.failed_steps)} failed on {hosts}",
            fix=f"fix the cause above, then go on with `{resume_command}`   (journal: {record.path})",
        )


def _observe_result(operation: Operation[O, S], interaction: Interaction, observed: O) -> O:
    """The state after the steps. A host that does not answer now does not fail the run."""
    try:
        return operation.observe(_silent, interaction, observed)
    except UnreachableError as error:
        interaction.warn(f"the result could not be observed: {error.message}")
        return observed
