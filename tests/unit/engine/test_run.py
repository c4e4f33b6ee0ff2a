"""The loop itself, with an operation that keeps its world in memory."""

from __future__ import annotations

import contextlib
import errno
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provision.cli.interaction import Terminal
from provision.engine.executor import StepResult
from provision.engine.operation import Description
from provision.engine.run import run
from provision.errors import CheckError, InterruptedRunError
from provision.model.plan import Finding, Plan, Reason, Step

if TYPE_CHECKING:
    from provision.engine.events import Emit
    from provision.engine.operation import Interaction, RunResult, StepRunner
    from provision.model.outcome import Outcome


def step(name: str, *hosts: str) -> Step:
    reasons = tuple(Reason(host, "is missing") for host in hosts)
    return Step(name=name, summary=name, hosts=hosts, reasons=reasons)


@dataclass
class World:
    """`plans` are what is missing at the first observation, at the second, and so on; `done` are the steps that ran."""

    plans: list[Plan]
    done: list[str] = field(default_factory=list)
    results: list[tuple[int, RunResult]] = field(default_factory=list)

    @property
    def description(self) -> Description:
        return Description(
            cluster="demo", lock="demo", subject="1 host", resume_command="provision apply -f cluster.yaml"
        )

    def observe(self, _emit: Emit, _interaction: Interaction, previous: int | None = None) -> int:
        return 0 if previous is None else previous + 1

    def check(self, _observed: int) -> tuple[Finding, ...]:
        return ()

    def plan(self, observed: int) -> Plan:
        return self.plans[observed]

    def warnings(self, _observed: int, _plan: Plan) -> tuple[str, ...]:
        return ()

    def begin(self, _observed: int) -> None:
        self.done.append("begin")

    @contextlib.contextmanager
    def step_runner(self, _observed: int, _interaction: Interaction) -> Iterator[StepRunner[Step]]:
        yield self

    def run_step(self, step: Step, _emit: Emit, _cancel: threading.Event) -> StepResult:
        self.done.append(step.name)
        return StepResult(changed=True)

    def finish(self, observed: int, result: RunResult, _interaction: Interaction) -> Outcome | None:
        self.results.append((observed, result))
        return None


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The questions that were asked, each answered with yes."""
    questions: list[str] = []

    def confirm(question: str, **_options: object) -> bool:
        questions.append(question)
        return True

    monkeypatch.setenv("PROVISION_STATE", str(tmp_path))
    monkeypatch.setattr("provision.cli.interaction.typer.confirm", confirm)
    monkeypatch.setattr("provision.cli.interaction.sys.stdin.isatty", lambda: True)
    return questions


def terminal(*, yes: bool) -> Terminal:
    return Terminal(yes=yes)


def test_steps_that_were_shown_and_are_still_missing_run(asked: list[str]) -> None:
    plan = (step("join-workers", "w1"),)
    world = World([plan, plan])

    run(world, terminal(yes=False))

    assert asked == ["run this step?"]
    assert world.done == ["begin", "join-workers"]
    ((observed, result),) = world.results
    assert (observed, result.changed) == (1, True)


@pytest.mark.parametrize("later", [(), (step("join-workers", "w1", "w2"),)])
def test_what_is_missing_no_longer_or_beside_it_is_not_done_on_an_old_yes(later: Plan) -> None:
    world = World([(step("join-workers", "w1"),), later])

    with pytest.raises(CheckError, match="has changed since the steps were planned; nothing was changed"):
        run(world, terminal(yes=False))

    assert world.done == []


def test_a_yes_beforehand_needs_no_second_look(asked: list[str]) -> None:
    world = World([(step("join-workers", "w1"),)])

    run(world, terminal(yes=True))

    assert (asked, world.done) == ([], ["begin", "join-workers"])


def test_what_others_did_while_the_lock_was_waited_for_is_not_done_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("provision.engine.run._WAITED", -1.0)
    world = World([(step("join-workers", "w1"), step("wait-ready", "cp1")), (step("wait-ready", "cp1"),)])

    run(world, terminal(yes=True))

    assert world.done == ["begin", "wait-ready"]


def test_what_became_impossible_while_the_lock_was_waited_for_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lost = Finding(severity="error", check="etcd-quorum", where="", message="2 of 3 members are lost")
    monkeypatch.setattr("provision.engine.run._WAITED", -1.0)
    monkeypatch.setattr(World, "check", lambda _self, observed: (lost,) if observed else ())
    world = World([(step("join-workers", "w1"),), (step("join-workers", "w1"),)])

    with pytest.raises(CheckError, match="the checks found errors; nothing was changed"):
        run(world, terminal(yes=True))

    assert world.done == []


def test_a_no_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provision.cli.interaction.typer.confirm", lambda *_words, **_options: False)
    world = World([(step("join-workers", "w1"),)])

    with pytest.raises(InterruptedRunError, match="nothing was changed"):
        run(world, terminal(yes=False))

    assert world.done == []


def test_a_run_goes_on_when_nobody_reads_any_more(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    @contextlib.contextmanager
    def broken_console(*, verbose: bool) -> Iterator[Callable[[object], None]]:
        del verbose

        def tell(_event: object) -> None:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

        yield tell

    monkeypatch.setattr("provision.cli.interaction.run_reporter", broken_console)
    world = World([(step("join-workers", "w1"), step("wait-ready", "cp1"))])

    run(world, terminal(yes=True))

    assert world.done == ["begin", "join-workers", "wait-ready"]
    (journal,) = tmp_path.rglob("journal.jsonl")
    assert '"event": "run-finished"' in journal.read_text().splitlines()[-1]
