"""Run the steps of a plan: in the order of their needs, independent ones side by side.

Neutral to providers: a `StepRunner` gives a step its effect. What the failure of a host means for later steps is the
step's own `on_failure`; a step that has no host left, or needs one that did not run, is skipped with the reason.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from provision.engine.events import Emit, Event, StepFinished, StepSkipped, StepStarted
from provision.model.plan import OnFailure, Step

# Seconds. The kernel may hand a signal to any thread, and only this one runs its handler, when it is awake.
_SIGNAL_POLL = 0.2


@dataclass(frozen=True, slots=True)
class StepResult:
    """Result of one step: `failed` are the hosts where it did not succeed."""

    changed: bool
    failed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """Result of a run: names of steps and of hosts that failed; all empty when every step succeeded."""

    failed_steps: tuple[str, ...]
    skipped_steps: tuple[str, ...]
    failed_hosts: frozenset[str]
    interrupted: bool = False

    @property
    def ok(self) -> bool:
        return not (self.failed_steps or self.skipped_steps or self.interrupted)


S = TypeVar("S", bound=Step)
RunStep = Callable[[S, Emit, threading.Event], StepResult]


def execute(plan: tuple[S, ...], run_step: RunStep[S], emit: Emit, cancel: threading.Event) -> RunOutcome:
    """Run all steps; `run_step` is called in threads, `emit` never by two at once.

    When `cancel` is set no further step begins; `run_step` is expected to end soon. An exception of `run_step` is
    raised again when the running steps have ended.
    """
    return _Execution(plan, run_step, _serialised(emit), cancel).run_to_end()


@dataclass
class _Execution(Generic[S]):
    """State of one run: what waits, what runs, what became of the rest. Touched by one thread only."""

    plan: tuple[S, ...]
    run_step: RunStep[S]
    emit: Emit
    cancel: threading.Event
    waiting: list[S] = field(default_factory=list)
    running: set[str] = field(default_factory=set)
    failed_hosts: set[str] = field(default_factory=set)
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    blocked: dict[str, str] = field(default_factory=dict)  # step: why steps that need it cannot run
    stopped: str = ""  # why no further step may begin
    results: queue.SimpleQueue[tuple[S, StepResult, BaseException | None]] = field(
        default_factory=queue.SimpleQueue
    )
    error: BaseException | None = None

    def run_to_end(self) -> RunOutcome:
        self.waiting = list(self.plan)
        self._start_ready()
        while self.running:
            try:
                step, result, error = self.results.get(timeout=_SIGNAL_POLL)
            except queue.Empty:
                continue
            self.running.discard(step.name)
            if error is not None:
                self.error = self.error or error  # running steps come to their end, no further one begins
            self._record(step, result)
            self._start_ready()
        if self.error is not None:
            raise self.error
        return RunOutcome(
            tuple(self.failed), tuple(self.skipped), frozenset(self.failed_hosts), self.cancel.is_set()
        )

    def _record(self, step: S, result: StepResult) -> None:
        if not result.failed:
            return
        self.failed.append(step.name)
        self.failed_hosts |= result.failed
        hosts = ", ".join(sorted(result.failed))
        if result.failed >= set(step.hosts):
            self.blocked[step.name] = f"{step.name} failed"
        elif step.on_failure is OnFailure.STOP_BATCH:
            self.blocked[step.name] = f"{step.name} failed on {hosts}"
        if step.on_failure is OnFailure.STOP_ALL:
            self.stopped = self.stopped or f"{hosts} failed before"

    def _start_ready(self) -> None:
        """Start each step whose needs have ended, skip what cannot run any more, until neither is left."""
        progress = True
        while progress:
            progress = False
            unfinished = {step.name for step in self.waiting} | self.running
            for step in tuple(self.waiting):
                if any(need in unfinished for need in step.needs):
                    continue
                self.waiting.remove(step)
                progress = True
                self._start_or_skip(step)

    def _start_or_skip(self, step: S) -> None:
        because = next((self.blocked[need] for need in step.needs if need in self.blocked), self.stopped)
        if self.error is not None:
            because = "a step could not be run at all"
        if self.cancel.is_set():
            because = "the run was interrupted"
        remaining = step.without_failed_hosts(frozenset(self.failed_hosts))
        if remaining is None and not because:
            failed = sorted(self.failed_hosts & set(step.hosts)) or sorted(self.failed_hosts)
            because = f"{', '.join(failed)} failed before"
        if because or remaining is None:
            self.skipped.append(step.name)
            self.blocked[step.name] = because
            self.emit(StepSkipped(step=step.name, because=because))
            return
        self.running.add(step.name)
        threading.Thread(target=self._work, args=(remaining,), name=step.name, daemon=True).start()

    def _work(self, step: S) -> None:
        started = time.monotonic()
        error: BaseException | None = None
        result = StepResult(changed=True, failed=frozenset(step.hosts))
        try:
            self.emit(StepStarted(step=step.name, hosts=step.hosts))
            result = self.run_step(step, self.emit, self.cancel)
        except BaseException as raised:  # noqa: BLE001  (raised again in the main thread)
            error = raised
        seconds = time.monotonic() - started
        failed = tuple(sorted(result.failed))
        finished = StepFinished(step=step.name, seconds=seconds, changed=result.changed, failed_hosts=failed)
        try:
            self.emit(finished)
        except BaseException as raised:  # noqa: BLE001  (an observer failed: a closed pipe, a full disk)
            error = error or raised
        self.results.put((step, result, error))


def _serialised(emit: Emit) -> Emit:
    lock = threading.Lock()

    def locked(event: Event) -> None:
        with lock:
            emit(event)

    return locked
