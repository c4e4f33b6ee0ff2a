"""The loop that every verb is: look, check, plan, ask, run, look again, tell."""

from __future__ import annotations

import errno
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import typer

from provision.engine import events
from provision.engine.locks import run_lock
from provision.engine.operation import Run
from provision.engine.signals import interruptible
from provision.errors import CheckError, FileError, InterruptedRunError, StepFailedError, UnreachableError
from provision.report.console import observation_reporter, run_reporter
from provision.report.text import findings_text, plan_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from provision.engine.events import Event
    from provision.engine.executor import RunOutcome
    from provision.engine.operation import Goal
    from provision.model.plan import Finding, Plan

S = TypeVar("S")
_WAITED = 5.0  # seconds for the lock: another run may have done something meanwhile
_NOBODY_READS = (errno.EPIPE, errno.EIO)


@dataclass(frozen=True, slots=True)
class Manner:
    """How a goal is reached: without asking, telling everything, in JSON; `phrase` is what a yes has to be typed as."""

    yes: bool
    verbose: bool
    json: bool
    phrase: str = ""


@dataclass(slots=True)
class _Audience:
    """Everybody who hears the events of this run, and the proofs of the smoke test among them."""

    observers: list[Callable[[Event], None]] = field(default_factory=list)
    proofs: list[str] = field(default_factory=list)

    def emit(self, event: Event) -> None:
        if isinstance(event, events.TaskFinished):
            self.proofs += event.proofs
        for observer in tuple(self.observers):
            try:
                observer(event)
            except OSError as error:
                if error.errno not in _NOBODY_READS:
                    raise
                # A closed terminal or pipe is no reason to stop in the middle: the journal has the rest.
                self.observers.remove(observer)


def reach(goal: Goal[S], manner: Manner) -> None:
    """Bring the cluster to the goal.

    Raises FileError, UnreachableError or CheckError before anything is changed, StepFailedError or
    InterruptedRunError when something was.
    """
    started = time.monotonic()
    audience = _Audience()
    if manner.json:
        from provision.report.json_lines import JsonLines

        audience.observers.append(JsonLines(sys.stdout))
    with run_lock(goal.lock, goal.again):
        seen = _look_and_check(goal, manner, audience)
        steps = goal.plan(seen)
        if steps:
            _confirm(goal, manner, seen, steps)
            _run(goal, manner, seen, steps, audience)
            seen = _look_again(goal, seen)
        elif manner.json:
            audience.emit(events.RunFinished(run="", ok=True, seconds=time.monotonic() - started))
        else:
            print(f"cluster {goal.cluster}: nothing to do")
        seconds = time.monotonic() - started
        run = Run(changed=bool(steps), seconds=seconds, proofs=tuple(audience.proofs))
        told = goal.end(seen, run, audience.emit)
    if not manner.json:
        print(told, end="")


def look_and_check(goal: Goal[S], emit: Callable[[Event], None]) -> tuple[S, tuple[Finding, ...]]:
    """What was seen, and the warnings; raises CheckError if anything must be mended first. Findings are emitted."""
    seen = goal.look(emit)
    findings = goal.check(seen)
    for finding in findings:
        emit(events.FindingSeen(finding=finding))
    _refuse_errors(findings)
    return seen, findings


def _look_and_check(goal: Goal[S], manner: Manner, audience: _Audience) -> S:
    if manner.json:
        return look_and_check(goal, audience.emit)[0]
    print(f"looking at {goal.subject}", file=sys.stderr)
    audience.observers.append(observation_reporter(verbose=manner.verbose))
    seen, findings = look_and_check(goal, audience.emit)
    audience.observers.pop()
    print(findings_text(findings), end="", file=sys.stderr)
    return seen


