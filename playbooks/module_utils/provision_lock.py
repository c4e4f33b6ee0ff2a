"""One at a time on a host: a lock that the program doing the work holds too, and an end for one left by a dead run."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ansible.module_utils.provision_host import RUN_DIRECTORY, HostError

if TYPE_CHECKING:
    from collections.abc import Iterator

# Seconds for a join that another run has begun to end by itself. Who waits longer waits for nothing: that run is over,
# and the token of its join was taken back, or what the join makes is about to be taken away again.
JOIN_ENDS = 20
_PAUSE = 0.5  # seconds
_GENTLE = 10  # seconds from the first request to end until it is not a request any more


@contextlib.contextmanager
def exclusive(
    verb: str, *, wait: float, end_after: float | None = None, directory: Path = RUN_DIRECTORY
) -> Iterator[int]:
    """Hold the lock of `verb`; yields its descriptor, to be inherited by the program that does the work.

    With a killed controller a module and its program live on. The program holds the lock too, so whoever
    comes next waits for its end, at most `wait` seconds, and then looks at the state again. After `end_after`
    seconds whoever holds it is ended: for work that cannot succeed any more, as its credentials were taken back.
    HostError where it is still held after `wait` seconds.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / f"lock-{verb}"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        begin = time.monotonic()
        while not _try_lock(descriptor):
            waited = time.monotonic() - begin
            if waited > wait:
                raise HostError(f"another {verb} is still running on this host after {wait:.0f} s")
            if end_after is not None and waited > end_after:
                _end(path, signal.SIGTERM if waited < end_after + _GENTLE else signal.SIGKILL)
            time.sleep(_PAUSE)
        yield descriptor
    finally:
        os.close(descriptor)


def _end(path: Path, how: signal.Signals) -> None:
    """Signal the holders whose children hold nothing: so a module can clean up after the program it ran."""
    holders = _holders(path)
    parents = {_parent(pid) for pid in holders}
    for pid in holders - parents:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, how)


def _holders(path: Path) -> set[int]:
    """Processes other than this one that have the file open."""
    lock = path.stat()
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            opened = [entry.stat() for entry in (process / "fd").iterdir() if entry.exists()]
            if any((one.st_dev, one.st_ino) == (lock.st_dev, lock.st_ino) for one in opened):
                found.add(int(process.name))
    return found - {os.getpid()}


def _parent(pid: int) -> int:
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2]
    except OSError:
        return 0
    return int(after_name.split()[1])


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
