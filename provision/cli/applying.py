"""What `provision apply` does with a cluster file: look, check, plan, ask, run, look again, tell."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from provision import events, kubeconfig
from provision.cli.interrupting import interruptible
from provision.cli.looking import look
from provision.config import load
from provision.errors import CheckError, FileError, InterruptedRunError, StepFailedError, UnreachableError
from provision.kubeadm.checks import check
from provision.kubeadm.plan import plan as make_plan
from provision.kubeadm.status import status
from provision.report.console import console, looking
from provision.report.outcome import Ending, ending_text
from provision.report.text import counted, findings_text, plan_text
from provision.runlock import run_lock

if TYPE_CHECKING:
    from collections.abc import Callable

    from provision.apply import Outcome
    from provision.cli.looking import Look
    from provision.config import Loaded
    from provision.events import Event
    from provision.model import Plan


@dataclass(frozen=True, slots=True)
class Wish:
    file: Path
    smoke: bool
    yes: bool
    verbose: bool
    json: bool


@dataclass(slots=True)
class _Audience:
    """Everybody who hears the events of this run, and the proofs of the smoke test among them."""

    observers: list[Callable[[Event], None]] = field(default_factory=list)
    proofs: list[str] = field(default_factory=list)

    def emit(self, event: Event) -> None:
        if isinstance(event, events.TaskFinished):
            self.proofs += event.proofs
        for observer in self.observers:
            observer(event)


def apply_file(wish: Wish) -> None:
    """Bring the cluster to what its file says.

    Raises FileError, UnreachableError or CheckError before anything is changed, StepFailedError or
    InterruptedRunError when something was.
    """
    started = time.monotonic()
    loaded = load(wish.file)
    audience = _Audience()
    if wish.json:
        from provision.report.jsonlines import JsonLines

        audience.observers.append(JsonLines(sys.stdout))
    with run_lock(loaded.cluster.name):
        seen = _look_and_check(wish, loaded, audience)
        steps = make_plan(loaded.cluster, seen.observation, smoke=wish.smoke)
        if steps:
            _confirm(wish, loaded.cluster.name, steps)
            _run(wish, loaded, seen, steps, audience)
            seen = _look_again(loaded, seen)
        elif wish.json:
            audience.emit(events.RunFinished(run="", ok=True, seconds=time.monotonic() - started))
        else:
            print(f"cluster {loaded.cluster.name}: nothing to do")
        path = _keep_kubeconfig(wish, loaded, seen, renew=bool(steps))
        if path is not None:
            audience.emit(events.KubeconfigWritten(path=str(path)))
            if not (steps or wish.json):
                print(f"kubeconfig: {path}")
    if steps and not wish.json:
        ending = Ending(
            status=status(loaded.cluster, seen.observation),
            seconds=time.monotonic() - started,
            proofs=tuple(audience.proofs),
            kubeconfig=kubeconfig.beside(wish.file, loaded.cluster),
            file=wish.file,
        )
        print(ending_text(ending), end="")


def _look_and_check(wish: Wish, loaded: Loaded, audience: _Audience) -> Look:
    """Observe all hosts; raises CheckError if anything must be mended first."""
    if not wish.json:
        print(f"looking at {counted(len(loaded.cluster.hosts), 'host')}", file=sys.stderr)
        audience.observers.append(looking(verbose=wish.verbose))
    seen = look(loaded.cluster, audience.emit)
    if not wish.json:
        audience.observers.pop()
    findings = (*loaded.warnings, *check(loaded.cluster, seen.observation))
    for finding in findings:
        audience.emit(events.FindingSeen(finding=finding))
    if any(finding.severity == "error" for finding in findings):
        raise CheckError("the checks found errors; nothing was changed", findings=findings)
    if not wish.json:
        print(findings_text(findings), end="", file=sys.stderr)
    return seen


def _confirm(wish: Wish, cluster: str, steps: Plan) -> None:
    if not wish.json:
        print(plan_text(cluster, steps), file=sys.stderr)
    if wish.yes:
        return
    if wish.json or not sys.stdin.isatty():
        raise FileError(
            "apply asks before it changes anything, and nobody is there to answer; nothing was changed",
            fix="add --yes",
        )
    if not typer.confirm(
        f"take {'this step' if len(steps) == 1 else f'these {len(steps)} steps'}?", err=True
    ):
        raise InterruptedRunError("nothing was changed")


def _run(wish: Wish, loaded: Loaded, seen: Look, steps: Plan, audience: _Audience) -> None:
    """Run the steps; raises unless all of them succeeded."""
    from provision.ansible import playbooks
    from provision.apply import run
    from provision.kubeadm.narrow import narrow
    from provision.report.journal import Journal

    started = time.monotonic()
    with ExitStack() as stack:
        journal = stack.enter_context(Journal(loaded.cluster.name))
        before = tuple(audience.observers)
        audience.observers.append(journal)
        if not wish.json:
            audience.observers.append(stack.enter_context(console(verbose=wish.verbose)))
        cancel = stack.enter_context(interruptible(lambda: audience.emit(events.Stopping())))
        audience.emit(events.RunStarted(run=journal.run, cluster=loaded.cluster.name, plan=steps))
        outcome = None
        try:
            with playbooks(loaded.cluster, sudo_password=seen.sudo_password) as backend:
                outcome = run(steps, backend.run_step, audience.emit, cancel, narrow=narrow)
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
    _judge(wish, outcome, journal.path)


def _judge(wish: Wish, outcome: Outcome, journal: Path) -> None:
    again = f"provision apply -f {wish.file}"
    if outcome.interrupted:
        raise InterruptedRunError(
            "interrupted; what was begun on the hosts ends there by itself",
            fix=f"go on with `{again}`   (journal: {journal})",
        )
    if not outcome.ok:
        hosts = ", ".join(sorted(outcome.failed_hosts))
        raise StepFailedError(
            f"{', '.join(outcome.failed_steps)} failed on {hosts}",
            fix=f"mend the cause above, then go on with `{again}`   (journal: {journal})",
        )


def _look_again(loaded: Loaded, seen: Look) -> Look:
    """What became of it. A host that does not answer now is no failure of the run."""
    try:
        return look(loaded.cluster, lambda _event: None, again=seen)
    except UnreachableError as error:
        print(f"warning: looking at the result failed: {error.message}", file=sys.stderr)
        return seen


def _keep_kubeconfig(wish: Wish, loaded: Loaded, seen: Look, *, renew: bool) -> Path | None:
    """Fetch the admin kubeconfig after a run, and where it is missing; its path if it was written."""
    target = kubeconfig.beside(wish.file, loaded.cluster)
    if seen.observation.cluster is None or (target.exists() and not renew):
        return None
    text = kubeconfig.fetch(loaded.cluster, seen.observation.source, sudo_password=seen.sudo_password)
    if target.exists() and target.read_text() == text:
        return None
    kubeconfig.write(target, text)
    return target
