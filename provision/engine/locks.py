"""One run at a time for a cluster on this machine, and the identity of the holder of a lock."""

from __future__ import annotations

import fcntl
import getpass
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from provision.errors import BusyError
from provision.paths import state_root

_START_FIELD = 19  # index after the name in /proc/PID/stat: starttime, proc(5)


@contextmanager
def run_lock(cluster: str, command: str = "") -> Iterator[None]:
    """Hold the lock of that cluster; the kernel releases it when the process ends, however it ends.

    Raises BusyError that says who holds it, with which command and since when.
    """
    directory = state_root() / "locks"
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (directory / f"{cluster}.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read().strip() or "another run"
            raise BusyError(
                f"cluster {cluster} is being worked on: {holder}",
                fix="wait until that is done, then try again",
            ) from error
        file.truncate(0)
        file.write(str(this_process(command)))
        file.flush()
        yield
        file.truncate(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class LockHolder:
    """Identity of the holder of a lock, shown to the next caller.

    `machine` is that of the command, with its boot and its pid namespace.
    """

    id: str
    who: str  # user@machine
    command: str
    since: str  # UTC
    machine: str
    process: int
    started: str  # of the process, in ticks since the boot

    def __str__(self) -> str:
        parts = (self.who, f"`{self.command}`" if self.command else "", f"process {self.process}")
        return f"{', '.join(part for part in parts if part)}, since {self.since}"

    def is_dead(self) -> bool:
        """The holder is a process of this machine that has ended."""
        return self.machine == _machine() and self.started != _started(self.process)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def this_process(command: str) -> LockHolder:
    """Return this process as the holder of a lock, for one run."""
    return LockHolder(
        id=uuid4().hex,
        who=f"{getpass.getuser()}@{socket.gethostname()}",
        command=command,
        since=time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        machine=_machine(),
        process=os.getpid(),
        started=_started(os.getpid()),
    )


def from_json(data: dict[str, Any]) -> LockHolder:
    """The holder that a host names; missing fields are empty."""
    texts = {
        name: str(data.get(name) or "") for name in ("id", "who", "command", "since", "machine", "started")
    }
    process = data.get("process")
    return LockHolder(process=process if isinstance(process, int) else 0, **texts)


def _machine() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot} {Path('/proc/self/ns/pid').readlink()}"


def _started(process: int) -> str:
    """Start time of a process in ticks since the boot; "" if it does not exist."""
    try:
        text = Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return text.rpartition(")")[2].split()[_START_FIELD]
