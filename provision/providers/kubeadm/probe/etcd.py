"""What etcd says of itself, asked of the member on this host with the API server's own certificate for it.

By the gateway that speaks JSON on etcd's port (https://etcd.io/docs/v3.6/dev-guide/apispec/): numbers of 64 bits are
texts there, and what has its zero value is left out.
"""

from __future__ import annotations

import json
import os
import time

from provision.providers.kubeadm.probe.api import split_answer

_PKI = "/etc/kubernetes/pki/"
_FILES = ("etcd/ca.crt", "apiserver-etcd-client.crt", "apiserver-etcd-client.key")
_ADDRESS, _PORT = "127.0.0.1", 2379
# In this order: the last one is answered only where a majority agrees, and may take etcd 7 s to refuse.
_QUESTIONS = (
    ("members", "POST /v3/cluster/member/list"),
    ("status", "POST /v3/maintenance/status"),
    ("health", "GET /health"),
)
_SECONDS = 10


def etcd(root: str, address: str = _ADDRESS, port: int = _PORT) -> dict[str, object] | None:
    """Members as this one knows them, and whether it is well; None on a host without etcd, {"error": why} if silent."""
    if not os.path.exists(root + "/etc/kubernetes/manifests/etcd.yaml"):
        return None
    try:
        answers = _ask(root, address, port)
    except (OSError, ValueError) as error:
        return {"error": "https://" + address + ":" + str(port) + ": " + str(error)}
    return _summary(answers)


def _ask(root: str, address: str, port: int):  # type: ignore[no-untyped-def] # noqa: ANN202 - JSON
    """The answers that came in time; OSError or ValueError if not even the members did."""
    import socket  # noqa: PLC0415 - only control planes need it, as `ssl`
    import ssl  # noqa: PLC0415

    authority, certificate, key = (root + _PKI + name for name in _FILES)
    context = ssl.create_default_context(cafile=authority)
    context.load_cert_chain(certificate, key)
    with (
        socket.create_connection((address, port), timeout=_SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=address) as secure,
    ):
        secure.sendall(_request())
        data = _read(secure)
    answers = {}
    for name, _ in _QUESTIONS:
        try:
            _, body, data = split_answer(data)
            answers[name] = json.loads(body)
        except ValueError:
            break
    if "members" not in answers:
        raise ValueError("no answer within " + str(_SECONDS) + " s")
    return answers


def _request() -> bytes:
    text = ""
    for position, (_, line) in enumerate(_QUESTIONS, start=1):
        body = "{}" if line.startswith("POST") else ""
        text += line + " HTTP/1.1\r\nHost: etcd\r\nContent-Length: " + str(len(body)) + "\r\n"
        text += "Connection: close\r\n" if position == len(_QUESTIONS) else ""
        text += "\r\n" + body
    return text.encode("ascii")


def _read(connection) -> bytes:  # type: ignore[no-untyped-def] # noqa: ANN001 - `socket` is not imported yet
    """All that comes until the end or for _SECONDS, also if that is not all of it."""
    end = time.monotonic() + _SECONDS
    parts = []
    while time.monotonic() < end:
        connection.settimeout(max(0.1, end - time.monotonic()))
        try:
            parts.append(connection.recv(1 << 16))
        except TimeoutError:
            break
        if not parts[-1]:
            break
    return b"".join(parts)


def _summary(answers: dict[str, dict]) -> dict[str, object]:  # type: ignore[type-arg]
    status = answers.get("status", {})
    health = answers.get("health", {})
    return {
        "id": answers["members"].get("header", {}).get("member_id", ""),
        "leader": status.get("leader", ""),
        "version": status.get("version", ""),
        "size": int(status.get("dbSize", 0)),
        "healthy": health.get("health") == "true",
        "reason": health.get("reason", ""),
        "members": [_member(item) for item in answers["members"].get("members", [])],
    }


def _member(item: dict) -> dict[str, object]:  # type: ignore[type-arg]
    peers = item.get("peerURLs", [])
    return {
        "id": str(item["ID"]),
        "name": item.get("name", ""),
        "peers": [peer.partition("//")[2].rpartition(":")[0].strip("[]") for peer in peers],
        "learner": bool(item.get("isLearner")),
    }
