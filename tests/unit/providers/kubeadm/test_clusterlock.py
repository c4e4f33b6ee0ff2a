"""The lock seen from two processes, over a real sshd: its file on the control plane, before there is an API server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provision.engine import locks
from provision.errors import BusyError, ProvisionError
from provision.model.cluster import Cluster, Host, Ssh
from provision.providers.kubeadm.operations import cluster_lock as clusterlock
from provision.providers.kubeadm.operations.cluster_lock import cluster_lock
from provision.ssh import Secrets
from tests.unit.ssh import sshd

from . import factories

if TYPE_CHECKING:
    from provision.providers.kubeadm.facts.host import Observation

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the agent runs as root")

HOLD = """
import sys, time
from provision.providers.kubeadm.operations.cluster_lock import cluster_lock
from provision.model.cluster import Cluster
from provision.ssh import Secrets
from tests.unit.providers.kubeadm import factories

cluster = Cluster.model_validate_json(sys.argv[1], strict=False)
seen = factories.observation({host.name: factories.fresh(host) for host in cluster.hosts})
with cluster_lock(cluster, seen, command="provision apply", secrets=Secrets(), warn=print):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    (tmp_path / "sshd").mkdir()
    with sshd.running(tmp_path / "sshd") as server:
        host = Host(
            name="cp1",
            address=sshd.ADDRESS,
            role="control-plane",
            port=server.port,
            host_key=server.host_key,
        )
        yield Cluster(
            name="loop", kubernetes="1.36.3", hosts=(host,), ssh=Ssh(user=server.user, key=str(server.key))
        )


@pytest.fixture
def other(cluster: Cluster) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, cluster.model_dump_json()],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def fresh(cluster: Cluster) -> Observation:
    return factories.observation(
        {host.name: factories.fresh(factories.cluster("cp").hosts[0]) for host in cluster.hosts}
    )


def take(cluster: Cluster, said: list[str]) -> None:
    with cluster_lock(
        cluster, fresh(cluster), command="provision reset", secrets=Secrets(), warn=said.append
    ) as lock:
        lock.check()


def test_a_second_run_is_told_who_works_with_what_from_where_and_since_when(
    cluster: Cluster, other: subprocess.Popen[str]
) -> None:
    with pytest.raises(BusyError) as busy:
        take(cluster, [])

    today = time.strftime("%Y-%m-%d", time.gmtime())
    for part in ("loop", "@", "`provision apply`", f"process {other.pid}", f"since {today}"):
        assert part in busy.value.message


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_after_a_killed_run_the_next_one_gets_the_lock_at_once(
    cluster: Cluster, other: subprocess.Popen[str], number: signal.Signals
) -> None:
    other.send_signal(number)
    other.wait()
    began = time.monotonic()

    take(cluster, [])

    assert time.monotonic() - began < 15


def test_the_lock_is_free_after_a_run(cluster: Cluster) -> None:
    take(cluster, [])
    take(cluster, [])


def test_a_lock_whose_connection_broke_is_taken_again_by_itself(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusterlock, "HEARTBEAT", 0.1)

    with cluster_lock(
        cluster, fresh(cluster), command="provision apply", secrets=Secrets(), warn=print
    ) as lock:
        before, _ = lock._held["cp1"]
        before._channel.get_transport().close()
        end = time.monotonic() + 20
        while lock._held["cp1"][0] is before and time.monotonic() < end:
            time.sleep(0.05)

        assert lock._held["cp1"][0] is not before
        lock.check()


def test_an_api_server_that_restarts_between_the_look_and_the_lock_is_waited_for(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [{"problem": "no proper answer: RemoteDisconnected"}]
    answer = clusterlock._answer
    monkeypatch.setattr(clusterlock, "_answer", lambda session: answers.pop() if answers else answer(session))

    take(cluster, [])

    assert answers == []


def test_a_lock_that_cannot_be_taken_names_the_control_plane_and_the_cause(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusterlock, "_RESTART", 0.5)
    monkeypatch.setattr(
        clusterlock, "_answer", lambda _session: {"problem": "status 500: etcd has no leader"}
    )

    with pytest.raises(ProvisionError, match=r"cp1: .* cannot be taken: status 500: etcd has no leader"):
        take(cluster, [])


class Plane:
    """A session with an agent that gives these answers; the last one again and again."""

    def __init__(self, *answers: dict[str, object]) -> None:
        self._answers = list(answers)
        self.sent: list[bytes] = []

    def send(self, line: bytes) -> None:
        self.sent.append(line)

    def line(self, _seconds: float) -> bytes:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return b"provision-agent:" + json.dumps(answer).encode()


def lock_through(monkeypatch: pytest.MonkeyPatch, **planes: Plane) -> clusterlock.ClusterLock:
    """A Lease that these control planes can hold, the first one holds it; every heartbeat is late enough."""
    cluster = factories.cluster(*["cp"] * len(planes))
    lock = clusterlock.ClusterLock(
        cluster=cluster,
        hosts=cluster.control_planes,
        lease=True,
        holder=locks.this_process("provision apply"),
        secrets=Secrets(),
        warn=print,
    )
    monkeypatch.setattr(clusterlock, "_SILENCE", -1.0)
    monkeypatch.setattr(lock, "_session", lambda host, *_, **__: nullcontext(planes[host.name]))
    lock.take()
    return lock


SILENT: tuple[dict[str, object], ...] = ({"held": {}}, {"beat": "Connection refused"})


def test_heartbeats_go_through_another_control_plane_when_an_api_server_is_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = Plane(*SILENT)
    lock = lock_through(monkeypatch, cp1=first, cp2=Plane({"problem": "status 500"}), cp3=Plane({"held": {}}))

    lock._beat("cp1")

    assert list(lock._held) == ["cp3"]
    assert first.sent == [b"beat\n", b"leave\n"]
    lock.check()


def test_the_lock_stays_where_it_is_when_no_api_server_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    first = Plane(*SILENT)
    lock = lock_through(monkeypatch, cp1=first, cp2=Plane({"problem": "Connection refused"}))

    lock._beat("cp1")

    assert list(lock._held) == ["cp1"]
    assert first.sent == [b"beat\n"]
    lock.check()


def test_a_lock_that_was_taken_over_through_another_control_plane_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken = {"busy": {"id": "bob", "who": "bob@desk", "command": "provision reset", "since": "now"}, "age": 1}
    lock = lock_through(monkeypatch, cp1=Plane(*SILENT), cp2=Plane(taken))

    lock._beat("cp1")

    with pytest.raises(BusyError, match="bob@desk"):
        lock.check()


def test_a_process_is_known_to_be_dead_only_if_it_ran_on_this_machine() -> None:
    mine = locks.this_process("provision apply")
    ended = subprocess.Popen(["true"])
    ended.wait()

    assert not mine.is_dead()
    assert locks.from_json({**mine.to_json(), "process": ended.pid}).is_dead()
    assert not locks.from_json({**mine.to_json(), "machine": "another", "process": ended.pid}).is_dead()
    assert not locks.from_json({"who": "root@other"}).is_dead()
