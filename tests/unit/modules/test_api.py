from __future__ import annotations

import base64
import socket
import ssl
import subprocess
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from .api_server import ApiServer, issue, pem
from .conftest import library

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

provision_api = library("provision_api")
connection = library("provision_api_connection")
ca_hash = library("provision_kubeadm").ca_hash
tokens = library("provision_tokens")
HostError = library("provision_host").HostError

SECRETS = "/api/v1/namespaces/kube-system/secrets"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ApiServer]:
    api = ApiServer(tmp_path)
    yield api
    api.close()


@pytest.fixture
def api(server: ApiServer, root: Path) -> Iterator[Any]:
    (root / "etc/kubernetes").mkdir()
    (root / "etc/kubernetes/admin.conf").write_text(server.admin_conf(), encoding="utf-8")
    client = provision_api.Api(connection.credentials(root))
    yield client
    client.close()


def test_the_address_is_that_of_this_hosts_own_api_server(server: ApiServer, root: Path) -> None:
    (root / "etc/kubernetes/manifests").mkdir(parents=True)
    (root / "etc/kubernetes/admin.conf").write_text(server.admin_conf(), encoding="utf-8")
    (root / "etc/kubernetes/manifests/kube-apiserver.yaml").write_text(
        "    kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint: '10.0.0.11:6443'\n".replace(
            "'", ""
        ),
        encoding="utf-8",
    )

    found = connection.credentials(root)

    assert (found.host, found.port) == ("10.0.0.11", 6443)


def test_a_host_without_admin_conf_is_no_control_plane(root: Path) -> None:
    with pytest.raises(HostError, match="this host is no control plane"):
        connection.credentials(root)


def test_one_connection_serves_many_requests(api: Any, server: ApiServer) -> None:
    server.objects["/api/v1/nodes/w1"] = {"metadata": {"name": "w1"}}

    assert api.get("/api/v1/nodes/w1") == {"metadata": {"name": "w1"}}
    first = api._connection
    assert api.get("/api/v1/nodes/nobody") is None
    assert api._connection is first


def test_a_lost_connection_is_made_anew(api: Any, server: ApiServer) -> None:
    server.objects["/api/v1/nodes/w1"] = {}
    api.get("/api/v1/nodes/w1")
    api._connection.sock.close()

    assert api.get("/api/v1/nodes/w1") == {}


