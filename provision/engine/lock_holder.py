"""Who is at work: told to whoever comes second, and enough to see whether they live."""

from __future__ import annotations

import getpass
import os
import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

_START_FIELD = 19  # of what stands behind the name in /proc/PID/stat: starttime, proc(5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The owner of a lock; `machine` is that of the command, with its boot and its pid namespace."""

    id: str
    who: str  # user@machine
    command: str
    since: str  # UTC
    machine: str
    process: int
    started: str  # of the process, in ticks since the boot

    @property
    def told(self) -> str:
        parts = (self.who, f"`{self.command}`" if self.command else "", f"process {self.process}")
        return f"{', '.join(part for part in parts if part)}, since {self.since}"

    def is_dead(self) -> bool:
        """Whether it is known to be gone: only of a process of this machine that can be said."""
        return self.machine == _machine() and self.started != _started(self.process)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def this_process(command: str) -> Owner:
    """The owner that this process is, for one run."""
    return Owner(
        id=uuid4().hex,
        who=f"{getpass.getuser()}@{socket.gethostname()}",
        command=command,
        since=time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        machine=_machine(),
        process=os.getpid(),
        started=_started(os.getpid()),
    )


def from_json(data: dict[str, Any]) -> Owner:
    """The owner of which a host told; what it did not tell is empty."""
    texts = {
        name: str(data.get(name) or "") for name in ("id", "who", "command", "since", "machine", "started")
    }
    process = data.get("process")
    return Owner(process=process if isinstance(process, int) else 0, **texts)


def _machine() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot} {Path('/proc/self/ns/pid').readlink()}"


def _started(process: int) -> str:
    """When a process was started; "" if there is none of that number."""
    try:
        text = Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return text.rpartition(")")[2].split()[_START_FIELD]
