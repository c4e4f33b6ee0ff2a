"""Waits until a part of the cluster has come to rest: ACTIVE, or failed with AWS's reasons."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from provision.errors import StepFailedError
from provision.providers.eks.work import UnhealthyError

if TYPE_CHECKING:
    from provision.providers.eks.facts import HealthIssue
    from provision.providers.eks.work import Work

# Looks at something DEGRADED before it is given up: pods that start are that for a while. Five minutes by default.
_PATIENCE = 60
_FAILED = frozenset({"CREATE_FAILED", "DELETE_FAILED", "UPDATE_FAILED", "DELETING"})


class Owned(Protocol):
    @property
    def owned(self) -> bool: ...


class Part(Owned, Protocol):
    @property
    def status(self) -> str: ...
    @property
    def health(self) -> tuple[HealthIssue, ...]: ...


P = TypeVar("P", bound=Part)


@dataclass(frozen=True, slots=True)
class Settling(Generic[P]):
    """`limit` in seconds; `fix` is told if it fails and AWS's reasons say no better one."""

    resource: str
    what: str
    read: Callable[[], P | None]
    limit: float
    fix: str
    degraded_will_do: bool = False


def settle(work: Work, wanted: Settling[P]) -> P:
    """The part, once it is ACTIVE; its health issues are told as they appear. Raises UnhealthyError if it fails."""
    degraded = 0

    def look() -> P | None:
        nonlocal degraded
        found = wanted.read()
        if found is None:
            return None  # AWS does not show yet what was made a moment ago
        work.note_health(wanted.resource, found.health)
        if found.status == "ACTIVE" or (found.status == "DEGRADED" and wanted.degraded_will_do):
            return found
        degraded += found.status == "DEGRADED"
        if found.status in _FAILED or degraded > _PATIENCE:
            raise UnhealthyError(f"{wanted.resource} is {found.status}", found.health, fix=wanted.fix)
        return None

    return work.until(wanted.resource, wanted.what, look, limit=wanted.limit)


def refuse_foreign(resource: str, found: Owned | None) -> None:
    """Raises StepFailedError for a part that has our name and not our tags."""
    if found is not None and not found.owned:
        raise StepFailedError(
            f"the cluster has {resource} already, and provision did not make it",
            fix="take it out of the file, or delete it",
        )
