"""One run at a time for a cluster on this machine: a lock that the kernel takes back when its owner dies."""

from __future__ import annotations

import fcntl
from contextlib import contextmanager
from typing import TYPE_CHECKING

from provision.engine.lock_holder import this_process
from provision.errors import BusyError
from provision.paths import state_root

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def run_lock(cluster: str, command: str = "") -> Iterator[None]:
    """Hold the lock of that cluster; released on every way out, a killed process included.

    Raises BusyError that says who holds it, with which command and since when.
    """
    place = state_root() / "locks"
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (place / f"{cluster}.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            owner = file.read().strip() or "another run"
            raise BusyError(
                f"cluster {cluster} is being worked on: {owner}",
                fix="wait until that is done, then try again",
            ) from error
        file.truncate(0)
        file.write(this_process(command).told)
        file.flush()
        yield
        file.truncate(0)
