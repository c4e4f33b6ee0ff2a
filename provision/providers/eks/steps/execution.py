"""Run one step: report its progress, record which resources are done, delete, turn errors into words."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from provision.engine.events import HostFailed, TaskFinished, TaskStarted
from provision.engine.executor import StepResult
from provision.errors import InterruptedRunError, ProvisionError, StepFailedError
from provision.providers.eks import names
from provision.providers.eks.aws.calls import together
from provision.providers.eks.aws.errors import code_of, describe, is_missing
from provision.providers.eks.steps.planning import Change, Deletion
from provision.providers.eks.steps.waiting import Stateful, UnhealthyError, Waiter

if TYPE_CHECKING:
    from provision.providers.eks.facts import Child, Dependent, Observation

C = TypeVar("C", bound=Change)
D = TypeVar("D", bound=Deletion)
Task = tuple[str, str, Callable[[], Iterable[str]]]  # resource, what is done, what does it

# Seconds. Interfaces of load balancers, NAT gateways and control planes vanish some minutes after their owners.
_DEPENDENTS = 600.0
_IN_TRANSITION = frozenset({"CREATING", "UPDATING", "PENDING"})
# Refused for now: another change of the resource or of its cluster is going on.
_BUSY = frozenset({"ResourceInUseException", "ResourceInUse", "TooManyRequestsException"})
# Refused as long as something else uses it.
_IN_USE = frozenset(
    {
        "DependencyViolation",
        "DeleteConflict",
        "InvalidIPAddress.InUse",
        "InvalidNetworkInterface.InUse",
        "ResourceInUse",
        "VolumeInUse",
    }
)


@dataclass(slots=True, kw_only=True)
class Work(Waiter):
    """What a step is run with. Its methods may be called by several threads at once.

    `wait` false: leave out the last waits, where no step builds on their end.
    """

    observation: Observation
    wait: bool = True
    _done: set[str] = field(default_factory=set)
    _changed: bool = False

    @property
    def awaits(self) -> bool:
        """Whether the step ends only when AWS is done with what it began."""
        return self.wait or self.step.awaited

    def changes(self, kind: type[C]) -> tuple[C, ...]:
        return tuple(one for one in self.step.changes if isinstance(one, kind))

    def end(self) -> StepResult:
        """End the step and return its result: a resource that is not done has failed."""
        with self._lock:
            self._over = True
            return StepResult(self._changed, frozenset(self.step.hosts) - self._done)

    def attempt(self, resource: str, task: str, do: Callable[[], Iterable[str]]) -> bool:
        """Do the task; whether it succeeded. `do` returns sentences about what it changed, none if nothing.

        An error of AWS or a ProvisionError becomes a HostFailed event. Raises InterruptedRunError on cancellation.
        """
        self.check_cancelled()
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

    def attempt_all(self, tasks: Iterable[Task]) -> bool:
        """Do independent tasks at the same time; whether all succeeded."""
        return all(together([partial(self.attempt, *task) for task in tasks]))

    def attempt_each(self, kind: type[C], task: str, do: Callable[[Work, C], Iterable[str]]) -> bool:
        """Do the task for each change of that type, at the same time; whether all succeeded."""
        return self.attempt_all([(one.resource, task, partial(do, self, one)) for one in self.changes(kind)])

    def delete_all(self, kind: type[D], delete: Callable[[D], bool], *, in_order: bool = False) -> None:
        """Delete the step's resources, at the same time or in order: then the first failure ends it.

        `delete` returns whether the resource was there. Raises InterruptedRunError when the run is cancelled.
        """

        def task(deletion: D) -> Task:
            done = (f"deleted {deletion.id}",)
            return deletion.resource, f"delete {deletion.resource}", lambda: done if delete(deletion) else ()

        tasks = [task(one) for one in self.changes(kind)]
        if not in_order:
            self.attempt_all(tasks)
            return
        for one in tasks:
            if not self.attempt(*one):
                return

    def delete_and_wait(
        self,
        resource: str,
        *,
        read: Callable[[], Stateful | None],
        delete: Callable[[], object],
        limit: float,
    ) -> bool:
        """Delete a resource that has a status, and wait until `read` returns None. False if it was gone before.

        One that is being created or changed is waited for first. Raises UnhealthyError if the deletion fails, and what
        AWS says if it stays refused.
        """
        removal = _Removal(self, resource, read, delete)
        self.until(resource, f"{resource} is deleted", removal.proceed, limit=limit)
        return removal.was_there

    def delete_when_unused(
        self,
        resource: str,
        delete: Callable[[], object],
        dependents: Callable[[], tuple[Dependent, ...]] = tuple,
    ) -> bool:
        """Delete a resource without a status as soon as nothing uses it; False if it was gone.

        Raises ProvisionError naming its dependents, at once if one of them will not vanish by itself.
        """
        started = time.monotonic()

        def attempt() -> tuple[bool] | None:
            self.check_cancelled()
            try:
                delete()
            except ClientError as error:
                if is_missing(error):
                    return (False,)
                if code_of(error) not in _IN_USE:
                    raise
                found = dependents()
                if time.monotonic() - started > _DEPENDENTS or any(not one.vanishing for one in found):
                    raise _in_use(resource, found, error) from error
                names = ", ".join(one.name for one in found) or "what was deleted before"
                self.note(resource, f"waits until AWS has taken away {names}", passing=True)
                return None
            return (True,)

        return self.until(resource, f"{resource} is deleted", attempt, limit=2 * _DEPENDENTS)[0]

    def refuse_not_owned(self, resource: str, found: Child | None) -> None:
        """Raise StepFailedError for a part of the cluster that has the name and not the tags of provision's."""
        if found is not None and not found.owned:
            raise StepFailedError(
                f"the cluster has {resource} already, and provision did not make it",
                fix="take it out of the file, or delete it",
            )

    def token(self, request: Mapping[str, object]) -> str:
        account = self.observation.identity.account
        return names.client_token(account, self.account.region, self.cluster.name, self.step.name, request)

    def tags(self, resource: str) -> dict[str, str]:
        return names.tags(self.cluster.name, resource, self.cluster.tags)

    def _fail(self, resource: str, task: str, error: Exception) -> None:
        said = describe(error)
        self.emit(
            HostFailed(
                step=self.step.name,
                host=resource,
                task=task,
                message=said.message,
                lines=error.detail if isinstance(error, ProvisionError) else (),
                cause=error.cause if isinstance(error, UnhealthyError) else said.cause,
                fix=said.fix,
            )
        )


