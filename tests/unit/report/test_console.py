from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from provision.engine.events import Event, Note, RunStarted, StepStarted, TaskStarted
from provision.report.console import PlainLines, run_reporter
from provision.report.live import LiveTable

from . import a_run
from .terminal import Terminal

Golden = Callable[[str, str], None]
RUNS = {"failed": a_run.FAILED, "done": a_run.DONE, "interrupted": a_run.INTERRUPTED}


@pytest.mark.parametrize("name", RUNS)
def test_without_a_terminal_a_run_is_plain_lines(
    name: str, golden: Golden, capsys: pytest.CaptureFixture[str]
) -> None:
    report = PlainLines(clock=lambda: a_run.START)

    for event in RUNS[name]:
        report(event)

    captured = capsys.readouterr()
    assert captured.out == ""
    golden(f"console/plain-{name}.txt", captured.err)


def test_verbose_prints_every_task(capsys: pytest.CaptureFixture[str]) -> None:
    report = PlainLines(verbose=True, clock=lambda: a_run.START)

    for event in a_run.FAILED:
        report(event)

    err = capsys.readouterr().err
    assert "prepare-hosts  cp1: Prepare the host ..." in err
    assert "prepare-hosts  cp1: Prepare the host: ok" in err


def shown(events: Sequence[Event], width: int, height: int = 30) -> Terminal:
    """A terminal of that width after the events, at the time of the last of them."""
    terminal = Terminal(width, height)
    with LiveTable(terminal.console, clock=lambda: events[-1].at) as table:
        for event in events:
            table(event)
    return terminal


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", [*RUNS, "begun"])
def test_on_a_terminal_a_run_is_a_table(name: str, width: int, golden: Golden) -> None:
    terminal = shown({**RUNS, "begun": a_run.BEGUN}[name], width)

    assert terminal.cursor == (0, len(terminal.text.splitlines()))
    golden(f"console/live-{name}-{width}.txt", terminal.text)


@pytest.mark.parametrize("name", RUNS)
def test_a_table_is_drawn_only_with_the_steps_of_the_run(name: str) -> None:
    terminal = shown(RUNS[name], 80)

    assert "of 3 steps" in terminal.written
    assert "of 0 steps" not in terminal.written


def test_a_table_of_many_hosts_counts_them_instead_of_growing_wide() -> None:
    hosts = tuple(f"worker-{number}" for number in range(300))
    plan = tuple(replace(step, hosts=hosts) for step in a_run.PLAN)
    begun = (
        RunStarted(at=a_run.START, run="x", cluster="demo", plan=plan),
        StepStarted(at=a_run.START, step="prepare-hosts", hosts=hosts),
    )

    text = shown(begun, 80).text

    assert max(map(len, text.splitlines())) <= 80
    assert "300 hosts" in text


def test_only_as_many_running_tasks_are_shown_as_the_terminal_has_room_for() -> None:
    hosts = tuple(f"w{number}" for number in range(8))
    steps = tuple(replace(a_run.PLAN[0], name=f"step-{number}", hosts=hosts) for number in range(12))
    events: list[Event] = [RunStarted(at=a_run.START, run="x", cluster="demo", plan=steps)]
    for step in steps[:2]:
        events.append(StepStarted(at=a_run.START, step=step.name, hosts=hosts))
        events += [TaskStarted(at=a_run.START, step=step.name, host=host, task="Task") for host in hosts]

    text = shown(events, 80, height=24).text

    assert text.splitlines()[-1] == "0 of 12 steps, 0.0 s"
    assert text.count(": Task") == 8


def noted(*, passing: bool) -> list[Event]:
    begun = [event for event in a_run.DONE if isinstance(event, RunStarted | StepStarted)][:2]
    step = begun[1].step if isinstance(begun[1], StepStarted) else ""
    return [
        *begun,
        Note(at=a_run.START, step=step, host="cp1", text="no capacity in zone a", passing=passing),
    ]


def test_a_note_is_printed_on_lines_and_above_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    report = PlainLines(clock=lambda: a_run.START)
    for event in noted(passing=False):
        report(event)
    assert "cp1: no capacity in zone a" in capsys.readouterr().err
    assert "cp1: no capacity in zone a" in shown(noted(passing=False), 120).text


def test_waiting_is_noted_only_where_no_table_shows_it(capsys: pytest.CaptureFixture[str]) -> None:
    report = PlainLines(clock=lambda: a_run.START)
    for event in noted(passing=True):
        report(event)
    assert "no capacity" in capsys.readouterr().err
    assert "no capacity" not in shown(noted(passing=True), 120).text


@pytest.mark.parametrize(("term", "kind"), [("xterm-256color", LiveTable), ("dumb", PlainLines)])
def test_a_terminal_that_cannot_move_its_cursor_gets_plain_lines(
    term: str, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", term)

    with run_reporter(verbose=False) as report:
        assert type(report) is kind
