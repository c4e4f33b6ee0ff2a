"""The private directory of a run: 0700, in memory where possible, removed on every exit path.

The directory, playbooks and SSH connections that a killed run left are ended and removed by the next run.
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
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MARK = "AWX_ISOLATED_DATA_DIR"  # variable of every process of a step; names a directory below the step's
SOCKETS = "ssh"  # below the private directory: sockets of OpenSSH's shared connections
_PREFIX = "provision-run-"
_DEAD_WITHIN = 5.0  # seconds until killed processes are gone


@contextmanager
def workspace() -> Iterator[Path]:
    """Create a private directory with one for sockets, and remove it at the end; remove what killed runs left."""
    parent = _memory_directory()
    _remove_leftovers(parent)
    # Locked before it gets the name by which other runs find leftovers.
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
    """A directory in memory, or the usual temporary directory if there is none.

    Short on purpose: the path of a control socket may have 104 characters.
    """
    for candidate in (os.environ.get("XDG_RUNTIME_DIR", ""), "/dev/shm"):  # noqa: S108  (mkdtemp makes it 0700)
        if candidate and os.access(candidate, os.W_OK):
            return Path(candidate)
    return Path(tempfile.gettempdir())


def _remove(directory: Path) -> None:
    """End what uses the private directory of a run (playbooks, then shared connections), and remove it."""
    end_processes(directory)
    for socket in (directory / SOCKETS).glob("*"):
        end = ["ssh", "-o", f"ControlPath={socket}", "-O", "exit", "provision"]
        subprocess.run(end, capture_output=True, check=False)  # an ended connection is fine
    shutil.rmtree(directory)


def end_processes(directory: Path) -> None:
    """Kill the local processes of a step whose files are in `directory`; what runs on hosts ends by itself."""
    mark = os.fsencode(f"{MARK}={directory}/")
    end = time.monotonic() + _DEAD_WITHIN
    while time.monotonic() < end and (processes := _processes_with(mark)):
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.01)


def _processes_with(text: bytes) -> list[int]:
    """Ids of this user's processes with that text in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # of another user, or ended
            if text in (process / "environ").read_bytes():
                found.append(int(process.name))
    return found


def _remove_leftovers(parent: Path) -> None:
    """Remove what killed runs of this user left: a free lock means a dead holder."""
    for directory in parent.glob(f"{_PREFIX}*"):
        if directory.is_symlink() or directory.stat().st_uid != os.geteuid():
            continue
        try:
            lock = (directory / "lock").open()
        except FileNotFoundError:
            continue  # another run is creating it
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            _remove(directory)