def _confirm(goal: Goal[S], manner: Manner, seen: S, steps: Plan) -> None:
    if not manner.json:
        print(plan_text(goal.cluster, steps) + goal.notice(seen, steps), file=sys.stderr)
    if manner.yes:
        return
    if manner.json or not sys.stdin.isatty():
        raise FileError(
            "nobody is there to be asked, and nothing is changed without a yes",
            fix="add --yes",
        )
    if manner.phrase:
        if (
            typer.prompt(f"type {manner.phrase} to go on", err=True, default="", show_default=False)
            != manner.phrase
        ):
            raise InterruptedRunError("nothing was changed")
    elif not typer.confirm(
        f"take {'this step' if len(steps) == 1 else f'these {len(steps)} steps'}?", err=True
    ):
        raise InterruptedRunError("nothing was changed")


def _run(goal: Goal[S], manner: Manner, seen: S, steps: Plan, audience: _Audience) -> None:
    """Run the steps; raises unless all of them succeeded, and before anything if others are missing by now."""
    from provision.engine.executor import execute
    from provision.report.journal import Journal

    started = time.monotonic()
    with ExitStack() as stack:
        cancel = stack.enter_context(interruptible(lambda: audience.emit(events.Stopping())))
        backend = stack.enter_context(goal.backend(seen))
        if not manner.yes:
            _refuse_another_plan(goal, seen, steps)
        elif time.monotonic() - started > _WAITED:
            steps = _planned_anew(goal, seen)
        goal.begin(seen)
        journal = stack.enter_context(Journal(goal.cluster))
        before = tuple(audience.observers)
        audience.observers.append(journal)
        if not manner.json:
            audience.observers.append(stack.enter_context(run_reporter(verbose=manner.verbose)))
        audience.emit(events.RunStarted(run=journal.run, cluster=goal.cluster, plan=steps))
        outcome = None
        try:
            outcome = execute(steps, backend.run_step, audience.emit, cancel)
        finally:
            audience.emit(
                events.RunFinished(
                    run=journal.run,
                    ok=outcome is not None and outcome.ok,
                    seconds=time.monotonic() - started,
                    interrupted=cancel.is_set() and (outcome is None or outcome.interrupted),
                )
            )
        audience.observers[:] = before
    _judge(goal.again, outcome, journal.path)


def _refuse_another_plan(goal: Goal[S], seen: S, steps: Plan) -> None:
    """What somebody said yes to must still be what is missing: the answer may have come hours after the look."""
    now = goal.plan(goal.look(lambda _event: None, seen))
    if [(step.name, step.hosts) for step in now] != [(step.name, step.hosts) for step in steps]:
        raise CheckError(
            f"cluster {goal.cluster} is not as it was when the steps were planned; nothing was changed",
            fix=f"`{goal.again}` shows what is missing now",
        )


def _planned_anew(goal: Goal[S], seen: S) -> Plan:
    """What is missing now that the lock is ours; raises CheckError if it cannot be done any more."""
    now = goal.look(lambda _event: None, seen)
    _refuse_errors(goal.check(now))
    plan: Plan = goal.plan(now)
    return plan


def _refuse_errors(findings: tuple[Finding, ...]) -> None:
    if any(finding.severity == "error" for finding in findings):
        raise CheckError("the checks found errors; nothing was changed", findings=findings)


def _judge(again: str, outcome: RunOutcome, journal: Path) -> None:
    if outcome.interrupted:
        raise InterruptedRunError(
            "interrupted; what was begun ends there by itself",
            fix=f"go on with `{again}`   (journal: {journal})",
        )
    if not outcome.ok:
        hosts = ", ".join(sorted(outcome.failed_hosts))
        raise StepFailedError(
            f"{', '.join(outcome.failed_steps)} failed on {hosts}",
            fix=f"mend the cause above, then go on with `{again}`   (journal: {journal})",
        )


def _look_again(goal: Goal[S], seen: S) -> S:
    """What became of it. A host that does not answer now is no failure of the run."""
    try:
        return goal.look(lambda _event: None, seen)
    except UnreachableError as error:
        print(f"warning: looking at the result failed: {error.message}", file=sys.stderr)
        return seen
