"""Questions to an API server over real TLS: what it answers, and what is said when it does not."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from provision.errors import ProvisionError
from provision.providers.eks.aws import kube_api
from tests.unit.modules.api_server import issue, pem


@dataclass(frozen=True)
class Cluster:
    endpoint: str
    authority: str
    public: bool = True


@dataclass
class Server:
    cluster: Cluster
    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)  # path, Authorization


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    authority = issue("kubernetes")
    (tmp_path / "server.pem").write_bytes(b"".join(pem(issue("api", authority, names=("localhost",)))))
    listener = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "server.pem")
    listener.socket = context.wrap_socket(listener.socket, server_side=True)
    trusted = base64.b64encode(pem(authority)[0]).decode()
    made = Server(Cluster(f"https://localhost:{listener.server_address[1]}", trusted))
    listener.RequestHandlerClass = _handler(made)
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    listener.shutdown()
    thread.join()
    listener.server_close()


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.asked.append((self.path, self.headers["Authorization"]))
            status, answer = server.answers[self.path]
            data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    return Handler


def node(name: str, *conditions: dict[str, str], **spec: object) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {"eks.amazonaws.com/nodegroup": "workers"}},
        "spec": spec,
        "status": {
            "conditions": list(conditions),
            "addresses": [{"type": "InternalIP", "address": "192.168.0.7"}],
            "nodeInfo": {"kubeletVersion": "v1.35.2-eks-1", "containerRuntimeVersion": "containerd://2.2.3"},
        },
    }


def test_nodes_come_by_name_with_their_readiness_and_the_reason(server: Server) -> None:
    why = {"type": "Ready", "status": "False", "reason": "KubeletNotReady", "message": "cni is not ready"}
    items = [node("b", {"type": "Ready", "status": "True"}), node("a", why, unschedulable=True), node("c")]
    server.answers["/api/v1/nodes"] = (200, {"items": items})

    first, second, third = kube_api.nodes(server.cluster, "t")

    assert (first.name, first.ready, first.message, first.cordoned) == ("a", False, "cni is not ready", True)
    assert (second.name, second.ready, second.message, second.cordoned) == ("b", True, "", False)
    assert (third.ready, third.message) == (False, "its kubelet has not reported yet")
    assert (second.version, second.runtime) == ("v1.35.2-eks-1", "containerd://2.2.3")
    assert (second.address, second.node_group, second.fargate) == ("192.168.0.7", "workers", False)


def test_a_node_of_fargate_is_known_by_its_label(server: Server) -> None:
    item = {"metadata": {"name": "f", "labels": {"eks.amazonaws.com/compute-type": "fargate"}}}
    server.answers["/api/v1/nodes"] = (200, {"items": [item]})

    (one,) = kube_api.nodes(server.cluster, "t")

    assert (one.fargate, one.node_group, one.ready) == (True, "", False)


def test_the_nodes_are_asked_for_with_the_bearer_token(server: Server) -> None:
    server.answers["/api/v1/nodes"] = (200, {"items": []})

    assert kube_api.nodes(server.cluster, "k8s-aws-v1.x") == ()
    assert server.asked == [("/api/v1/nodes", "Bearer k8s-aws-v1.x")]


@pytest.mark.parametrize(
    ("status", "answer", "fact", "fix"),
    [
        (401, {}, "does not accept these AWS credentials", "access.admins"),
        (403, {}, "these AWS credentials may not read /api/v1/nodes of the cluster", "access.admins"),
        (500, {"message": "etcd is away"}, "answered 500 to /api/v1/nodes: etcd is away", "try again"),
        (502, b"<html>", "answered 502 to /api/v1/nodes: <html>", "try again"),
        (200, b"<html>", "answered /api/v1/nodes with something that is not JSON", "which server listens"),
    ],
)
def test_an_invalid_answer_names_its_cause_and_the_fix(
    server: Server, status: int, answer: object, fact: str, fix: str
) -> None:
    server.answers["/api/v1/nodes"] = (status, answer)

    with pytest.raises(ProvisionError, match=fact) as raised:
        kube_api.nodes(server.cluster, "secret-token")

    assert fix in raised.value.fix
    assert "secret-token" not in raised.value.message


def closed_port() -> int:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as listener:
        return int(listener.server_address[1])


def test_a_private_endpoint_that_is_out_of_reach_is_called_private(server: Server) -> None:
    cluster = replace(server.cluster, endpoint=f"https://localhost:{closed_port()}", public=False)

    with pytest.raises(ProvisionError, match=r"connection refused\): its endpoint is private") as raised:
        kube_api.nodes(cluster, "t")

    assert "inside of the VPC" in raised.value.fix


def test_a_public_endpoint_that_is_out_of_reach_points_to_its_ranges(server: Server) -> None:
    cluster = replace(server.cluster, endpoint=f"https://localhost:{closed_port()}")

    with pytest.raises(ProvisionError, match="cannot be reached from this machine") as raised:
        kube_api.nodes(cluster, "t")

    assert "endpoint.public_cidrs" in raised.value.fix


def test_a_host_name_that_does_not_resolve_is_reported(server: Server) -> None:
    cluster = replace(server.cluster, endpoint="https://cluster.invalid")

    with pytest.raises(ProvisionError, match=r"cluster\.invalid cannot be reached .*name cannot be resolved"):
        kube_api.nodes(cluster, "t")


def test_a_server_that_never_answers_is_given_up_in_time(server: Server) -> None:
    with ThreadingHTTPServer(
        ("127.0.0.1", 0), BaseHTTPRequestHandler
    ) as listener:  # accepts, and says nothing
        cluster = replace(server.cluster, endpoint=f"https://localhost:{listener.server_address[1]}")

        with pytest.raises(ProvisionError, match="no answer in time"):
            kube_api.nodes(cluster, "t", timeout=0.2)


def test_a_server_with_a_certificate_of_another_ca_gets_no_token(server: Server) -> None:
    other = base64.b64encode(pem(issue("other"))[0]).decode()

    with pytest.raises(ProvisionError, match="is not the cluster's API server") as raised:
        kube_api.nodes(replace(server.cluster, authority=other), "t")

    assert "NO_PROXY" in raised.value.fix
    assert server.asked == []


@pytest.mark.parametrize("authority", ["", "!", base64.b64encode(b"noise").decode()])
def test_an_invalid_ca_certificate_is_refused(server: Server, authority: str) -> None:
    with pytest.raises(ProvisionError, match="CA certificate of localhost cannot be parsed"):
        kube_api.nodes(replace(server.cluster, authority=authority), "t")


def test_the_proxy_of_the_environment_is_used(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = []

    class Proxy(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            requests.append((self.path, self.headers["Proxy-Authorization"]))
            self.send_error(403)

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        threading.Thread(target=proxy.handle_request).start()
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:p%40ss@127.0.0.1:{proxy.server_address[1]}")

        with pytest.raises(ProvisionError, match="tunnel connection failed: 403"):
            kube_api.nodes(replace(server.cluster, endpoint="https://cluster.example"), "t")

    assert requests == [("cluster.example:443", f"Basic {base64.b64encode(b'me:p@ss').decode()}")]
