"""Connect to etcd on a control plane with the API server's own certificate, by etcd's gateway that speaks JSON.

Neither etcdctl nor a container is needed. Paths and fields: https://etcd.io/docs/v3.6/dev-guide/apispec/ ; numbers of
64 bits are texts there, and what has its zero value is left out.
"""

from __future__ import annotations

import json
import os
from collections import namedtuple

from ansible.module_utils.provision_errors import HostError
from ansible.module_utils.provision_files import text_of
from ansible.module_utils.provision_http import Connection, request

TYPE_CHECKING = False  # importing `typing` costs 20 ms on a small machine
if TYPE_CHECKING:
    import ssl
    from typing import Any

    from ansible.module_utils.provision_files import Root

    Question = tuple[str, dict[str, Any] | None]  # path and body; None: GET

LOCAL, PORT = "127.0.0.1", 2379
MANIFEST = "/etc/kubernetes/manifests/etcd.yaml"
MEMBERS, STATUS, HEALTH = "/v3/cluster/member/list", "/v3/maintenance/status", "/health"
_PKI = "/etc/kubernetes/pki"
_AUTHORITY, _CERTIFICATE, _KEY = "etcd/ca.crt", "apiserver-etcd-client.crt", "apiserver-etcd-client.key"


# `peers` and `clients` are hosts; one that was announced and never started has no `name` and no `clients`.
class Member(namedtuple("Member", "id name peers clients learner")):  # noqa: PYI024 - `typing` is slow to import
    """A member of the cluster, as etcd lists it."""

    __slots__ = ()

    @property
    def called(self) -> str:
        return self.name or f"{', '.join(self.peers)} (never started)"


def tls_context(root: Root) -> ssl.SSLContext:
    """Of this host's certificate for etcd; HostError if there is none."""
    if not has_certificates(root):
        raise HostError(f"this host has no certificate for etcd in {_PKI}")
    import ssl  # noqa: PLC0415 - takes long to import; workers do without

    context = ssl.create_default_context(cafile=f"{root}{_PKI}/{_AUTHORITY}")
    context.load_cert_chain(f"{root}{_PKI}/{_CERTIFICATE}", f"{root}{_PKI}/{_KEY}")
    return context


def asked(
    address: tuple[str, int], context: ssl.SSLContext, seconds: float, *questions: Question
) -> Connection:
    """A connection whose next answers are those to `questions`, each within `seconds`; OSError without one."""
    requests = []
    for question in questions:
        path, body = question
        method, text = ("GET", None) if body is None else ("POST", json.dumps(body))
        requests.append(request(method, path, address[0], text, is_last=question is questions[-1]))
    connection = Connection(address, context, seconds=seconds)
    try:
        connection.send(*requests)
    except OSError:
        connection.close()
        raise
    return connection


def ask(
    address: tuple[str, int], context: ssl.SSLContext, seconds: float, *questions: Question
) -> list[dict[str, Any]]:
    """Answers, refusals included, with one wait for all. Those before etcd fell silent; OSError if there are none."""
    connection = asked(address, context, seconds, *questions)
    answers: list[dict[str, Any]] = []
    try:
        for _ in questions:
            answers.append(json.loads(connection.answer()[2]))  # noqa: PERF401 - those before an error count
    except (OSError, ValueError):
        if not answers:
            raise
    finally:
        connection.close()
    return answers


def has_certificates(root: Root = "/") -> bool:
    """Whether this host can talk to etcd at all: a control plane, or one whose join came so far."""
    return all(os.path.exists(f"{root}{_PKI}/{name}") for name in (_AUTHORITY, _CERTIFICATE, _KEY))


def own_host(root: Root = "/") -> str:
    """The address on which the member of this host is announced; "" where there is none."""
    _, _, url = text_of(f"{root}{MANIFEST}").partition("--initial-advertise-peer-urls=")
    return _host(url.split()[0]) if url else ""


def parse_members(answer: dict[str, Any]) -> list[Member]:
    """The members in an answer to MEMBERS."""
    return [
        Member(
            id=str(item["ID"]),
            name=item.get("name", ""),
            peers=tuple(map(_host, item.get("peerURLs", []))),
            clients=tuple(map(_host, item.get("clientURLs", []))),
            learner=bool(item.get("isLearner")),
        )
        for item in answer.get("members", [])
    ]


def _host(url: str) -> str:
    """`https://[::1]:2380` -> `::1`."""
    return url.partition("//")[2].rpartition(":")[0].strip("[]")
