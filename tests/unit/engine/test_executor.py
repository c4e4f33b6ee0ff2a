from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from provision.engine.events import Emit, Event, StepFinished, StepSkipped, StepStarted
from provision.engine.executor import RunOutcome, StepResult, execute
from provision.errors import StepFailedError
from provision.model.plan import OnFailure, Plan, Reason, Step

Effect = Callable[[Step, threading.Event], StepResult]
DONE = StepResult(changed=True)
BOUND = 5.0  # seconds; only a broken scheduler waits that long


def a_step(name: str, *hosts: str, needs: tuple[str, ...] = ()) -> Step:
    hosts = hosts or ("cp1",)
    reasons = tuple(Reason(host, "because") for host in hosts)
    return Step(name=name, summary=name, hosts=hosts, reasons=reasons, needs=needs)


class Backend:
    """Stands for Ansible: remembers the steps it was given, does what the test says for a step."""

    def __init__(self, effects: Mapping[str, Effect] | None = None) -> None:
        self.effects = effects or {}
        self.ran: list[Step] = []

    @property
    def names(self) -> list[str]:
        return [step.name for step in self.ran]

    def __call__(self, step: Step, emit: Emit, cancel: threading.Event) -> StepResult:
        del emit
        self.ran.append(step)
        effect = self.effects.get(step.name)
        return effect(step, cancel) if effect else DONE


def fails_on(*hosts: str) -> Effect:
    return lambda _step, _cancel: StepResult(changed=True, failed=frozenset(hosts))


def run_all(
    plan: Plan, backend: Backend, cancel: threading.Event | None = None
) -> tuple[RunOutcome, list[Event]]:
    events: list[Event] = []
    outcome = execute(plan, backend, events.append, cancel or threading.Event())
    return outcome, events


@pytest.mark.parametrize("deaf_to", [StepStarted, StepFinished])
def test_an_observer_that_breaks_ends_the_run_and_never_hangs_it(deaf_to: type[Event]) -> None:
    def emit(event: Event) -> None:
        if isinstance(event, deaf_to):
            raise OSError("no space left on device")

    backend = Backend()
    with pytest.raises(OSError, match="no space left"):
        execute((a_step("a"), a_step("b", needs=("a",))), backend, emit, threading.Event())

    assert "b" not in backend.names


def test_a_step_begins_after_everything_it_needs_has_ended() -> None:
    plan = (a_step("a"), a_step("b", needs=("a",)), a_step("c", needs=("b",)))

    outcome, events = run_all(plan, Backend())

    order = [
        (type(event).__name__, event.step)
        for event in events
        if isinstance(event, StepStarted | StepFinished)
    ]
    assert outcome.ok
    assert order == [(kind, name) for name in "abc" for kind in ("StepStarted", "StepFinished")]


def test_steps_that_do_not_need_each_other_run_at_the_same_time() -> None:
    together = threading.Barrier(2, timeout=BOUND)

    def meets(_step: Step, _cancel: threading.Event) -> StepResult:
        together.wait()
        return DONE

    outcome, _ = run_all((a_step("a"), a_step("b")), Backend({"a": meets, "b": meets}))

    assert outcome.ok


def test_a_need_that_is_not_in_the_plan_is_fulfilled() -> None:
    outcome, _ = run_all((a_step("b", needs=("long-done",)),), Backend())

    assert outcome.ok


def test_a_failed_worker_is_left_out_of_what_follows_and_the_others_go_on() -> None:
    plan = (a_step("prepare", "cp1", "w1", "w2"), a_step("join", "w1", "w2", needs=("prepare",)))
    backend = Backend({"prepare": fails_on("w1")})

    outcome, _ = run_all(plan, backend)

    assert backend.ran[-1].hosts == ("w2",)
    assert outcome == RunOutcome(("prepare",), (), frozenset({"w1"}))
    assert not outcome.ok