def test_a_busy_server_is_asked_again_as_it_says(
    api: Any, server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(provision_api.time, "sleep", pauses.append)
    server.objects["/api/v1/nodes/cp1"] = {"metadata": {"name": "cp1"}}
    server.busy = [(429, "1"), (503, "2")]

    assert api.get("/api/v1/nodes/cp1") == {"metadata": {"name": "cp1"}}
    assert pauses == [1.0, 2.0]


def test_a_server_that_is_busy_for_long_or_says_not_for_how_long_is_told(
    api: Any, server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provision_api.time, "sleep", lambda _: None)
    server.busy = [(503, ""), (429, "600")]

    for status in (503, 429):
        with pytest.raises(provision_api.ApiError) as failure:
            api.get("/api/v1/nodes/cp1")
        assert failure.value.status == status


@pytest.fixture
def refusals(monkeypatch: pytest.MonkeyPatch) -> list[ConnectionRefusedError]:
    """As many connections are refused; each pause takes one second of the patience and no time."""
    left: list[ConnectionRefusedError] = []
    connect, clock = socket.create_connection, [0.0]

    def create_connection(*address: Any, **options: Any) -> Any:
        if left:
            raise left.pop()
        return connect(*address, **options)

    def sleep(seconds: float) -> None:
        clock[0] += seconds

    monkeypatch.setattr(socket, "create_connection", create_connection)
    monkeypatch.setattr(provision_api, "time", SimpleNamespace(sleep=sleep, monotonic=lambda: clock[0]))
    return left


def test_a_server_that_is_restarted_is_asked_again(
    api: Any, server: ApiServer, refusals: list[ConnectionRefusedError]
) -> None:
    server.objects |= {"/api/v1/nodes/w1": {}, "/readyz": {}}
    api.get("/api/v1/nodes/w1")
    api._connection.sock.close()
    refusals += [ConnectionRefusedError(111, "Connection refused")] * 30

    assert api.get("/api/v1/nodes/w1") == {}
    paths = [path for _, path, _, _ in server.requests]
    assert paths == ["/api/v1/nodes/w1", "/readyz", "/api/v1/nodes/w1"]


def test_a_server_that_has_just_started_and_knows_nobodys_rights_is_asked_again(
    api: Any, server: ApiServer, refusals: list[ConnectionRefusedError]
) -> None:
    assert refusals == []
    server.objects |= {"/api/v1/nodes/w1": {}, "/readyz": {}}
    server.refuses["/api/v1/nodes/w1"] = 2

    assert api.get("/api/v1/nodes/w1") == {}
    paths = [path for _, path, _, _ in server.requests]
    assert paths == ["/api/v1/nodes/w1", "/readyz"] * 2 + ["/api/v1/nodes/w1"]


def test_what_a_ready_server_refuses_again_and_again_is_refused(
    api: Any, server: ApiServer, refusals: list[ConnectionRefusedError]
) -> None:
    assert refusals == []
    server.objects |= {"/api/v1/nodes/w1": {}, "/readyz": {}}
    server.refuses["/api/v1/nodes/w1"] = 100

    with pytest.raises(provision_api.ApiError, match="with status 403: forbidden"):
        api.get("/api/v1/nodes/w1")
    assert server.refuses["/api/v1/nodes/w1"] == 97


def test_a_server_that_was_restarted_and_is_not_ready_is_asked_for_nothing(
    api: Any, server: ApiServer, refusals: list[ConnectionRefusedError]
) -> None:
    refusals += [ConnectionRefusedError(111, "Connection refused")] * 2
    with pytest.raises(provision_api.UnansweredError):
        api.get("/api/v1/nodes/w1")
    api._has_answered = True

    with pytest.raises(provision_api.UnansweredError, match="restarts and is not ready yet"):
        api.get("/api/v1/nodes/w1")

    assert {path for _, path, _, _ in server.requests} == {"/readyz"}


def test_a_server_is_waited_for_as_long_as_is_said_and_no_longer(
    api: Any, server: ApiServer, refusals: list[ConnectionRefusedError]
) -> None:
    server.objects["/readyz"] = {}
    api.wait_until_ready(120)
    api.close()
    refusals += [ConnectionRefusedError(111, "Connection refused")] * 200

    with pytest.raises(HostError, match="was not ready within 5 s") as failure:
        api.wait_until_ready(5)
    assert "Connection refused" in failure.value.lines[0]
    assert len(refusals) == 200 - 2 * 7  # two attempts at once, once a second
    api.wait_until_ready(120)
    refusals += [ConnectionRefusedError(111, "Connection refused")] * 4
    api.close()
    assert api.get("/readyz") == {}


def test_a_server_that_stays_away_is_told_after_a_minute_and_one_that_never_answered_at_once(
    api: Any, refusals: list[ConnectionRefusedError]
) -> None:
    refusals += [ConnectionRefusedError(111, "Connection refused")] * 200

    with pytest.raises(HostError, match=r"does not answer: .*Connection refused"):
        api.get("/version")
    assert len(refusals) == 198
    api._has_answered = True
    with pytest.raises(HostError, match=r"does not answer: .*Connection refused"):
        api.get("/version")
    assert len(refusals) == 198 - 2 * 61


def test_a_server_of_another_cluster_is_refused(server: ApiServer, root: Path) -> None:
    (root / "etc/kubernetes").mkdir()
    (root / "etc/kubernetes/admin.conf").write_text(server.admin_conf(), encoding="utf-8")
    access = connection.credentials(root)._replace(authority=pem(issue("another-ca"))[0])

    with pytest.raises(HostError, match="does not answer") as failure:
        provision_api.Api(access).get("/version")

    assert isinstance(failure.value.__cause__, ssl.SSLError)


def test_no_key_reaches_a_disk(api: Any, root: Path) -> None:
    api.get("/version")

    with_key = [path.name for path in root.rglob("*.*") if b"PRIVATE KEY" in path.read_bytes()]
    assert with_key == ["server.pem"]


def test_server_side_apply_sends_the_document_as_it_is(api: Any, server: ApiServer) -> None:
    api.apply("/api/v1/namespaces/kube-system/configmaps/x", "kind: ConfigMap\n")

    method, path, kind, body = server.requests[-1]
    assert (method, kind, body) == ("PATCH", "application/apply-patch+yaml", "kind: ConfigMap\n")
    assert path.endswith("?fieldManager=provision&force=true")


def test_a_token_says_who_made_it_and_ends_soon(api: Any, server: ApiServer) -> None:
    token = tokens.mint(api, "provision join-workers", seconds=900)

    (secret,) = server.objects.values()
    data = {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
    assert secret["type"] == "bootstrap.kubernetes.io/token"
    assert token == f"{data['token-id']}.{data['token-secret']}"
    assert data["description"] == "provision join-workers"
    assert data["expiration"].endswith("Z")
    assert data["usage-bootstrap-authentication"] == "true"


def test_only_tokens_of_that_description_are_revoked(api: Any, server: ApiServer) -> None:
    tokens.mint(api, "provision join-workers", seconds=900)
    tokens.mint(api, "provision join-workers", seconds=900)
    other = tokens.mint(api, "provision join-control-planes", seconds=900)

    assert tokens.revoke(api, ["provision join-workers"]) == 2
    assert list(server.objects) == [f"{SECRETS}/bootstrap-token-{other.partition('.')[0]}"]
    assert tokens.revoke(api, ["provision join-workers"]) == 0


def test_the_ca_hash_is_the_one_that_openssl_gives(server: ApiServer, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    key = subprocess.run(
        ["openssl", "x509", "-in", path, "-pubkey", "-noout"], check=True, capture_output=True
    )
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-outform", "der"], input=key.stdout, check=True, capture_output=True
    )
    digest = subprocess.run(["sha256sum"], input=der.stdout, check=True, capture_output=True)

    assert ca_hash(path.read_text(encoding="ascii")) == f"sha256:{digest.stdout.decode().split()[0]}"
    assert server.port


def test_a_file_without_certificate_has_no_ca_hash() -> None:
    with pytest.raises(HostError, match="holds no certificate"):
        ca_hash("nothing")
