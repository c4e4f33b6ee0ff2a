"""What happens during a run, as data: emitted by `apply` and the backends, read by everything in `report/`.

Times are seconds since the epoch (`at`) or durations in seconds (`seconds`). No event carries a secret.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from provision.model.plan import Finding, Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    at: float = field(default_factory=time.time)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Event):
    run: str  # identifies the run and its directory
    cluster: str
    plan: Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed(Event):
    """One host answered (or did not: `error`)."""

    host: str
    seconds: float
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingSeen(Event):
    finding: Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted(Event):
    step: str
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskStarted(Event):
    """A task begins on one host of a step."""

    step: str
    host: str
    task: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFinished(Event):
    """A task ended well on one host.

    `changes` are human sentences ("turned swap off: /swapfile"), empty if unchanged; `proofs` what a test saw work.
    """

    step: str
    host: str
    task: str
    changed: bool
    changes: tuple[str, ...] = ()
    proofs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Note(Event):
    """Something worth knowing about a host while its task goes on ("NodeCreationFailure: ...").

    `passing`: it only says that time passes, which a live table shows anyway.
    """

    step: str
    host: str
    text: str
    passing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFailed(Event):
    """A task failed on a host, or the host was lost: what was run, the last lines that matter, the likely cause."""

    step: str
    host: str
    task: str
    message: str
    command: str = ""
    lines: tuple[str, ...] = ()
    cause: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFinished(Event):
    step: str
    seconds: float
    changed: bool
    failed_hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSkipped(Event):
    """Not run, because a step that it needs failed or the run was interrupted."""

    step: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopping(Event):
    """The user asked to stop: no further step begins, running ones are cut off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished(Event):
    run: str
    ok: bool
    seconds: float
    interrupted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeconfigWritten(Event):
    """The admin kubeconfig lies in this file, readable by its owner alone."""

    path: str


Emit = Callable[[Event], None]
