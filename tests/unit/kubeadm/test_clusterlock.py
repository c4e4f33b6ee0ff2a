"""The lock seen from two processes, over a real sshd: its file on the control plane, before there is an API server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provision import owner
from provision.errors import BusyError, ProvisionError
from provision.kubeadm import clusterlock
from provision.kubeadm.clusterlock import cluster_lock
from provision.model import Cluster, Host, Ssh
from provision.ssh import Secrets
from tests.unit import sshd

from . import sights

if TYPE_CHECKING:
    from provision.kubeadm.facts import Observation

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the agent runs as root")

HOLD = """
import sys, time
from provision.kubeadm.clusterlock import cluster_lock
from provision.model import Cluster
from provision.ssh import Secrets
from tests.unit.kubeadm import sights

cluster = Cluster.model_validate_json(sys.argv[1], strict=False)
seen = sights.observation({host.name: sights.fresh(host) for host in cluster.hosts})
with cluster_lock(cluster, seen, command="provision apply", secrets=Secrets(), tell=print):
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
    return sights.observation(
        {host.name: sights.fresh(sights.cluster("cp").hosts[0]) for host in cluster.hosts}
    )


def take(cluster: Cluster, said: list[str]) -> None:
    with cluster_lock(
        cluster, fresh(cluster), command="provision reset", secrets=Secrets(), tell=said.append
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
        cluster, fresh(cluster), command="provision apply", secrets=Secrets(), tell=print
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


def test_a_process_is_known_to_be_dead_only_if_it_ran_on_this_machine() -> None:
    mine = owner.this_process("provision apply")
    ended = subprocess.Popen(["true"])
    ended.wait()

    assert not mine.is_dead()
    assert owner.from_json({**mine.to_json(), "process": ended.pid}).is_dead()
    assert not owner.from_json({**mine.to_json(), "machine": "another", "process": ended.pid}).is_dead()
    assert not owner.from_json({"who": "somebody"}).is_dead()
