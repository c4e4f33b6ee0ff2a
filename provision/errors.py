"""Every failure a user can meet: its class decides the exit code, its hint says the way out.

Raised anywhere, turned into a message and an exit code in one place: `provision.cli.main`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from provision.model.plan import Finding


class ProvisionError(Exception):
    """Something failed for a reason that we can name.

    `message` is lower case, one fact, no final period; `fix` is what to do or to type, or "".
    `detail` holds further lines worth reading (the last lines of a log), already redacted.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, fix: str = "", detail: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.detail = detail


class StepFailedError(ProvisionError):
    """A step failed while changing something; the run can be repeated."""


class ToolError(ProvisionError):
    """A program of this computer that builds something (dpkg-deb, gpg, go) failed."""


class LabError(ProvisionError):
    """The lab's machines, network or mirror cannot be made, started or stopped."""


class FileError(ProvisionError):
    """The cluster file or the arguments are wrong; nothing was contacted.

    `findings` lists every problem at once, each with file and line.
    """

    exit_code = 3

    def __init__(self, message: str, *, fix: str = "", findings: tuple[Finding, ...] = ()) -> None:
        super().__init__(message, fix=fix)
        self.findings = findings


class CheckError(ProvisionError):
    """Checks found errors; nothing was changed."""

    exit_code = 4

    def __init__(self, message: str, *, fix: str = "", findings: tuple[Finding, ...] = ()) -> None:
        super().__init__(message, fix=fix)
        self.findings = findings


class UnreachableError(ProvisionError):
    """One or more hosts cannot be reached or logged in to; nothing was changed.

    `findings` has one entry per host that did not answer.
    """

    exit_code = 5

    def __init__(self, message: str, *, fix: str = "", findings: tuple[Finding, ...] = ()) -> None:
        super().__init__(message, fix=fix)
        self.findings = findings


class BusyError(ProvisionError):
    """Another run works on the same cluster."""


class InterruptedRunError(ProvisionError):
    """The user stopped the run (Ctrl-C or SIGTERM)."""

    exit_code = 130
