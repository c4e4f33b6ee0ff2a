"""A stand-in for etcd's gateway: members on 127.0.0.1, 127.0.0.2 ..., real TLS, answers recorded from etcd 3.6.8.

It keeps the list of members and obeys; what etcd itself makes of it is proven on the lab.
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from .api_server import issue, pem

if TYPE_CHECKING:
    from pathlib import Path

PART = 24 * 1024  # bytes of a snapshot in one answer


class EtcdServer:
    """`members` as etcd tells them; `calls` what was asked: host, path, body. `ill` hosts do not answer /health."""

    def __init__(self, root: Path, hosts: int = 3) -> None:
        names = tuple(f"127.0.0.{number}" for number in range(1, hosts + 1))
        self.members = [member(f"cp{number}", name, number) for number, name in enumerate(names, start=1)]
        self.leader = "1"
        self.ill: set[str] = set()
        self.quorum = True
        self.refusals = 0  # how many removals are refused before one is taken
        self.database = bytes(range(256)) * 200
        self.calls: list[tuple[str, str, Any]] = []
        self._servers: list[ThreadingHTTPServer] = []
        context = _certificates(root, names)
        self.port = 0
        for name in names:
            server = ThreadingHTTPServer((name, self.port), _handler(self, name))
            server.daemon_threads = True
            server.socket = context.wrap_socket(server.socket, server_side=True)
            self.port = self.port or int(server.server_address[1])
            self._servers.append(server)
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def names(self) -> list[str]:
        return [one.get("name", "") for one in self.members]

    def asked(self, path: str) -> list[tuple[str, Any]]:
        return [(host, body) for host, asked, body in self.calls if asked == path]

    def answer(self, host: str, path: str, body: Any) -> tuple[int, Any]:
        self.calls.append((host, path, body))
        me = next((one["ID"] for one in self.members if one.get("name") == f"cp{host[-1]}"), "0")
        header = {"cluster_id": "77", "member_id": me, "raft_term": "2"}
        if path == "/health":
            well = self.quorum and host not in self.ill
            return (
                (200, {"health": "true", "reason": ""})
                if well
                else (503, {"health": "false", "reason": "RAFT NO LEADER"})
            )
        if path == "/v3/cluster/member/list":
            if body.get("linearizable") and not self.quorum:
                return 503, {"code": 14, "message": "etcdserver: request timed out"}
            return 200, {"header": header, "members": self.members}
        if path == "/v3/maintenance/status":
            return 200, {"header": header, "version": "3.6.8", "dbSize": "24576", "leader": self.leader}
        if path == "/v3/maintenance/transfer-leadership":
            self.leader = body["targetID"]
            return 200, {"header": header}
        return self._remove(body, header)

    def _remove(self, body: Any, header: dict[str, str]) -> tuple[int, Any]:
        if self.refusals:
            self.refusals -= 1
            return 503, {"code": 14, "message": "etcdserver: unhealthy cluster"}
        if body["ID"] not in [one["ID"] for one in self.members]:
            return 404, {"code": 5, "message": "etcdserver: member not found"}
        self.members = [one for one in self.members if one["ID"] != body["ID"]]
        return 200, {"header": header, "members": self.members}


def member(name: str, host: str, number: int) -> dict[str, Any]:
    """One that has started; without a name, one that was only announced as a learner."""
    found: dict[str, Any] = {"ID": str(number), "peerURLs": [f"https://{host}:2380"]}
    if not name:
        return {**found, "isLearner": True}
    return {**found, "name": name, "clientURLs": [f"https://{host}:2379"]}


def _certificates(root: Path, names: tuple[str, ...]) -> ssl.SSLContext:
    """Write what a control plane has below /etc/kubernetes/pki; returns the servers' side."""
    pki = root / "etc/kubernetes/pki"
    (pki / "etcd").mkdir(parents=True)
    authority = issue("etcd-ca")
    certificate, key = pem(issue("etcd", authority, names=names))
    (pki / "etcd/server.pem").write_bytes(certificate + key)
    (pki / "etcd/ca.crt").write_bytes(pem(authority)[0])
    certificate, key = pem(issue("kube-apiserver-etcd-client", authority, names=("client",)))
    (pki / "apiserver-etcd-client.crt").write_bytes(certificate)
    (pki / "apiserver-etcd-client.key").write_bytes(key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(pki / "etcd/ca.crt"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(pki / "etcd/server.pem")
    return context


def _handler(server: EtcdServer, host: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(*server.answer(host, self.path, None))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path == "/v3/maintenance/snapshot":
                server.calls.append((host, self.path, body))
                self._stream()
            else:
                self._answer(*server.answer(host, self.path, body))

        def _answer(self, status: int, answer: Any) -> None:
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _stream(self) -> None:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for at in range(0, len(server.database), PART):
                blob = server.database[at : at + PART]
                left = len(server.database) - at - len(blob)
                result = {"blob": base64.b64encode(blob).decode(), "version": "3.6.0"}
                if left:
                    result["remaining_bytes"] = str(left)
                line = json.dumps({"result": result}).encode() + b"\n"
                self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
