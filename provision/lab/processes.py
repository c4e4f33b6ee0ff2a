"""Start, find and stop processes that outlive the command that started them.

A process is identified by one unique argument of its command line (a path in its own directory), not by a pid that
may have been reused. In its own session it survives `timeout`, job control and the end of the shell.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from provision.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_STATE, _SESSION, _START = 0, 3, 19  # fields of /proc/PID/stat counted after the command name
_OUTSIDE = 0  # the session of a process whose leader is in an outer pid namespace (a container's, a CI job's)


@dataclass(frozen=True, slots=True)
class Process:
    """A process; the same pid with another start time (in clock ticks) is another one."""

    pid: int
    started: int
    session: int

    @property
    def is_leader(self) -> bool:
        """Whether `spawn` started this process itself; otherwise it is a child of such a process."""
        return self.pid == self.session


def spawn(argv: Sequence[str], *, log: Path, environment: Mapping[str, str]) -> int:
    """Start `argv` in a new session, in / and without input, append its output to `log` and return its pid.

    Raises LabError if the program cannot be started.
    """
    inherit = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), inherit, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    try:
        argv = ("env", "--chdir=/", *argv)
        return os.posix_spawnp(argv[0], argv, dict(environment), file_actions=actions, setsid=True)
    except OSError as error:
        raise LabError(f"cannot start {argv[0]}: {error.strerror}") from error


def find(argument: str) -> tuple[Process, ...]:
    """Return processes of `spawn` with exactly this argument, and their children with it that outlived them.

    A command in a user's shell with the same argument is not among them: it does not lead its session, and the
    leader is alive, here or outside of this pid namespace.
    """
    wanted = os.fsencode(argument)
    every = {process.pid: process for process in _all()}
    spawned = (one for one in every.values() if one.is_leader or one.session not in {*every, _OUTSIDE})
    return tuple(process for process in spawned if wanted in _arguments(process.pid))


def stop(process: Process, *, within: float = 10.0) -> None:
    """Kill the process and its whole session; return when all processes have ended.

    Raises LabError after `within` seconds.
    """
    deadline = time.monotonic() + within
    while True:
        members = tuple(member for member in _all() if member.session == process.session)
        if not members:
            return
        if time.monotonic() > deadline:
            fix = f"inspect it: ps -fp {process.pid}"
            raise LabError(f"process {process.pid} cannot be stopped", fix=fix)
        for member in members:
            _kill(member)
        time.sleep(0.02)


def _kill(process: Process) -> None:
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)


def _all() -> Iterator[Process]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            process = _read(int(entry.name))
            if process is not None:
                yield process


def _read(pid: int) -> Process | None:
    """Return the process of that pid; None if there is none, or it is a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rsplit(")", 1)[1].split()
    if fields[_STATE] in "ZX":
        return None
    return Process(pid, int(fields[_START]), int(fields[_SESSION]))


def _arguments(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return []
