"""Runs the steps of a plan: those that need each other in order, the others at the same time.

Knows neither Ansible nor AWS: a back end gives a step its effect. A host that fails is left out of what follows; a step
that has no host left, or needs one that was not done, is skipped with the reason. The rest goes on.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from provision.engine.events import Emit, Event, StepFinished, StepSkipped, StepStarted
from provision.model.plan import Plan, Step

# Seconds. The kernel may hand a signal to any thread, and only this one runs its handler, when it is awake.
_HEAR_SIGNALS = 0.2


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a back end made of a step: `failed` are the hosts where it did not succeed."""

    changed: bool
    failed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: names of steps and of hosts that failed; all empty means that everything was done."""

    failed_steps: tuple[str, ...]
    skipped_steps: tuple[str, ...]
    failed_hosts: frozenset[str]
    interrupted: bool = False

    @property
    def ok(self) -> bool:
        return not (self.failed_steps or self.skipped_steps or self.interrupted)


RunStep = Callable[[Step, Emit, threading.Event], StepResult]
Narrow = Callable[[Step, frozenset[str]], Step | None]


def without_hosts(step: Step, lost: frozenset[str]) -> Step | None:
    """The step for the hosts that are left; None if that is no step any more."""
    hosts = tuple(host for host in step.hosts if host not in lost)
    return replace(step, hosts=hosts) if hosts else None


def run(
    plan: Plan, run_step: RunStep, emit: Emit, cancel: threading.Event, *, narrow: Narrow = without_hosts
) -> Outcome:
    """Run all steps; `run_step` is called in threads, `emit` never by two at once.

    When `cancel` is set no further step begins; `run_step` is expected to end soon. `narrow` says what a step is
    without the hosts that failed. An exception of `run_step` is raised again when the running steps have ended.
    """
    return _Run(plan, run_step, _one_at_a_time(emit), cancel, narrow).to_the_end()


@dataclass
class _Run:
    """The state of one run: what waits, what runs, what became of the rest. Touched by one thread only."""

    plan: Plan
    run_step: RunStep
    emit: Emit
    cancel: threading.Event
    narrow: Narrow
    waiting: list[Step] = field(default_factory=list)
    running: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    failed: list[str] = field(default_factory=list)
    undone: list[str] = field(default_factory=list)
    blocked: dict[str, str] = field(default_factory=dict)  # step: why nothing may build on it
    news: queue.SimpleQueue[tuple[Step, StepResult, BaseException | None]] = field(
        default_factory=queue.SimpleQueue
    )
    broken: BaseException | None = None

    def to_the_end(self) -> Outcome:
        self.waiting = list(self.plan)
        self._start_ready()
        while self.running:
            try:
                step, result, broken = self.news.get(timeout=_HEAR_SIGNALS)
            except queue.Empty:
                continue
            self.running.discard(step.name)
            if broken is not None:
                self.broken = self.broken or broken  # running steps come to their end, no further one begins
            self._note(step, result)
            self._start_ready()
        if self.broken is not None:
            raise self.broken
        return Outcome(tuple(self.failed), tuple(self.undone), frozenset(self.lost), self.cancel.is_set())

    def _note(self, step: Step, result: StepResult) -> None:
        if result.failed:
            self.failed.append(step.name)
            self.lost |= result.failed
            if result.failed >= set(step.hosts):
                self.blocked[step.name] = f"{step.name} failed"

    def _start_ready(self) -> None:
        """Start what may start, skip what cannot any more, until neither is left."""
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

    def _start_or_skip(self, step: Step) -> None:
        because = next((self.blocked[need] for need in step.needs if need in self.blocked), "")
        if self.broken is not None:
            because = "a step could not be run at all"
        if self.cancel.is_set():
            because = "the run was interrupted"
        narrowed = self.narrow(step, frozenset(self.lost))
        if narrowed is None and not because:
            because = f"{', '.join(sorted(self.lost & set(step.hosts)) or sorted(self.lost))} failed before"
        if because or narrowed is None:
            self.undone.append(step.name)
            self.blocked[step.name] = because
            self.emit(StepSkipped(step=step.name, because=because))
            return
        self.running.add(step.name)
        threading.Thread(target=self._work, args=(narrowed,), name=step.name, daemon=True).start()

    def _work(self, step: Step) -> None:
        started = time.monotonic()
        broken: BaseException | None = None
        result = StepResult(changed=True, failed=frozenset(step.hosts))
        try:
            self.emit(StepStarted(step=step.name, hosts=step.hosts))
            result = self.run_step(step, self.emit, self.cancel)
        except BaseException as error:  # noqa: BLE001  (raised again in the main thread)
            broken = error
        seconds = time.monotonic() - started
        failed = tuple(sorted(result.failed))
        finished = StepFinished(step=step.name, seconds=seconds, changed=result.changed, failed_hosts=failed)
        try:
            self.emit(finished)
        except BaseException as error:  # noqa: BLE001  (nobody listens any more: a closed pipe, a full disk)
            broken = broken or error
        self.news.put((step, result, broken))


def _one_at_a_time(emit: Emit) -> Emit:
    lock = threading.Lock()

    def locked(event: Event) -> None:
        with lock:
            emit(event)

    return locked
