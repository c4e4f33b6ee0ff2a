"""Client of etcd for modules on a control plane, quorum and health of its members, and waiting for them."""

from __future__ import annotations

import binascii
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.module_utils.provision_errors import HostError
from ansible.module_utils.provision_etcd_connection import (
    HEALTH,
    LOCAL,
    MEMBERS,
    PORT,
    STATUS,
    asked,
    parse_members,
    tls_context,
)
from ansible.module_utils.provision_http import FIRST_ERROR, bracketed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from ansible.module_utils.provision_etcd_connection import Member
    from ansible.module_utils.provision_http import Connection

_SECONDS = 20  # for one answer, and for each part of a snapshot
_PAUSE = 1.0


class Etcd:
    """Requests to the member that listens on `host`; HostError if this host has no certificate for it."""

    def __init__(
        self, host: str = LOCAL, *, port: int = PORT, root: Path = Path("/"), seconds: float = _SECONDS
    ) -> None:
        self.host = host
        self._port = port
        self._root = root
        self._seconds = seconds
        self._context = tls_context(root)

    def at(self, host: str) -> Etcd:
        """The same for another member."""
        return Etcd(host, port=self._port, root=self._root, seconds=self._seconds)

    def members(self, *, agreed: bool = True) -> list[Member]:
        """As a majority knows them; not `agreed`: as this member does, which answers without a majority, too."""
        return parse_members(self._call(MEMBERS, {"linearizable": agreed}))

    def status(self) -> dict[str, Any]:
        """Of the member that is asked: leader, version, isLearner, dbSize, errors."""
        return self._call(STATUS, {})

    def is_healthy(self) -> bool:
        """Whether this member can read what a majority has agreed on."""
        try:
            return bool(self._call(HEALTH, None).get("health") == "true")
        except HostError:
            return False

    def answers(self) -> bool:
        """Whether this member answers at all, with a majority or without."""
        try:
            self.status()
        except HostError:
            return False
        return True

    def remove(self, member: Member) -> None:
        self._call("/v3/cluster/member/remove", {"ID": member.id})

    def lead(self, member: Member) -> None:
        """Hand the leadership to `member`; only the leader itself can do so."""
        self._call("/v3/maintenance/transfer-leadership", {"targetID": member.id})

    def snapshot(self) -> Iterator[bytes]:
        """The whole database in parts, ready for `etcdutl snapshot restore`."""
        path = "/v3/maintenance/snapshot"
        try:
            connection = self._asked(path, {})
            try:
                status, headers = connection.head()
                body = connection.body(headers)
                if status >= FIRST_ERROR:
                    raise self._refusal(path, b"".join(body))
                yield from _blobs(body)
            finally:
                connection.close()
        except (OSError, ValueError) as error:
            raise self._unanswered(": snapshot", error) from error

    def _call(self, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        try:
            connection = self._asked(path, body)
            try:
                status, _, data = connection.answer()
            finally:
                connection.close()
            if status >= FIRST_ERROR:
                raise self._refusal(path, data)
            answer = json.loads(data)
        except (OSError, ValueError) as error:
            raise self._unanswered(path, error) from error
        if not isinstance(answer, dict):
            raise HostError(f"etcd on {self.host} answered {path} with something else than an object")
        return answer

    def _asked(self, path: str, body: dict[str, Any] | None) -> Connection:
        return asked((self.host, self._port), self._context, self._seconds, (path, body))

    def _refusal(self, path: str, data: bytes) -> HostError:
        said = data.decode("utf-8", "replace")
        try:
            answer = json.loads(said)
        except ValueError:
            answer = said.strip()
        reason = answer.get("message", said) if isinstance(answer, dict) else answer
        return HostError(f"etcd on {self.host} refused {path}: {reason}")

    def _unanswered(self, path: str, error: Exception) -> HostError:
        return HostError(
            f"etcd does not answer at https://{bracketed(self.host)}:{self._port}{path}: {error}"
        )


def majority(count: int) -> int:
    """How many of `count` voting members have to agree."""
    return count // 2 + 1


def refuse_without_quorum(etcd: Etcd) -> None:
    """HostError, with the members that do not answer, if etcd takes no changes now."""
    if etcd.is_healthy():
        return
    members = etcd.members(agreed=False)
    voting = [member for member in members if not member.learner]
    silent = [
        member.called for member in members if not any(etcd.at(host).answers() for host in member.clients)
    ]
    raise HostError(
        f"etcd has lost its quorum: {majority(len(voting))} of {len(voting)} members have to be well; "
        f"{', '.join(silent) or 'none'} {'does' if len(silent) == 1 else 'do'} not answer",
    )


def unhealthy(etcd: Etcd) -> dict[str, str]:
    """Id of every member that is not well -> what is wrong with it, in words."""
    found = {}
    for member in etcd.members(agreed=False):
        if not member.name:
            found[member.id] = f"{member.called} has not started"
        elif member.learner:
            found[member.id] = f"{member.called} is still a learner"
        elif not any(etcd.at(host).is_healthy() for host in member.clients):
            found[member.id] = f"{member.called} is not healthy"
    return found


def wait_until_healthy(
    etcd: Etcd, seconds: float, *, names: Collection[str] = (), besides: Collection[str] = ()
) -> None:
    """Wait until every member votes and is well, besides those ids, and `names` are among the members.

    HostError says who is not.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            problems = [problem for member, problem in unhealthy(etcd).items() if member not in besides]
            present = {member.name for member in etcd.members()}
            problems += [f"{name} is no member" for name in names if name not in present]
        except HostError as error:
            problems = [error.message]
        if not problems:
            return
        if time.monotonic() > deadline:
            raise HostError(f"etcd is not healthy after {seconds:.0f} s: {'; '.join(problems)}")
        time.sleep(_PAUSE)


def matching(members: list[Member], *, name: str, address: str) -> list[Member]:
    """The members of a host: by its name, or by its address where a member was announced and never started."""
    return [
        one for one in members if (one.name == name if one.name else bool(address) and address in one.peers)
    ]


def retried(work: Callable[[], None], seconds: float) -> None:
    """Do `work` again until etcd takes it: right after a member went it refuses for some moments."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            work()
        except HostError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE)
        else:
            return


def _blobs(body: Iterator[bytes]) -> Iterator[bytes]:
    """The database from a streamed answer: one JSON object a line; the last one says that nothing remains."""
    remaining = ""
    for line in _lines(body):
        answer = json.loads(line)
        if "error" in answer:
            raise HostError(f"etcd broke off its snapshot: {answer['error'].get('message', answer['error'])}")
        remaining = answer["result"].get("remaining_bytes", "0")
        yield binascii.a2b_base64(answer["result"].get("blob", ""))
    if remaining != "0":
        raise HostError("etcd broke off its snapshot before its end")


def _lines(body: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for part in body:
        *lines, rest = (rest + part).split(b"\n")
        yield from lines
    if rest:
        yield rest
