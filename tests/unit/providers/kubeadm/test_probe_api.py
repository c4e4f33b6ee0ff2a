"""The probe's questions to an API server: a TLS server of Python's own that wants the administrator's certificate."""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.unit.modules.conftest import library

cluster = library("provision_cluster")
http = library("provision_http")

NODE = {
    "metadata": {"name": "cp1", "labels": {"node-role.kubernetes.io/control-plane": ""}},
    "spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]},
    "status": {
        "conditions": [{"type": "Ready", "status": "False", "message": "cni plugin not initialized"}],
        "nodeInfo": {
            "kubeletVersion": "v1.36.3",
            "containerRuntimeVersion": "containerd://2.2.3",
            "machineID": "m",
        },
        "addresses": [{"type": "Hostname", "address": "cp1"}, {"type": "InternalIP", "address": "127.0.0.1"}],
    },
}
CALICO = {
    "metadata": {"name": "calico-node"},
    "spec": {"template": {"spec": {"containers": [{"image": "quay.io/calico/node:v3.31.0"}]}}},
    "status": {"desiredNumberScheduled": 2, "numberReady": 1},
}
TOKEN = {"metadata": {"name": "bootstrap-token-abcdef"}, "data": {"token-secret": "c2VjcmV0"}}
ANSWERS: dict[str, Any] = {
    "/version": {"gitVersion": "v1.36.3"},
    "/api/v1/nodes": {"items": [NODE]},
    "/api/v1/namespaces/kube-system/configmaps/kubeadm-config": {
        "data": {"ClusterConfiguration": "clusterName: demo\n"}
    },
    "/apis/apps/v1/namespaces/kube-system/daemonsets": {"items": [CALICO]},
    "/apis/apps/v1/namespaces/kube-system/deployments": {"items": [], "padding": "x" * 200_000},
    "/api/v1/namespaces/kube-system/secrets": {"items": [TOKEN]},
}


@dataclass
class Server:
    port: int
    root: Path
    answers: dict[str, Any] = field(default_factory=lambda: dict(ANSWERS))
    connections: int = 0
    busy: dict[str, int] = field(default_factory=dict)  # so often 429 by path


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("pki")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    authority = ["-subj", "/CN=kubernetes", "-addext", "keyUsage=critical,keyCertSign"]
    openssl(home, "req", "-x509", *key, *authority, "-keyout", "ca.key", "-out", "ca.crt")
    for name, names in (("server", "subjectAltName=DNS:kubernetes"), ("admin", "subjectAltName=DNS:admin")):
        openssl(home, "req", *key, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        (home / "names").write_text(f"{names}\nauthorityKeyIdentifier=keyid\n")
        sign = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names", "-days", "2"]
        openssl(home, "x509", "-req", "-in", f"{name}.csr", *sign, "-out", f"{name}.crt")
    return home


def openssl(home: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=home, check=True, capture_output=True)


@pytest.fixture
def server(certificates: Path, tmp_path: Path) -> Iterator[Server]:
    state = Server(0, tmp_path)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            state.connections += 1

        def do_GET(self) -> None:
            found = state.answers.get(self.path.partition("?")[0])
            if self.path in state.busy and state.busy[self.path] > 0:
                state.busy[self.path] -= 1
                self.send_response(429)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body = json.dumps(found).encode() if found is not None else b"not here"
            self.send_response(200 if found is not None else 404)
            self.send_header("Content-Type", "application/json" if found is not None else "text/plain")
            if len(body) > 1000:
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for part in (body[:1000], body[1000:]):
                    self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
                self.wfile.write(b"0\r\n\r\n")
            else:
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certificates / "ca.crt"))
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(certificates / "server.crt", certificates / "server.key")
        http.socket = context.wrap_socket(http.socket, server_side=True)
        state.port = int(http.server_address[1])
        control_plane(tmp_path, certificates, state.port)
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield state
        finally:
            http.shutdown()
            thread.join()


def control_plane(root: Path, certificates: Path, port: int) -> None:
    """What kubeadm writes on a control plane, as far as the probe reads it."""

    def data(name: str) -> str:
        return base64.b64encode((certificates / name).read_bytes()).decode()

    home = root / "etc/kubernetes"
    (home / "manifests").mkdir(parents=True)
    (home / "admin.conf").write_text(
        f"clusters:\n- cluster:\n    certificate-authority-data: {data('ca.crt')}\n"
        f"users:\n- user:\n    client-certificate-data: {data('admin.crt')}\n    client-key-data: {data('admin.key')}\n"
    )
    (home / "manifests/kube-apiserver.yaml").write_text(
        f"    - kube-apiserver\n    - --advertise-address=127.0.0.1\n    - --secure-port={port}\n"
    )


