"""The smoke test's mark in the cluster, and its use of pods as kubectl does it."""

from __future__ import annotations

import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from .conftest import Programs, library

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

smoke_test = library("provision_smoke_test")
module = library("smoke_test")
HostError = library("provision_host").HostError
api_errors = library("provision_api")
NOTE = "/api/v1/namespaces/kube-system/configmaps/provision"


class ConfigMaps:
    """The API server as far as one ConfigMap goes; merge patches as in RFC 7396."""

    def __init__(self, data: dict[str, str] | None) -> None:
        self.data = data

    def get(self, _path: str) -> dict[str, Any] | None:
        return None if self.data is None else {"data": self.data}

    def create(self, _path: str, body: dict[str, Any]) -> None:
        self.data = dict(body["data"])

    def merge(self, path: str, body: dict[str, Any]) -> None:
        if self.data is None:
            raise api_errors.ApiError(f"no {path}", 404)
        merged = {**self.data, **body["data"]}
        self.data = {key: value for key, value in merged.items() if value is not None}


def test_a_mark_is_set_also_where_there_is_no_config_map_yet_and_goes_again() -> None:
    cluster = ConfigMaps(None)

    smoke_test.mark_pending(cluster)
    assert cluster.data == {"unproven": "true"}
    smoke_test.mark_passed(cluster)

    assert cluster.data == {}


def test_what_else_is_noted_of_the_cluster_stays() -> None:
    cluster = ConfigMaps({"calico": "v3.31.0"})

    smoke_test.mark_pending(cluster)
    assert cluster.data == {"calico": "v3.31.0", "unproven": "true"}
    smoke_test.mark_passed(cluster)

    assert cluster.data == {"calico": "v3.31.0"}


def test_a_cluster_without_a_mark_is_left_alone() -> None:
    cluster = ConfigMaps(None)

    smoke_test.mark_passed(cluster)

    assert cluster.data is None


class WebPod(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"web")

    def log_message(self, *_arguments: object) -> None:
        """A test is quiet."""


@pytest.fixture
def port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), WebPod) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture
def kubectl(programs: Programs) -> Programs:
    programs.answer("exec", out="app version 2.63.0\n")
    programs.answer("logs", out="Started HTTP server on port 8080\n")
    return programs


def install(monkeypatch: pytest.MonkeyPatch, directory: Path, script: str) -> None:
    (directory / "kubectl").write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (directory / "kubectl").chmod(0o755)
    monkeypatch.setattr(module, "PATH", f"{directory}:{os.environ['PATH']}")


def test_a_pod_is_used_by_exec_logs_and_port_forward(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kubectl: Programs, port: int
) -> None:
    install(monkeypatch, tmp_path, f"echo 'Forwarding from 127.0.0.1:{port} -> 8080'; exec sleep 20")
    proof = module.connect("smoke-1", "web", "w1", run=kubectl)
    assert proof == "kubectl exec, logs and port-forward, pod on w1"
    assert kubectl.ran("kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "--namespace=smoke-1", "exec")


def test_an_exec_that_fails_is_reported_with_its_pod_and_kubectls_reason(kubectl: Programs) -> None:
    reason = "http: server gave HTTP response to HTTPS client"
    kubectl.answer("exec", status=1, err=f"error: {reason}\n")
    with pytest.raises(HostError) as failure:
        module.connect("smoke-1", "web", "w1", run=kubectl)
    assert failure.value.message.startswith(
        f"kubectl exec of the pod web on w1 fails: error: {reason}. The API server asks the kubelet there"
    )


def test_logs_without_a_line_of_the_pod_are_a_failure(kubectl: Programs) -> None:
    kubectl.answer("logs", out="")
    with pytest.raises(HostError, match="kubectl logs of the pod web on w1 fails: it wrote nothing"):
        module.connect("smoke-1", "web", "w1", run=kubectl)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'error: unable to upgrade connection' >&2; exit 1", "error: unable to upgrade connection"),
        (
            "echo 'Forwarding from 127.0.0.1:1 -> 8080'; echo 'lost connection to pod' >&2; exit 1",
            "lost connection to pod",
        ),
    ],
)
def test_a_port_that_cannot_be_forwarded_is_reported_with_kubectls_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kubectl: Programs, script: str, reason: str
) -> None:
    install(monkeypatch, tmp_path, script)
    with pytest.raises(HostError, match=f"kubectl port-forward of the pod web on w1 fails: .*{reason}"):
        module.connect("smoke-1", "web", "w1", run=kubectl)
