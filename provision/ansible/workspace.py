"""The private directory of a run: 0700, in memory where possible, and gone on every way out.

What a killed run left, its directory, its playbooks and its SSH connections, is ended and removed by the next one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MARK = "AWX_ISOLATED_DATA_DIR"  # in the environment of every process of a step; names a directory below the step's
SOCKETS = "ssh"  # below the private directory: where OpenSSH's shared connections have their sockets
_PREFIX = "provision-run-"
_DEAD_WITHIN = 5.0  # seconds for killed processes to go


@contextmanager
def workspace() -> Iterator[Path]:
    """A private directory for the length of a run, with a place for sockets in it; removes what killed runs left."""
    parent = _memory_directory()
    _remove_leftovers(parent)
    # Locked before it has the name under which others look for leftovers.
    fresh = Path(tempfile.mkdtemp(prefix=".provision-", dir=parent))  # 0700
    with (fresh / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        directory = fresh.rename(parent / f"{_PREFIX}{fresh.name.rpartition('-')[2]}")
        (directory / SOCKETS).mkdir(mode=0o700)
        try:
            yield directory
        finally:
            _remove(directory)


def write_private(path: Path, text: str) -> None:
    """Write a new file, 0600."""
    with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def _memory_directory() -> Path:
    """Where a private directory is in memory; the usual temporary directory where that is not to be had.

    Short on purpose: the path of a control socket may have 104 characters.
    """
    for candidate in (os.environ.get("XDG_RUNTIME_DIR", ""), "/dev/shm"):  # noqa: S108  (mkdtemp makes it 0700)
        if candidate and os.access(candidate, os.W_OK):
            return Path(candidate)
    return Path(tempfile.gettempdir())


def _remove(directory: Path) -> None:
    """Remove the private directory of a run, and first what uses it: playbooks, then shared connections."""
    end_processes(directory)
    for socket in (directory / SOCKETS).glob("*"):
        end = ["ssh", "-o", f"ControlPath={socket}", "-O", "exit", "provision"]
        subprocess.run(end, capture_output=True, check=False)  # a connection that is gone already is fine
    shutil.rmtree(directory)


def end_processes(directory: Path) -> None:
    """Kill what a step whose files are in `directory` has left running here; what runs on hosts comes to its end."""
    mark = os.fsencode(f"{MARK}={directory}/")
    end = time.monotonic() + _DEAD_WITHIN
    while time.monotonic() < end and (processes := _marked(mark)):
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.01)


def _marked(mark: bytes) -> list[int]:
    """Processes of this user with that text in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # of another user, or gone already
            if mark in (process / "environ").read_bytes():
                found.append(int(process.name))
    return found


def _remove_leftovers(parent: Path) -> None:
    """Remove what a killed run of ours left: its lock is free, because its holder is dead."""
    for directory in parent.glob(f"{_PREFIX}*"):
        if directory.is_symlink() or directory.stat().st_uid != os.geteuid():
            continue
        try:
            lock = (directory / "lock").open()
        except FileNotFoundError:
            continue  # another run is just making it
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            _remove(directory)
