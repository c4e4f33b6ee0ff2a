"""The probe's questions to etcd: a TLS server of Python's own that wants the API server's certificate."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provision.providers.kubeadm.facts.host import Etcd
from tests.unit.modules.conftest import library
from tests.unit.modules.etcd_server import EtcdServer, member

cluster = library("provision_cluster")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EtcdServer]:
    server = EtcdServer(tmp_path, hosts=1)
    manifests = tmp_path / "etc/kubernetes/manifests"
    manifests.mkdir()
    (manifests / "etcd.yaml").write_text("kind: Pod\n")
    yield server
    server.close()


def ask(server: EtcdServer, root: Path) -> Any:
    return cluster.etcd(str(root), port=server.port)


def test_members_leader_and_health_are_told(server: EtcdServer, tmp_path: Path) -> None:
    server.members.append(member("", "10.0.0.12", 18446744073709551615))

    answer = ask(server, tmp_path)

    assert answer == {
        "id": "1",
        "leader": "1",
        "version": "3.6.8",
        "size": 24576,
        "healthy": True,
        "reason": "",
        "members": [
            {"id": "1", "name": "cp1", "peers": ["127.0.0.1"], "learner": False},
            {"id": "18446744073709551615", "name": "", "peers": ["10.0.0.12"], "learner": True},
        ],
    }
    assert Etcd.model_validate(answer).members[0].name == "cp1"


def test_without_a_majority_the_members_are_told_all_the_same(server: EtcdServer, tmp_path: Path) -> None:
    server.quorum = False

    answer = ask(server, tmp_path)

    assert (answer["healthy"], answer["reason"]) == (False, "RAFT NO LEADER")
    assert len(answer["members"]) == 1


def test_a_health_that_is_never_answered_hides_nothing_else(
    server: EtcdServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_ETCD_SECONDS", 0.5)
    answer = server.answer

    def slow(host: str, path: str, body: Any) -> tuple[int, Any]:
        if path == "/health":
            stopped.wait(5)
        return answer(host, path, body)

    stopped = threading.Event()
    monkeypatch.setattr(server, "answer", slow)

    found = ask(server, tmp_path)
    stopped.set()

    assert (found["healthy"], found["version"]) == (False, "3.6.8")


def test_a_silent_etcd_is_an_answer(server: EtcdServer, tmp_path: Path) -> None:
    server.close()

    answer = ask(server, tmp_path)

    assert set(answer) == {"error"}
    assert answer["error"].startswith(f"https://127.0.0.1:{server.port}: ")


def test_a_host_without_etcd_has_nothing_to_tell(tmp_path: Path) -> None:
    assert cluster.etcd(str(tmp_path)) is None