def test_all_questions_go_through_one_connection(server: Server) -> None:
    found: Any = cluster.api(str(server.root))
    assert "error" not in found
    assert server.connections == 1
    assert found["version"] == "v1.36.3"
    assert found["configuration"] == "clusterName: demo\n"
    assert found["daemonsets"]["calico-node"] == {
        "images": ["quay.io/calico/node:v3.31.0"],
        "wanted": 2,
        "ready": 1,
    }
    assert found["pools"] == []  # Calico's kinds are not there yet


@pytest.mark.parametrize(("times", "answers"), [(2, True), (9, False)])
def test_a_server_that_is_busy_is_asked_again(
    server: Server, monkeypatch: pytest.MonkeyPatch, times: int, *, answers: bool
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(cluster.time, "sleep", pauses.append)
    server.busy["/apis/crd.projectcalico.org/v1/ippools"] = times

    found: Any = cluster.api(str(server.root))

    assert ("error" not in found) is answers, found
    assert len(pauses) == (2 if answers else 3)


def test_a_node_is_told_with_what_keeps_it_from_being_ready(server: Server) -> None:
    found: Any = cluster.api(str(server.root))
    (node,) = found["nodes"]
    assert (node["ready"], node["message"], node["addresses"]) == (
        False,
        "cni plugin not initialized",
        ["127.0.0.1"],
    )


def test_of_bootstrap_tokens_only_names_leave_the_host(server: Server) -> None:
    found: Any = cluster.api(str(server.root))
    assert found["tokens"] == ["bootstrap-token-abcdef"]
    assert "c2VjcmV0" not in json.dumps(found)


def test_a_closed_port_is_an_error_with_the_address(server: Server, tmp_path: Path) -> None:
    manifest = tmp_path / "etc/kubernetes/manifests/kube-apiserver.yaml"
    manifest.write_text("    - --advertise-address=127.0.0.1\n    - --secure-port=1\n")
    found: Any = cluster.api(str(server.root))
    assert found["error"].startswith("https://127.0.0.1:1: ")
    assert "refused" in found["error"]


def test_a_server_of_another_authority_is_not_believed(
    server: Server, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    openssl(
        other, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-keyout", "k", "-out", "c"
    )
    admin = tmp_path / "etc/kubernetes/admin.conf"
    lines = admin.read_text().splitlines()
    authority = base64.b64encode((other / "c").read_bytes()).decode()
    lines[2] = f"    certificate-authority-data: {authority}"
    admin.write_text("\n".join(lines) + "\n")
    found: Any = cluster.api(str(server.root))
    assert "certificate verify failed" in found["error"].lower()


def test_a_host_without_a_control_plane_says_nothing_and_half_of_one_says_what_is_missing(
    tmp_path: Path,
) -> None:
    assert cluster.api(str(tmp_path)) is None
    manifests = tmp_path / "etc/kubernetes/manifests"
    manifests.mkdir(parents=True)
    (manifests / "kube-apiserver.yaml").write_text("x")
    assert cluster.api(str(tmp_path)) == {"error": "/etc/kubernetes/admin.conf is missing"}


def connection(data: bytes) -> Any:
    """A connection whose peer has sent `data` and closed it."""

    parts = [data[at : at + 7] for at in range(0, len(data), 7)]

    class Sock:
        def settimeout(self, _seconds: float) -> None: ...

        def recv(self, _size: int) -> bytes:
            return parts.pop(0) if parts else b""

    found = object.__new__(http.Connection)
    found.sock, found._seconds, found._end, found._data = Sock(), 5, time.monotonic() + 5, b""
    return found


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"HTTP/1.1 200",
        b"",
    ],
)
def test_an_answer_that_was_cut_off_is_no_answer(data: bytes) -> None:
    with pytest.raises(ValueError, match="cut off"):
        connection(data).answer()


def test_answers_are_told_apart() -> None:
    chunked = (
        b"HTTP/1.1 404 Not Found\r\ntransfer-encoding: Chunked\r\n\r\n2;x=1\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
    )
    plain = b"HTTP/1.1 200 OK\r\nCONTENT-LENGTH: 2\r\n\r\nok"
    received = connection(chunked + plain)
    status, _, body = received.answer()
    assert (status, body) == (404, b"abc")
    status, _, body = received.answer()
    assert (status, body, received._data) == (200, b"ok", b"")
