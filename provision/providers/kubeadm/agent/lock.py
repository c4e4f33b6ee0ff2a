"""Holds the lock of the cluster for as long as the command that asked for it gives signs of life.

On every control plane that takes part it is a locked file, which the kernel frees when this program ends; where there
is an API server it is a Lease too, which other control planes see. The end of standard input is the end of the command,
whatever ended it: so even after `kill -9` there the lock is free within a moment.
"""

from __future__ import annotations

import fcntl
import json
import os
import queue
import sys
import threading

from provision.providers.kubeadm.agent import lease
from provision.providers.kubeadm.agent.objects import Objects
from provision.providers.kubeadm.agent.tokens import revoke_left

TYPE_CHECKING = False  # importing `typing` costs 20 ms on a small machine
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO, TextIO

    Tell = Callable[[dict[str, object]], None]
    Lines = queue.Queue[bytes | None]

_PLACE = "/run/provision"
_FILE = "/lock-cluster"
_LEAVE = b"leave\n"


def hold(request: dict, tell: Tell, lines: Lines, root: str = "") -> None:  # type: ignore[type-arg]
    """Take the lock, tell it, hold it until the end of `lines` or of the heartbeats, and release it.

    A `first` taking ends what killed runs left behind; one after a lost connection does not, for its own run goes on.
    Tells {"held": former owner} or {"busy": owner, "age": seconds}, then one of {"beat": ""}, {"beat": why it was
    late}, {"lost": owner} for every line. After the line `leave` the lock is held through another control plane and is
    not released. Raises OSError if the API server does not answer at the beginning.
    """
    owner = request["owner"]
    with _locked_file(root) as file:
        if file is None:
            tell({"busy": _owner_in(root), "age": 0})
            return
        _write_owner(file, owner)
        objects = Objects(root) if request["lease"] else None
        try:
            former = lease.take(objects, owner, request["dead"]) if objects else {}
        except lease.Taken as taken:
            tell({"busy": taken.owner, "age": int(taken.age)})
            return
        if objects and request.get("first"):
            revoke_left(objects)
        tell({"held": former})
        _keep(objects, owner, tell, lines)


def lines_of(stream: BinaryIO) -> Lines:
    """The lines of a stream as they come, then None."""
    lines: Lines = queue.Queue()

    def read() -> None:
        for line in iter(stream.readline, b""):
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    return lines


def _keep(objects: Objects | None, owner: dict, tell: Tell, lines: Lines) -> None:  # type: ignore[type-arg]
    lost = False
    try:
        while not lost and (line := lines.get(timeout=lease.SECONDS)) is not None:
            if line == _LEAVE:
                return
            lost = _beat(objects, owner, tell)
    except queue.Empty:
        pass  # its owner is stopped or cut off, and must ask anew
    except BrokenPipeError:
        pass  # nobody listens any more
    if objects and not lost:
        try:
            lease.release(objects, owner)
        except OSError as error:
            sys.stderr.write("the lock could not be released, it ends by itself: " + str(error) + "\n")


def _beat(objects: Objects | None, owner: dict, tell: Tell) -> bool:  # type: ignore[type-arg]
    """Give a sign of life; true if the lock is somebody else's."""
    try:
        if objects:
            lease.renew(objects, owner)
    except lease.Taken as taken:
        tell({"lost": taken.owner})
        return True
    except OSError as error:  # an API server that restarts, or is being reset
        tell({"beat": str(error)})
        return False
    tell({"beat": ""})
    return False


class _locked_file:  # noqa: N801 - a context manager; contextlib costs time on a small machine
    """The open file, locked; None if another program has locked it."""

    def __init__(self, root: str) -> None:
        os.makedirs(root + _PLACE, mode=0o700, exist_ok=True)
        descriptor = os.open(root + _PLACE + _FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._file = os.fdopen(descriptor, "r+", encoding="utf-8")

    def __enter__(self) -> TextIO | None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        return self._file

    def __exit__(self, *_why: object) -> None:
        self._file.close()


def _write_owner(file: TextIO, owner: dict) -> None:  # type: ignore[type-arg]
    file.truncate(0)
    json.dump(owner, file)
    file.flush()


def _owner_in(root: str) -> dict:  # type: ignore[type-arg]
    try:
        with open(root + _PLACE + _FILE, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):  # it is just being written
        found = {}
    return {"id": "", "who": "somebody", "command": "", "since": "", **found}
