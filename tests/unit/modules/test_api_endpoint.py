"""What names the API server's endpoint is corrected, part by part; certificates and TLS are real."""

from __future__ import annotations

import copy
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from .api_server import issue, pem
from .conftest import Programs, library

endpoint = library("api_endpoint")
host = library("provision_host")

NEW = "10.0.0.10:6443"
SYSTEM = "/api/v1/namespaces/kube-system/configmaps"
PROXY, CALICO = f"{SYSTEM}/kube-proxy", f"{SYSTEM}/kubernetes-services-endpoint"
INFO = "/api/v1/namespaces/kube-public/configmaps/cluster-info"
DAEMONS = "/apis/apps/v1/namespaces/kube-system/daemonsets"
KUBECONFIG = "clusters:\n- cluster:\n    server: https://10.0.0.11:6443\n  name: default\nusers: []\n"


class Cluster:
    """Objects in memory; a merge patch is merged as the API server does it."""

    def __init__(self) -> None:
        template: dict[str, Any] = {"spec": {"template": {"metadata": {}}}}
        self.objects: dict[str, Any] = {
            INFO: {"metadata": {}, "data": {"kubeconfig": KUBECONFIG}},
            PROXY: {"metadata": {}, "data": {"config.conf": "mode: iptables", "kubeconfig.conf": KUBECONFIG}},
            CALICO: {
                "metadata": {},
                "data": {"KUBERNETES_SERVICE_HOST": "10.0.0.11", "KUBERNETES_SERVICE_PORT": "6443"},
            },
            f"{DAEMONS}/kube-proxy": copy.deepcopy(template),
            f"{DAEMONS}/calico-node": copy.deepcopy(template),
        }
        self.fails_at = ""

    def get(self, path: str) -> Any:
        return self.objects.get(path)

    def merge(self, path: str, body: dict[str, Any]) -> None:
        if path == self.fails_at:
            raise host.HostError("cut off")
        self.objects[path] = _merged(self.objects[path], body)

    def note(self, name: str) -> str:
        annotations = self.objects[f"{DAEMONS}/{name}"]["spec"]["template"]["metadata"].get("annotations", {})
        return str(annotations.get("provision/endpoint", ""))


def _merged(old: Any, new: Any) -> Any:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    return {**old, **{key: _merged(old.get(key), value) for key, value in new.items()}}


def pointers(cluster: Cluster, server: str = NEW, *, dry: bool = False) -> list[str]:
    changes = host.Changes(dry=dry)
    endpoint._pointers(cluster, server, changes)
    sentences: list[str] = changes.sentences
    return sentences


def test_new_nodes_proxies_and_network_agents_are_told() -> None:
    cluster = Cluster()

    sentences = pointers(cluster)

    assert "server: https://10.0.0.10:6443\n" in cluster.objects[INFO]["data"]["kubeconfig"]
    assert "server: https://10.0.0.10:6443\n" in cluster.objects[PROXY]["data"]["kubeconfig.conf"]
    assert cluster.objects[PROXY]["data"]["config.conf"] == "mode: iptables"
    assert cluster.objects[CALICO]["data"] == {
        "KUBERNETES_SERVICE_HOST": "10.0.0.10",
        "KUBERNETES_SERVICE_PORT": "6443",
    }
    assert sentences[-2:] == ["restarted kube-proxy", "restarted calico-node"]
    assert pointers(cluster) == []


def test_a_dry_run_changes_nothing() -> None:
    cluster = Cluster()
    before = copy.deepcopy(cluster.objects)

    assert len(pointers(cluster, dry=True)) == 3
    assert cluster.objects == before


def test_pods_are_restarted_though_an_earlier_run_was_cut_off_before_it() -> None:
    cluster = Cluster()
    cluster.fails_at = f"{DAEMONS}/kube-proxy"
    with pytest.raises(host.HostError, match="cut off"):
        pointers(cluster)
    cluster.fails_at = ""

    assert pointers(cluster) == ["restarted kube-proxy", "restarted calico-node"]
    assert cluster.note("kube-proxy") == NEW


def test_a_cluster_without_calicos_endpoint_has_none_to_correct() -> None:
    cluster = Cluster()
    del cluster.objects[CALICO]

    assert "corrected the ConfigMap kubernetes-services-endpoint" not in pointers(cluster)


