"""One step of a run at work: tells what goes on, keeps who is done, turns errors into words, stops when asked to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from provision.engine.events import HostFailed, Note, TaskFinished, TaskStarted
from provision.engine.executor import StepResult
from provision.errors import InterruptedRunError, ProvisionError
from provision.model.units import duration
from provision.providers.eks import names
from provision.providers.eks.aws.calls import together, wait_for
from provision.providers.eks.aws.errors import describe, is_busy, is_missing, not_yet_known
from provision.providers.eks.health import explain, sentence

if TYPE_CHECKING:
    from provision.engine.events import Emit, Event
    from provision.model.eks import EksCluster
    from provision.model.plan import PlaybookStep
    from provision.providers.eks.aws.account import Account
    from provision.providers.eks.aws.calls import Pace
    from provision.providers.eks.facts import HealthIssue, Identity, Observation

T = TypeVar("T")

_MINUTE = 60.0
_PROPAGATION = 120.0  # seconds in which every service has heard of a new role; usually ten


class UnhealthyError(ProvisionError):
    """A resource ended in a failed state; `issues` are what AWS says about it."""

    def __init__(self, message: str, issues: tuple[HealthIssue, ...], *, fix: str = "") -> None:
        self.cause, told = explain(issues)
        super().__init__(message, fix=told or fix, detail=tuple(sentence(issue) for issue in issues))


@dataclass(slots=True)
class Work:
    """What an action is given. Its methods may be called by several threads at once."""

    cluster: EksCluster
    account: Account
    observation: Observation
    step: PlaybookStep
    pace: Pace
    wait: bool  # false: leave out the last waits, where no step builds on their end
    cancel: threading.Event
    _emit: Emit
    _done: set[str] = field(default_factory=set)
    _changed: bool = False
    _over: bool = False
    _noted: set[tuple[str, str]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def identity(self) -> Identity:
        return self.observation.identity

    @property
    def awaits(self) -> bool:
        """Whether the action ends only when AWS is done with what it began."""
        return self.wait or bool(self.step.variables.get("awaited"))

    def spec(self, resource: str) -> Mapping[str, object]:
        """What the plan says about the resource; empty if nothing beside its name."""
        return self.step.host_variables.get(resource, {})

    def emit(self, event: Event) -> None:
        """Nothing is told any more once the step was left."""
        with self._lock:
            if not self._over:
                self._emit(event)

    def leave(self) -> StepResult:
        """The step's result: whoever is not done has failed."""
        with self._lock:
            self._over = True
            return StepResult(self._changed, frozenset(self.step.hosts) - self._done)

    def attempt(self, resource: str, task: str, do: Callable[[], Iterable[str]]) -> bool:
        """Do the task; whether it succeeded. `do` returns sentences about what it changed, none if nothing.

        Errors of AWS and of ours become a HostFailed event. Raises InterruptedRunError when the run is cancelled.
        """
        self.heed()
        self.emit(TaskStarted(step=self.step.name, host=resource, task=task))
        changes: list[str] = []
        try:
            for change in do():
                changes.append(change)
                self._changed = True
        except InterruptedRunError:
            raise
        except (ClientError, BotoCoreError, ProvisionError) as error:
            self._fail(resource, task, error)
            return False
        with self._lock:
            self._done.add(resource)
        self.emit(
            TaskFinished(
                step=self.step.name,
                host=resource,
                task=task,
                changed=bool(changes),
                changes=tuple(changes),
            )
        )
        return True

    def attempt_all(self, tasks: Iterable[tuple[str, str, Callable[[], Iterable[str]]]]) -> bool:
        """The same for independent resources, at the same time; whether all succeeded."""

        def one(resource: str, task: str, do: Callable[[], Iterable[str]]) -> Callable[[], bool]:
            return lambda: self.attempt(resource, task, do)

        return all(together([one(*task) for task in tasks]))

    def heed(self) -> None:
        """Raises InterruptedRunError if the run is cancelled: called before whatever changes something."""
        if self.cancel.is_set():
            raise InterruptedRunError("interrupted")

    def note(self, resource: str, text: str, *, passing: bool = False) -> None:
        """Tell something about the resource, once."""
        with self._lock:
            if (resource, text) in self._noted:
                return
            self._noted.add((resource, text))
        self.emit(Note(step=self.step.name, host=resource, text=text, passing=passing))

    def note_health(self, resource: str, issues: Iterable[HealthIssue]) -> None:
        """Tell what AWS says is wrong, as it appears, with the way out."""
        for issue in issues:
            cause, fix = explain((issue,))
            self.note(resource, "; ".join(part for part in (sentence(issue), cause, fix) if part))

    def until(self, resource: str, what: str, look: Callable[[], T | None], *, limit: float) -> T:
        """Wait until `look` returns something, and tell every minute that it goes on. `limit` in seconds."""
        told = 0

        def passing(seconds: float) -> None:
            nonlocal told
            if seconds // _MINUTE > told:
                told = int(seconds // _MINUTE)
                self.note(resource, f"{what}: {duration(told * _MINUTE)} so far", passing=True)

        return wait_for(look, what=what, limit=limit, pace=self.pace, cancel=self.cancel, passing=passing)

    def once_known(self, resource: str, what: str, call: Callable[[], T]) -> T:
        """Call again while AWS has not heard of a role that was made a moment ago; raises what AWS says at last."""
        return self.again(resource, what, call, not_yet_known, "a new role")

    def once_there(self, resource: str, what: str, call: Callable[[], T]) -> T:
        """Call again while AWS does not find what it made a moment ago; raises what AWS says at last."""
        return self.again(resource, what, call, is_missing, "what it has just made")

    def free(self, resource: str, what: str, call: Callable[[], T]) -> T:
        """Call again while another change of the cluster is going on; raises what AWS says at last."""
        return self.again(resource, what, call, is_busy, "the end of another change")

    def again(
        self,
        resource: str,
        what: str,
        call: Callable[[], T],
        passes: Callable[[ClientError], bool],
        unknown: str,
    ) -> T:
        """Call again while its errors are such that pass; `unknown` is what AWS does not know yet."""
        started = time.monotonic()

        def look() -> tuple[T] | None:
            self.heed()
            try:
                return (call(),)
            except ClientError as error:
                if not passes(error) or time.monotonic() - started > _PROPAGATION:
                    raise
                self.note(resource, f"waits until AWS knows {unknown} ({what})", passing=True)
                return None

        return self.until(resource, what, look, limit=2 * _PROPAGATION)[0]

    def token(self, spec: Mapping[str, object]) -> str:
        """The client token of a request with this spec."""
        return names.client_token(
            self.identity.account, self.account.region, self.cluster.name, self.step.name, spec
        )

    def tags(self, resource: str) -> dict[str, str]:
        return names.tags(self.cluster.name, resource, self.cluster.tags)

    def _fail(self, resource: str, task: str, error: Exception) -> None:
        told = describe(error)
        lines = error.detail if isinstance(error, ProvisionError) else ()
        cause = error.cause if isinstance(error, UnhealthyError) else told.cause
        self.emit(
            HostFailed(
                step=self.step.name,
                host=resource,
                task=task,
                message=told.message,
                lines=lines,
                cause=cause,
                fix=told.fix,
            )
        )
