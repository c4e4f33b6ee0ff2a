"""Deletes one resource and waits until AWS has let it go, whatever state it is in."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from botocore.exceptions import ClientError

from provision.errors import ProvisionError
from provision.providers.eks.aws.errors import code_of, describe, is_missing
from provision.providers.eks.work import UnhealthyError

if TYPE_CHECKING:
    from provision.providers.eks.deletions.holders import Holder
    from provision.providers.eks.facts import HealthIssue
    from provision.providers.eks.work import Work

# Seconds. Interfaces of load balancers, NAT gateways and control planes vanish some minutes after their owners.
_PATIENCE = 600.0
# Refused for now: another change of the resource or of its cluster is going on.
_BUSY = frozenset({"ResourceInUseException", "ResourceInUse", "TooManyRequestsException"})
# Refused as long as something else uses it.
_HELD = frozenset(
    {
        "DependencyViolation",
        "DeleteConflict",
        "InvalidIPAddress.InUse",
        "InvalidNetworkInterface.InUse",
        "ResourceInUse",
        "VolumeInUse",
    }
)
_PASSING = frozenset({"CREATING", "UPDATING", "PENDING"})


class State(Protocol):
    """What a resource with a life of its own says about itself."""

    @property
    def status(self) -> str: ...

    @property
    def health(self) -> tuple[HealthIssue, ...]: ...


def remove(
    work: Work,
    resource: str,
    *,
    state: Callable[[], State | None],
    delete: Callable[[], object],
    limit: float,
) -> bool:
    """Delete a resource that has a status, and wait until `state` is None: it is gone. False if it was gone before.

    One that is being created or changed is waited for first. `limit` in seconds. Raises UnhealthyError if the
    deletion fails, and what AWS says if it stays refused.
    """
    removal = _Removal(work, resource, state, delete)
    work.until(resource, f"{resource} is deleted", removal.look, limit=limit)
    return removal.was_there


@dataclass(slots=True)
class _Removal:
    work: Work
    resource: str
    state: Callable[[], State | None]
    delete: Callable[[], object]
    was_there: bool = False
    asked: bool = False
    refused: float | None = None  # since when

    def look(self) -> bool | None:
        """True once it is gone; asks for its deletion as soon as AWS takes that."""
        now = self.state()
        if now is None:
            return True
        self.was_there = True
        self.work.note_health(self.resource, now.health)
        if now.status == "DELETING":
            self.asked = True
        elif now.status == "DELETE_FAILED" and self.asked:
            raise UnhealthyError(f"AWS could not delete {self.resource}", now.health)
        elif now.status in _PASSING:
            self.work.note(self.resource, f"waits until it is no longer {now.status}", passing=True)
        elif not self.asked:
            self._ask()
        return None

    def _ask(self) -> None:
        self.work.heed()
        try:
            self.delete()
        except ClientError as error:
            if is_missing(error):
                return
            self.refused = self.refused or time.monotonic()
            if code_of(error) not in _BUSY or " attached" in str(error) or self._too_long():
                raise
            self.work.note(self.resource, f"waits: {describe(error).message}", passing=True)
        else:
            self.asked = True

    def _too_long(self) -> bool:
        return self.refused is not None and time.monotonic() - self.refused > _PATIENCE


def delete_once_free(
    work: Work,
    resource: str,
    delete: Callable[[], object],
    holders: Callable[[], tuple[Holder, ...]] = tuple,
) -> bool:
    """Delete a resource without a status as soon as nothing uses it; False if it was gone.

    Raises ProvisionError naming what holds on to it, at once if that will not vanish by itself.
    """
    started = time.monotonic()

    def look() -> tuple[bool] | None:
        work.heed()
        try:
            delete()
        except ClientError as error:
            if is_missing(error):
                return (False,)
            if code_of(error) not in _HELD:
                raise
            holding = holders()
            if time.monotonic() - started > _PATIENCE or any(not one.vanishing for one in holding):
                raise held(resource, holding, error) from error
            whom = ", ".join(one.name for one in holding) or "what was deleted before"
            work.note(resource, f"waits until AWS has taken away {whom}", passing=True)
            return None
        return (True,)

    return work.until(resource, f"{resource} is deleted", look, limit=2 * _PATIENCE)[0]


def held(resource: str, holders: tuple[Holder, ...], error: ClientError) -> ProvisionError:
    """What keeps a resource from being deleted, by name."""
    told = describe(error)
    names = [one.name for one in holders if not one.vanishing] or [one.name for one in holders]
    if not names:
        return ProvisionError(told.message, fix=told.fix)
    return ProvisionError(
        f"{resource} is still used by {', '.join(names)}",
        fix="provision did not make that: delete or detach it, then run `provision reset` again",
        detail=(told.message,),
    )