@pytest.fixture
def pki(tmp_path: Path) -> Path:
    """A control plane's authority, and an API server's certificate for two names and two addresses."""
    home = tmp_path / "etc/kubernetes/pki"
    home.mkdir(parents=True)
    authority = issue("kubernetes")
    names = ("kubernetes", "cp1", "127.0.0.1", "fd00::11")
    certificate, key = pem(issue("kube-apiserver", authority, names=names))
    (home / "ca.crt").write_bytes(pem(authority)[0])
    (home / "apiserver.crt").write_bytes(certificate)
    (home / "apiserver.key").write_bytes(key)
    return home


@pytest.mark.parametrize(
    ("name", "holds"),
    [
        ("cp1", True),
        ("127.0.0.1", True),
        ("fd00:0::11", True),
        ("10.0.0.10", False),
        ("api.example.com", False),
    ],
)
def test_a_certificate_holds_for_what_a_client_would_take_it_for(
    pki: Path, name: str, *, holds: bool
) -> None:
    assert endpoint._holds(pki, name) is holds


def test_a_pair_that_does_not_match_after_a_crash_does_not_hold(pki: Path) -> None:
    (pki / "apiserver.key").write_bytes(pem(issue("other"))[1])

    assert endpoint._holds(pki, "cp1") is False


def test_a_missing_certificate_does_not_hold(pki: Path) -> None:
    (pki / "apiserver.crt").unlink()

    assert endpoint._holds(pki, "cp1") is False


def test_without_the_authoritys_key_the_way_out_is_told(pki: Path) -> None:
    root = pki.parents[2]
    (root / "etc/kubernetes/manifests").mkdir()
    (root / "etc/kubernetes/manifests/kube-apiserver.yaml").touch()

    with pytest.raises(host.HostError, match="the authority's key is not on this host"):
        endpoint._certificate("10.0.0.10:6443", host.Changes(), 0, root=root)


@pytest.fixture
def answering(pki: Path, tmp_path: Path) -> Any:
    """An API server on 127.0.0.1 with that certificate; yields its port."""
    pair = tmp_path / "pair.pem"
    pair.write_bytes((pki / "apiserver.crt").read_bytes() + (pki / "apiserver.key").read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that only shakes hands
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture
def worker(pki: Path, programs: Programs, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host with a kubelet.conf that names cp1, and systemctl stood for."""
    monkeypatch.setattr(endpoint, "run", programs)
    kubelet = pki.parent / "kubelet.conf"
    kubelet.write_text(KUBECONFIG)
    kubelet.chmod(0o600)
    return pki.parents[2]


def kubeconfigs(root: Path, server: str) -> list[str]:
    changes = host.Changes()
    endpoint._kubeconfigs({"server": server, "login_user": ""}, changes, root=root)
    sentences: list[str] = changes.sentences
    return sentences


def test_a_kubelet_moves_to_an_endpoint_that_answers(
    worker: Path, answering: int, programs: Programs
) -> None:
    sentences = kubeconfigs(worker, f"127.0.0.1:{answering}")

    path = worker / "etc/kubernetes/kubelet.conf"
    assert f"    server: https://127.0.0.1:{answering}\n" in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert sentences == [f"corrected {path}", "restarted kubelet.service"]
    assert programs.ran("restart", "kubelet.service")
    assert kubeconfigs(worker, f"127.0.0.1:{answering}") == []


def test_a_kubelet_stays_where_it_is_if_the_endpoint_does_not_answer(
    worker: Path, programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "_ANSWERS", 0)

    with pytest.raises(host.HostError, match=r"does not answer at 127\.0\.0\.1:1: .*is it the right address"):
        kubeconfigs(worker, "127.0.0.1:1")

    assert (worker / "etc/kubernetes/kubelet.conf").read_text() == KUBECONFIG
    assert not programs.calls


def test_a_kubelet_stays_if_the_certificate_does_not_hold_there(
    worker: Path, answering: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "_ANSWERS", 0)

    with pytest.raises(host.HostError, match="certificate"):
        kubeconfigs(worker, f"localhost:{answering}")


def test_a_file_with_the_endpoint_already_is_left_alone(worker: Path) -> None:
    assert kubeconfigs(worker, "10.0.0.11:6443") == []