def test_a_step_that_failed_everywhere_stops_what_needs_it_and_only_that() -> None:
    plan = (
        a_step("init", "cp1"),
        a_step("network", "cp2", needs=("init",)),
        a_step("ready", "cp2", needs=("network",)),
        a_step("pull", "w1"),
    )
    backend = Backend({"init": fails_on("cp1")})

    outcome, events = run_all(plan, backend)

    skipped = {event.step: event.because for event in events if isinstance(event, StepSkipped)}
    assert sorted(backend.names) == ["init", "pull"]
    assert outcome.failed_steps == ("init",)
    assert outcome.skipped_steps == ("network", "ready")
    assert skipped["network"] == "init failed"
    assert skipped["ready"]


def test_a_step_without_any_host_left_is_skipped_with_the_hosts_as_reason() -> None:
    plan = (a_step("prepare", "cp1", "w1"), a_step("join", "w1", needs=("prepare",)))

    outcome, events = run_all(plan, Backend({"prepare": fails_on("w1")}))

    assert [event.because for event in events if isinstance(event, StepSkipped)] == ["w1 failed before"]
    assert outcome.skipped_steps == ("join",)


def test_after_an_interruption_no_step_begins() -> None:
    cancel = threading.Event()

    def interrupted(_step: Step, cancel: threading.Event) -> StepResult:
        cancel.set()
        return StepResult(changed=True, failed=frozenset({"cp1"}))

    backend = Backend({"a": interrupted})

    outcome, events = run_all(
        (a_step("a"), a_step("b", needs=("a",)), a_step("c", needs=("b",))), backend, cancel
    )

    assert backend.names == ["a"]
    assert outcome.interrupted
    assert [event.because for event in events if isinstance(event, StepSkipped)] == [
        "the run was interrupted"
    ] * 2


def test_an_error_of_the_back_end_is_raised_when_the_running_steps_have_come_to_their_end() -> None:
    broken, ended = threading.Event(), threading.Event()

    def breaks(_step: Step, _cancel: threading.Event) -> StepResult:
        broken.set()
        raise StepFailedError("ansible-playbook ended with exit code 4")

    def goes_on(_step: Step, cancel: threading.Event) -> StepResult:
        assert broken.wait(BOUND)
        assert not cancel.is_set()
        ended.set()
        return DONE

    backend = Backend({"a": breaks, "b": goes_on})

    with pytest.raises(StepFailedError, match="exit code 4"):
        run_all((a_step("a"), a_step("b"), a_step("c", needs=("b",))), backend)

    assert ended.is_set()
    assert sorted(backend.names) == ["a", "b"]


def test_no_two_events_are_reported_at_once() -> None:
    reporting = threading.Lock()

    def emit(_event: Event) -> None:
        assert reporting.acquire(blocking=False), "two threads report at the same time"
        reporting.release()

    def chatters(step: Step, emit: Emit) -> StepResult:
        for _ in range(200):
            emit(StepStarted(step=step.name, hosts=step.hosts))
        return DONE

    plan = tuple(a_step(f"step-{number}") for number in range(8))

    outcome = execute(plan, lambda step, emit, _cancel: chatters(step, emit), emit, threading.Event())

    assert outcome.ok


def test_after_a_failure_in_a_stop_all_step_no_further_step_begins() -> None:
    first = replace(a_step("a", "w1", "w2"), on_failure=OnFailure.STOP_ALL)
    plan = (first, a_step("b", "cp1", needs=("a",)), a_step("c", "cp2", needs=("b",)))

    outcome, events = run_all(plan, Backend({"a": fails_on("w1")}))

    assert outcome.skipped_steps == ("b", "c")
    assert [event.because for event in events if isinstance(event, StepSkipped)] == ["w1 failed before"] * 2


def test_after_a_failure_in_a_stop_batch_step_only_what_needs_it_is_skipped() -> None:
    first = replace(a_step("a", "w1", "w2"), on_failure=OnFailure.STOP_BATCH)
    plan = (first, a_step("b", "w2", needs=("a",)), a_step("c", "cp1"))
    backend = Backend({"a": fails_on("w1")})

    outcome, events = run_all(plan, backend)

    assert outcome.skipped_steps == ("b",)
    assert "c" in backend.names
    assert [event.because for event in events if isinstance(event, StepSkipped)] == ["a failed on w1"]
