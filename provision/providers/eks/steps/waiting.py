"""Wait for AWS: poll until a resource has settled or an update has ended, and note why a wait goes on.

Also the calls that are repeated for a while because AWS is eventually consistent, or busy, or lost the answer.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from botocore.exceptions import ClientError, HTTPClientError

from provision.engine.events import Note
from provision.errors import InterruptedRunError, ProvisionError
from provision.model.units import duration
from provision.providers.eks.aws.calls import Pace, wait_for
from provision.providers.eks.aws.errors import (
    THROTTLED,
    UNAVAILABLE,
    code_of,
    is_busy,
    is_missing,
    not_yet_known,
)
from provision.providers.eks.facts import HealthIssue
from provision.providers.eks.facts.health import explain, sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from provision.engine.events import Emit, Event
    from provision.model.eks import EksCluster
    from provision.providers.eks.aws.account import Account
    from provision.providers.eks.steps.planning import EksStep

T = TypeVar("T")

_MINUTE = 60.0
_PROPAGATION = 120.0  # seconds in which every service has heard of a new role; usually ten
_CREATION = 300.0  # seconds, for what has no token
_CREATE_TRIES = 8
_READS_PER_TRY = 3  # before the request is sent again: AWS may show late what it has made
# Reads of something DEGRADED before it is given up: pods that start are that for a while. Five minutes by default.
_DEGRADED_READS = 60
_FAILED = frozenset({"CREATE_FAILED", "DELETE_FAILED", "UPDATE_FAILED", "DELETING"})
# What AWS answers where a request whose answer was lost is sent again, and had been carried out.
_ALREADY_DONE = frozenset({"Resource.AlreadyAssociated", "RouteAlreadyExists"})


class Stateful(Protocol):
    @property
    def status(self) -> str: ...
    @property
    def health(self) -> tuple[HealthIssue, ...]: ...


R = TypeVar("R", bound=Stateful)


class UnhealthyError(ProvisionError):
    """A resource ended in a failed state; `issues` are what AWS says about it."""

    def __init__(self, message: str, issues: tuple[HealthIssue, ...], *, fix: str = "") -> None:
        self.cause, known_fix = explain(issues)
        super().__init__(message, fix=known_fix or fix, detail=tuple(sentence(issue) for issue in issues))


@dataclass(slots=True)
class Waiter:
    """Everything a step waits with. `resource` is always the row of the live table that is noted meanwhile.

    A wait raises InterruptedRunError as soon as the run is cancelled, and StepFailedError after its limit (seconds).
    """

    cluster: EksCluster
    account: Account
    step: EksStep
    pace: Pace
    cancel: threading.Event
    _emit: Emit
    _over: bool = False
    _noted: set[tuple[str, str]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def emit(self, event: Event) -> None:
        """Emit an event; nothing is emitted once the step has ended."""
        with self._lock:
            if not self._over:
                self._emit(event)

    def check_cancelled(self) -> None:
        """Raise InterruptedRunError if the run is cancelled. Called before whatever changes something."""
        if self.cancel.is_set():
            raise InterruptedRunError("interrupted")

    def note(self, resource: str, text: str, *, passing: bool = False) -> None:
        """Emit a note about the resource, once."""
        with self._lock:
            if (resource, text) in self._noted:
                return
            self._noted.add((resource, text))
        self.emit(Note(step=self.step.name, host=resource, text=text, passing=passing))

    def note_health(self, resource: str, issues: Iterable[HealthIssue]) -> None:
        """Note what AWS says is wrong, as it appears, with the fix."""
        for issue in issues:
            self.note(resource, "; ".join(part for part in (sentence(issue), *explain((issue,))) if part))

    def until(self, resource: str, what: str, read: Callable[[], T | None], *, limit: float) -> T:
        """Wait until `read` returns something; note every minute that the wait goes on."""
        noted = 0

        def passing(seconds: float) -> None:
            nonlocal noted
            if seconds // _MINUTE > noted:
                noted = int(seconds // _MINUTE)
                self.note(resource, f"{what}: {duration(noted * _MINUTE)} so far", passing=True)

        return wait_for(read, what=what, limit=limit, pace=self.pace, cancel=self.cancel, passing=passing)

    def until_settled(
        self,
        resource: str,
        what: str,
        read: Callable[[], R | None],
        *,
        limit: float,
        fix: str,
        degraded_will_do: bool = False,
    ) -> R:
        """The resource, once it is ACTIVE. Raises UnhealthyError if it fails; `fix` unless AWS's reasons say one."""
        degraded = 0

        def settled() -> R | None:
            nonlocal degraded
            found = read()
            if found is None:
                return None  # AWS does not show yet what was made a moment ago
            self.note_health(resource, found.health)
            if found.status == "ACTIVE" or (found.status == "DEGRADED" and degraded_will_do):
                return found
            degraded += found.status == "DEGRADED"
            if found.status in _FAILED or degraded > _DEGRADED_READS:
                raise UnhealthyError(f"{resource} is {found.status}", found.health, fix=fix)
            return None

        return self.until(resource, what, settled, limit=limit)

    def until_updated(self, resource: str, what: str, update: str, *, limit: float, **part: str) -> None:
        """Wait for the update of EKS with that id; `part`: nodegroupName or addonName, where it is not the cluster's.

        Raises UnhealthyError with AWS's reasons if it failed or was cancelled.
        """
        eks = self.account.client("eks")

        def ended() -> bool | None:
            found: Any = eks.describe_update(name=self.cluster.name, updateId=update, **part)["update"]
            if found["status"] == "InProgress":
                return None
            if found["status"] == "Successful":
                return True
            issues = tuple(
                HealthIssue(
                    code=one.get("errorCode", ""),
                    message=one.get("errorMessage", ""),
                    resources=tuple(one.get("resourceIds", ())),
                )
                for one in found.get("errors", ())
            )
            raise UnhealthyError(
                f"{what}: AWS ended the update as {found['status']}", issues, fix="run the same command again"
            )

        self.until(resource, what, ended, limit=limit)

    def once_known(self, resource: str, what: str, call: Callable[[], T]) -> T:
        """Call again while AWS has not heard of a role that was made a moment ago; raises what AWS says at last."""
        return self.while_refused(resource, what, call, not_yet_known, "a new role")

    def once_there(self, resource: str, what: str, call: Callable[[], T]) -> T:
        """Call again while AWS does not find what it made a moment ago; raises what AWS says at last."""
        return self.while_refused(resource, what, call, is_missing, "what it has just made")

    def once_idle(self, resource: str, what: str, call: Callable[[], T]) -> T:
        """Call again while another change of the cluster is going on; raises what AWS says at last."""
        return self.while_refused(resource, what, call, is_busy, "the end of another change")

    def while_refused(
        self,
        resource: str,
        what: str,
        call: Callable[[], T],
        passes: Callable[[ClientError], bool],
        unknown: str,
    ) -> T:
        """Call again while `passes` says of its errors that they pass; `unknown` is what AWS does not know yet."""
        started = time.monotonic()

        def attempt() -> tuple[T] | None:
            self.check_cancelled()
            try:
                return (call(),)
            except ClientError as error:
                if not passes(error) or time.monotonic() - started > _PROPAGATION:
                    raise
                self.note(resource, f"waits until AWS knows {unknown} ({what})", passing=True)
                return None

        return self.until(resource, what, attempt, limit=2 * _PROPAGATION)[0]

    def create_once(
        self, resource: str, what: str, *, find: Callable[[], str | None], create: Callable[[], str]
    ) -> str:
        """Create what AWS would create twice if asked twice: VPCs, subnets, addresses, gateways, roles.

        Their requests have no token. So an answer that is lost, or that says to ask later, is followed by reads for
        what may have been made, before the request is sent again. `create` must use a client that retries nothing.
        Returns the id that `create` returned or `find` found; raises what AWS says to the last try.
        """
        tries = reads = 0

        def attempt() -> str | None:
            nonlocal tries, reads
            if tries:
                reads += 1
                found = find()
                if found is not None or reads % _READS_PER_TRY:
                    return found
            self.check_cancelled()
            tries += 1
            try:
                return create()
            except (ClientError, HTTPClientError) as error:
                passing = isinstance(error, HTTPClientError) or code_of(error) in THROTTLED | UNAVAILABLE
                if not passing or tries >= _CREATE_TRIES:
                    raise
                self.note(resource, f"no answer from AWS: looks whether it did {what}", passing=True)
                return None

        return self.until(resource, what, attempt, limit=_CREATION)


def unless_done(call: Callable[[], object]) -> Callable[[], None]:
    """The call, which then also accepts the answer that it has been carried out already."""

    def tolerant() -> None:
        try:
            call()
        except ClientError as error:
            if code_of(error) not in _ALREADY_DONE:
                raise

    return tolerant


def unless_missing(call: Callable[[], object]) -> bool:
    """Call; False if AWS says that the thing is not there."""
    try:
        call()
    except ClientError as error:
        if is_missing(error):
            return False
        raise
    return True