@dataclass(slots=True)
class _Removal:
    work: Work
    resource: str
    read: Callable[[], Stateful | None]
    delete: Callable[[], object]
    was_there: bool = False
    requested: bool = False
    refused: float | None = None  # since when

    def proceed(self) -> bool | None:
        """True once it is gone; requests its deletion as soon as AWS takes that."""
        found = self.read()
        if found is None:
            return True
        self.was_there = True
        self.work.note_health(self.resource, found.health)
        if found.status == "DELETING":
            self.requested = True
        elif found.status == "DELETE_FAILED" and self.requested:
            raise UnhealthyError(f"AWS could not delete {self.resource}", found.health)
        elif found.status in _IN_TRANSITION:
            self.work.note(self.resource, f"waits until it is no longer {found.status}", passing=True)
        elif not self.requested:
            self._request()
        return None

    def _request(self) -> None:
        self.work.check_cancelled()
        try:
            self.delete()
        except ClientError as error:
            if is_missing(error):
                return
            self.refused = self.refused or time.monotonic()
            too_long = time.monotonic() - self.refused > _DEPENDENTS
            if code_of(error) not in _BUSY or " attached" in str(error) or too_long:
                raise
            self.work.note(self.resource, f"waits: {describe(error).message}", passing=True)
        else:
            self.requested = True


def _in_use(resource: str, dependents: tuple[Dependent, ...], error: ClientError) -> ProvisionError:
    """The error of a resource that cannot be deleted: its dependents, by name."""
    said = describe(error)
    names = [one.name for one in dependents if not one.vanishing] or [one.name for one in dependents]
    if not names:
        return ProvisionError(said.message, fix=said.fix)
    return ProvisionError(
        f"{resource} is still used by {', '.join(names)}",
        fix="provision did not make that: delete or detach it, then run `provision reset` again",
        detail=(said.message,),
    )
