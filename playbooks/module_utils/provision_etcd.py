"""A client of etcd for a module that runs on a control plane, by the gateway that speaks JSON on etcd's own port.

Neither etcdctl nor a container is needed: the API server's own certificate for etcd lies beside it.
Paths and fields: https://etcd.io/docs/v3.6/dev-guide/apispec/ ; numbers of 64 bits are texts there, and what has its
zero value is left out.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from ansible.module_utils.provision_host import HostError, read

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

PORT = 2379
_PKI = Path("etc/kubernetes/pki")
_AUTHORITY, _CERTIFICATE, _KEY = "etcd/ca.crt", "apiserver-etcd-client.crt", "apiserver-etcd-client.key"
_SECONDS = 20  # of one call; a snapshot may take as long between two of its parts
_FIRST_ERROR = 400
_PAUSE = 1.0
_GONE_AWAY = (OSError, http.client.HTTPException, ValueError)


class Member(NamedTuple):
    """A member; one that was announced and never started has no `name` and no `clients`. `peers` are hosts."""

    id: str
    name: str
    peers: tuple[str, ...]
    clients: tuple[str, ...]
    learner: bool

    @property
    def called(self) -> str:
        return self.name or f"{', '.join(self.peers)} (never started)"


class Etcd:
    """Requests to the member that listens on `host`; HostError if this host has no certificate for it."""

    def __init__(self, host: str, *, port: int = PORT, root: Path = Path("/")) -> None:
        self.host = host
        self._port = port
        self._root = root
        pki = root / _PKI
        if not has_certificates(root):
            raise HostError(f"this host has no certificate for etcd in {pki}")
        self._context = ssl.create_default_context(cafile=str(pki / _AUTHORITY))
        self._context.load_cert_chain(pki / _CERTIFICATE, pki / _KEY)

    def at(self, host: str) -> Etcd:
        """The same for another member."""
        return Etcd(host, port=self._port, root=self._root)

    def members(self, *, agreed: bool = True) -> list[Member]:
        """As a majority knows them; not `agreed`: as this member does, which answers without a majority, too."""
        answer = self._call("/v3/cluster/member/list", {"linearizable": agreed})
        return [_member(item) for item in answer.get("members", [])]

    def status(self) -> dict[str, Any]:
        """Of the member that is asked: leader, version, isLearner, dbSize, errors."""
        return self._call("/v3/maintenance/status", {})

    def is_healthy(self) -> bool:
        """Whether this member can read what a majority has agreed on."""
        try:
            return bool(self._call("/health", None).get("health") == "true")
        except HostError:
            return False

    def answers(self) -> bool:
        """Whether this member is there at all, with a majority or without."""
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
        with _spoken(f"https://{self.host}:{self._port}: snapshot"):
            connection = self._connect()
            try:
                response = self._send(connection, "/v3/maintenance/snapshot", {})
                yield from _parts(response)
            finally:
                connection.close()

    def _call(self, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        with _spoken(f"https://{self.host}:{self._port}{path}"):
            connection = self._connect()
            try:
                response = self._send(connection, path, body)
                answer = json.loads(response.read())
            finally:
                connection.close()
        if not isinstance(answer, dict):
            raise HostError(f"etcd on {self.host} answered {path} with something else than an object")
        return answer

    def _connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(self.host, self._port, timeout=_SECONDS, context=self._context)

    def _send(
        self, connection: http.client.HTTPSConnection, path: str, body: dict[str, Any] | None
    ) -> http.client.HTTPResponse:
        text = None if body is None else json.dumps(body)
        connection.request("GET" if body is None else "POST", path, text)
        response = connection.getresponse()
        if response.status >= _FIRST_ERROR:
            said = response.read().decode(errors="replace")
            raise HostError(f"etcd on {self.host} refused {path}: {_reason(said)}")
        return response


class _spoken:  # noqa: N801  # a context manager, used like a function
    """Turns a lost connection into a HostError that names the place."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, _GONE_AWAY):
            raise HostError(f"etcd does not answer at {self._where}: {error}") from error


def has_certificates(root: Path = Path("/")) -> bool:
    """Whether this host can talk to etcd at all: a control plane, or one whose join came so far."""
    return all((root / _PKI / name).exists() for name in (_AUTHORITY, _CERTIFICATE, _KEY))


def own_host(root: Path = Path("/")) -> str:
    """The address on which the member of this host is announced; "" where there is none."""
    for line in (read(root / "etc/kubernetes/manifests/etcd.yaml") or "").splitlines():
        _, found, url = line.partition("--initial-advertise-peer-urls=")
        if found:
            return urlsplit(url.strip()).hostname or ""
    return ""


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


def _member(item: dict[str, Any]) -> Member:
    return Member(
        id=str(item["ID"]),
        name=item.get("name", ""),
        peers=_hosts(item.get("peerURLs", [])),
        clients=_hosts(item.get("clientURLs", [])),
        learner=bool(item.get("isLearner")),
    )


def _hosts(urls: list[str]) -> tuple[str, ...]:
    return tuple(host for host in (urlsplit(url).hostname for url in urls) if host)


def _parts(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """The blobs of a streamed answer: one JSON object a line; the last one says that nothing remains."""
    remaining = ""
    for line in response:
        answer = json.loads(line)
        if "error" in answer:
            raise HostError(f"etcd broke off its snapshot: {answer['error'].get('message', answer['error'])}")
        remaining = answer["result"].get("remaining_bytes", "0")
        yield base64.b64decode(answer["result"].get("blob", ""))
    if remaining != "0":
        raise HostError("etcd broke off its snapshot before its end")


def _reason(said: str) -> str:
    try:
        answer = json.loads(said)
    except ValueError:
        return said.strip()
    return str(answer.get("message", said)) if isinstance(answer, dict) else said
