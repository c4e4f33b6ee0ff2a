"""The loop itself, with a goal that keeps its world in memory."""

from __future__ import annotations

import contextlib
import errno
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provision.engine.executor import StepResult
from provision.engine.run import Manner, reach
from provision.errors import CheckError, InterruptedRunError
from provision.model.plan import Finding, Plan, Reason, Step

if TYPE_CHECKING:
    from provision.engine.events import Emit
    from provision.engine.operation import Backend, Run


def step(name: str, *hosts: str) -> Step:
    reasons = tuple(Reason(host, "is missing") for host in hosts)
    return Step(name=name, summary=name, hosts=hosts, reasons=reasons)


@dataclass
class World:
    """`plans` are what is missing at the first look, at the second, and so on; `done` are the steps that ran."""

    plans: list[Plan]
    done: list[str] = field(default_factory=list)
    cluster: str = "demo"
    lock: str = "demo"
    subject: str = "1 host"
    again: str = "provision apply -f cluster.yaml"

    def look(self, _emit: Emit, again: int | None = None) -> int:
        return 0 if again is None else again + 1

    def check(self, _seen: int) -> tuple[Finding, ...]:
        return ()

    def plan(self, seen: int) -> Plan:
        return self.plans[seen]

    def notice(self, _seen: int, _steps: Plan) -> str:
        return ""

    def begin(self, _seen: int) -> None:
        self.done.append("begin")

    @contextlib.contextmanager
    def backend(self, _seen: int) -> Iterator[Backend]:
        yield self

    def run_step(self, step: Step, _emit: Emit, _cancel: threading.Event) -> StepResult:
        self.done.append(step.name)
        return StepResult(changed=True)

    def end(self, seen: int, run: Run, _emit: Emit) -> str:
        return f"looked {seen + 1} times, changed: {run.changed}\n"


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The questions that were asked, each answered with yes."""
    questions: list[str] = []

    def confirm(question: str, **_options: object) -> bool:
        questions.append(question)
        return True

    monkeypatch.setenv("PROVISION_STATE", str(tmp_path))
    monkeypatch.setattr("provision.engine.run.typer.confirm", confirm)
    monkeypatch.setattr("provision.engine.run.sys.stdin.isatty", lambda: True)
    return questions


def manner(*, yes: bool) -> Manner:
    return Manner(yes=yes, verbose=False, json=False)


def test_what_was_shown_and_is_still_missing_is_done(
    asked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    plan = (step("join-workers", "w1"),)
    world = World([plan, plan])

    reach(world, manner(yes=False))

    assert asked == ["take this step?"]
    assert world.done == ["begin", "join-workers"]
    assert capsys.readouterr().out.endswith("looked 2 times, changed: True\n")


@pytest.mark.parametrize("later", [(), (step("join-workers", "w1", "w2"),)])
def test_what_is_missing_no_longer_or_beside_it_is_not_done_on_an_old_yes(later: Plan) -> None:
    world = World([(step("join-workers", "w1"),), later])

    with pytest.raises(CheckError, match="is not as it was when the steps were planned; nothing was changed"):
        reach(world, manner(yes=False))

    assert world.done == []


def test_a_yes_beforehand_needs_no_second_look(asked: list[str]) -> None:
    world = World([(step("join-workers", "w1"),)])

    reach(world, manner(yes=True))

    assert (asked, world.done) == ([], ["begin", "join-workers"])


def test_what_others_did_while_the_lock_was_waited_for_is_not_done_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("provision.engine.run._WAITED", -1.0)
    world = World([(step("join-workers", "w1"), step("wait-ready", "cp1")), (step("wait-ready", "cp1"),)])

    reach(world, manner(yes=True))

    assert world.done == ["begin", "wait-ready"]


def test_what_became_impossible_while_the_lock_was_waited_for_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lost = Finding(severity="error", check="etcd-quorum", where="", message="2 of 3 members are lost")
    monkeypatch.setattr("provision.engine.run._WAITED", -1.0)
    monkeypatch.setattr(World, "check", lambda _self, seen: (lost,) if seen else ())
    world = World([(step("join-workers", "w1"),), (step("join-workers", "w1"),)])

    with pytest.raises(CheckError, match="the checks found errors; nothing was changed"):
        reach(world, manner(yes=True))

    assert world.done == []


def test_a_no_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provision.engine.run.typer.confirm", lambda *_words, **_options: False)
    world = World([(step("join-workers", "w1"),)])

    with pytest.raises(InterruptedRunError, match="nothing was changed"):
        reach(world, manner(yes=False))

    assert world.done == []


def test_a_run_goes_on_when_nobody_reads_any_more(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    @contextlib.contextmanager
    def broken_console(*, verbose: bool) -> Iterator[Callable[[object], None]]:
        del verbose

        def tell(_event: object) -> None:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

        yield tell

    monkeypatch.setattr("provision.engine.run.run_reporter", broken_console)
    world = World([(step("join-workers", "w1"), step("wait-ready", "cp1"))])

    reach(world, manner(yes=True))

    assert world.done == ["begin", "join-workers", "wait-ready"]
    (journal,) = tmp_path.rglob("journal.jsonl")
    assert '"event": "run-finished"' in journal.read_text().splitlines()[-1]
