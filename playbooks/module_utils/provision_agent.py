"""The agent: holds the cluster's lock for as long as the command that asked for it lives, and serves small requests.

What it changes are objects of the API that belong to a run and not to the cluster: lock, bootstrap tokens, cordons.
provision/providers/kubeadm/host_programs.py packs this module with those that it imports.

The lock is a locked file on every control plane that takes part, which the kernel frees when this program ends; where
there is an API server it is a Lease too, which other control planes see. The end of standard input is the end of the
command, whatever ended it: so even after `kill -9` there the lock is free within a moment.
"""

from __future__ import annotations

import fcntl
import json
import os
import queue
import sys
import threading
import time

from ansible.module_utils import provision_lease as lease, provision_tokens as tokens
from ansible.module_utils.provision_api import Api
from ansible.module_utils.provision_api_connection import credentials
from ansible.module_utils.provision_cordons import is_cordoned_by_drain, uncordon
from ansible.module_utils.provision_errors import HostError

TYPE_CHECKING = False  # importing `typing` costs 20 ms on a small machine
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, BinaryIO, TextIO

    from ansible.module_utils.provision_lease import Holder

    Tell = Callable[[dict[str, object]], None]
    Lines = queue.Queue[bytes | None]

_SECONDS = 15  # for an answer of the API server; the controller waits for 40 s
_PLACE = "/run/provision"
_FILE = "/lock-cluster"
_LEAVE = b"leave\n"


def main(mark: str, root: str = "") -> None:
    """Read a request from standard input and answer in lines that begin with `mark`: a login shell may print others."""

    def tell(answer: dict[str, object]) -> None:
        sys.stdout.write(f"{mark}{json.dumps(answer)}\n")
        sys.stdout.flush()

    request = json.loads(sys.stdin.buffer.readline())
    try:
        if request["do"] == "hold":
            hold(request, tell, lines_of(sys.stdin.buffer), root)
        else:
            tell(answer_to(request, root))
    except (HostError, OSError) as error:
        tell({"problem": str(error)})


def answer_to(request: dict[str, Any], root: str = "") -> dict[str, object]:
    """Do what `request` says, once: uncordon nodes, or list, create, delete or revoke tokens."""
    api = _api(root)
    try:
        if request["do"] == "uncordon":
            return {"uncordoned": [name for name in request["nodes"] if _uncordon(api, name)]}
        return _token_answer(api, request)
    finally:
        api.close()


def _token_answer(api: Api, request: dict[str, Any]) -> dict[str, object]:
    verb = request["verb"]
    if verb == "delete":
        return {"deleted": tokens.delete(api, request["id"])}
    if verb == "revoke":
        return {"revoked": tokens.revoke(api, request["descriptions"], certificates=request["certificates"])}
    if verb == "create":
        description, seconds = request["description"], request["seconds"]
        tokens.create(api, request["id"], request["secret"], description, seconds=seconds)
    found = tokens.listed(api, with_secrets=request.get("secrets", False))
    return {"tokens": found, "time": time.time()}


def _api(root: str) -> Api:
    return Api(credentials(root), timeout=_SECONDS, patience=0)


def _uncordon(api: Api, name: str) -> bool:
    """Uncordon a node that a drain has cordoned; false for any other."""
    node = api.get(f"/api/v1/nodes/{name}")
    if node is None or not is_cordoned_by_drain(node):
        return False
    uncordon(api, name)
    return True


def hold(request: dict[str, Any], tell: Tell, lines: Lines, root: str = "") -> None:
    """Take the lock, hold it until the end of `lines` or of the heartbeats, and release it.

    The `first` taking of a run revokes what killed runs left; one after a lost connection must not, its run goes on.
    Tells {"held": former holder} or {"busy": holder, "age": seconds}, then one of {"beat": ""}, {"beat": why it was
    late}, {"lost": holder} for every line. After the line `leave` the lock is held through another control plane and is
    not released. Raises HostError if the API server does not answer at the beginning.
    """
    holder = request["owner"]
    with _locked_file(root) as file:
        if file is None:
            tell({"busy": _holder_in(root), "age": 0})
            return
        _write_holder(file, holder)
        api = _api(root) if request["lease"] else None
        try:
            former = lease.take(api, holder, request["dead"]) if api else {}
            if api and request.get("first"):
                tokens.revoke_abandoned(api)
        except lease.HeldError as held:
            tell({"busy": held.holder, "age": int(held.age)})
            return
        finally:
            _disconnect(api)
        tell({"held": former})
        _keep(api, holder, tell, lines)


def _disconnect(api: Api | None) -> None:
    """Between heartbeats no connection is kept: the API server may restart meanwhile."""
    if api:
        api.close()


def lines_of(stream: BinaryIO) -> Lines:
    """The lines of a stream as they come, then None."""
    lines: Lines = queue.Queue()

    def read() -> None:
        for line in iter(stream.readline, b""):
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    return lines


def _keep(api: Api | None, holder: Holder, tell: Tell, lines: Lines) -> None:
    lost = False
    try:
        while not lost and (line := lines.get(timeout=lease.SECONDS)) is not None:
            if line == _LEAVE:
                return
            lost = _beat(api, holder, tell)
    except queue.Empty:
        pass  # the command is stopped or cut off, and has to take the lock again
    except BrokenPipeError:
        pass  # the command is gone
    if api and not lost:
        try:
            lease.release(api, holder)
        except HostError as error:
            sys.stderr.write(f"the lock could not be released, it expires: {error}\n")
        finally:
            _disconnect(api)


def _beat(api: Api | None, holder: Holder, tell: Tell) -> bool:
    """Send a heartbeat; true if another run has taken the lock."""
    try:
        if api:
            lease.renew(api, holder)
    except lease.HeldError as held:
        tell({"lost": held.holder})
        return True
    except HostError as error:  # an API server that restarts, or is being reset
        tell({"beat": str(error)})
        return False
    finally:
        _disconnect(api)
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


def _write_holder(file: TextIO, holder: Holder) -> None:
    file.truncate(0)
    json.dump(holder, file)
    file.flush()


def _holder_in(root: str) -> Holder:
    try:
        with open(root + _PLACE + _FILE, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):  # it is just being written
        found = {}
    return {"id": "", "who": "another run", "command": "", "since": "", **found}
