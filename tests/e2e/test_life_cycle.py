"""The life cycle of a cluster on lab machines, while a web service and the API are polled four times a second.

One control plane and one worker, an endpoint, two more workers at once, three control planes, the machine of the first
one lost and replaced by another, a worker removed, another control plane lost and removed, a reset. All tests use one
lab; the tests run in order and build on each other.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import yaml

from provision.lab import machines

from .availability import Client, polling_api, polling_web
from .control_planes import ENDPOINT, assert_endpoint_everywhere, assert_no_join_credentials
from .host_state import assert_no_cluster_files
from .lab_cluster import (
    CONDITION_TIMEOUT,
    KUBECTL,
    LOGINS,
    LabCluster,
    running_lab,
    wait_for,
    without_endpoint,
    without_hosts,
)

pytestmark = [pytest.mark.lab, pytest.mark.life]

LAB = "test-life"
MAX_FAILURES = (
    120  # requests to the API that may fail while etcd gets a member or a control plane is lost: 30 s
)
SPARE = "w4"  # the machine that becomes cp1


@dataclass
class LifeCluster(LabCluster):
    """`hosts`: machines of the lab by name. `text`: the file with cp1, w1 and the endpoint."""

    hosts: dict[str, dict[str, str]] = field(default_factory=dict)
    text: str = ""
    web: Client | None = None
    api: Client | None = None

    def login(self, machine: str) -> str:
        return f"lab@{self.hosts[machine]['address']}"

    def key(self, machine: str) -> str:
        return self.hosts[machine]["host_key"]

    def failures(self, since: float) -> tuple[list[str], list[str]]:
        """Failed requests to the web service and to the API since that time (seconds since the epoch)."""
        assert self.web is not None
        assert self.api is not None
        return self.web.failures(since), self.api.failures(since)

    def ready(self) -> int:
        return self.kubectl("get", "nodes", "--no-headers").count(" Ready ")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LifeCluster]:
    """A cluster of cp1 and w1 without an endpoint, and further machines."""
    cluster = LifeCluster(LAB, tmp_path_factory.mktemp("life"))
    with running_lab(cluster, "--control-planes", "3", "--workers", "4", "--memory", "2048"):
        text = cluster.file.read_text()
        cluster.hosts = {host["name"]: host for host in yaml.safe_load(text)["hosts"]}
        cluster.text = without_hosts(text, "cp2", "cp3", "w2", "w3", SPARE)
        cluster.file.write_text(without_endpoint(cluster.text))
        done = cluster.provision("apply", "--yes", "--no-smoke")
        assert done.returncode == 0, done.stderr
        yield cluster


@pytest.fixture(scope="module")
def polled(cluster: LifeCluster) -> Iterator[LifeCluster]:
    """The API is polled at the endpoint."""
    with polling_api(cluster) as cluster.api:
        yield cluster


@pytest.fixture(scope="module")
def serving(polled: LifeCluster) -> Iterator[LifeCluster]:
    """The web service runs on w2 and w3, and is polled at w1, which stays."""
    with polling_web(polled, ["w2", "w3"], at=polled.hosts["w1"]["address"]) as polled.web:
        yield polled


def test_an_endpoint_is_added_to_a_cluster_without_one(cluster: LifeCluster) -> None:
    before = cluster.on("cp1", f"{KUBECTL} -n kube-system get cm kubeadm-config -o yaml")
    cluster.file.write_text(cluster.text)

    done = cluster.provision("apply", "--yes", "--no-smoke")

    assert "controlPlaneEndpoint" not in before
    assert done.returncode == 0, done.stdout + done.stderr
    assert ENDPOINT in cluster.kubeconfig.read_text()
    assert cluster.ready() == 2


def test_two_workers_join_at_once_and_no_other_node_is_contacted(polled: LifeCluster) -> None:
    started, logins, text = time.time(), polled.on("w1", LOGINS), polled.file.read_text()
    keys = [word for name in ("w2", "w3") for word in ("--host-key", f"{name}={polled.key(name)}")]
    pairs = ("w2", polled.login("w2"), "w3", polled.login("w3"))

    done = polled.provision("node", "add", *pairs, *keys, "--label", "disk=ssd", "--yes")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "smoke test passed" in done.stdout
    assert polled.ready() == 4
    assert int(polled.on("w1", LOGINS)) == int(logins) + 1, "only the previous count logs in"
    assert polled.kubectl("get", "nodes", "-l", "disk=ssd", "-o", "name").split() == ["node/w2", "node/w3"]
    assert all(line in polled.file.read_text().splitlines() for line in text.splitlines())
    assert "bootstrap-token" not in polled.kubectl("-n", "kube-system", "get", "secrets", "-o", "name")
    assert polled.api is not None
    assert polled.api.failures(started) == []


def test_one_control_plane_becomes_three(serving: LifeCluster) -> None:
    started = time.time()
    keys = [word for name in ("cp2", "cp3") for word in ("--host-key", f"{name}={serving.key(name)}")]
    pairs = ("cp2", serving.login("cp2"), "cp3", serving.login("cp3"))

    done = serving.provision("node", "add", *pairs, *keys, "--role", "control-plane", "--yes", "--no-smoke")

    assert done.returncode == 0, done.stdout + done.stderr
    assert serving.ready() == 6
    assert serving.etcd() == {"cp1": True, "cp2": True, "cp3": True}
    web, api = serving.failures(started)
    assert web == []
    assert len(api) <= MAX_FAILURES, api


def test_all_configurations_name_the_endpoint(serving: LifeCluster) -> None:
    assert_endpoint_everywhere(serving, ENDPOINT, ("cp1", "cp2", "cp3"))
    assert f"server: https://{ENDPOINT}" in serving.on("w1", "sudo cat /etc/kubernetes/kubelet.conf")


def test_no_join_credentials_are_left(serving: LifeCluster) -> None:
    assert_no_join_credentials(serving)


def test_an_etcd_snapshot_for_root_only_was_saved_before_each_join(serving: LifeCluster) -> None:
    script = """sudo sh -c 'stat -c "%a %U %n" /var/lib/provision/etcd /var/lib/provision/etcd/*'"""

    listed = serving.on("cp1", script)

    assert "700 root /var/lib/provision/etcd" in listed
    assert len(re.findall(r"^600 root .*/snapshot-\S+\.db$", listed, re.MULTILINE)) == 2


def test_the_lost_machine_of_the_first_control_plane_is_replaced_by_another(serving: LifeCluster) -> None:
    started = time.time()
    arguments = (
        "node",
        "replace",
        "cp1",
        serving.login(SPARE),
        "--host-key",
        serving.key(SPARE),
        "--yes",
        "--no-smoke",
    )
    refused = serving.provision(*arguments)
    machines.power_off(LAB, "cp1")
    wait_for(
        "cp1 is not Ready", lambda: "NotReady" in serving.kubectl("get", "node", "cp1"), CONDITION_TIMEOUT
    )

    done = serving.provision(*arguments)

    assert refused.returncode == 4
    assert "its old machine runs" in refused.stderr
    assert done.returncode == 0, done.stdout + done.stderr
    nodes = serving.kubectl("get", "nodes", "--no-headers", "-o", "wide")
    assert nodes.count(" Ready ") == 6
    assert serving.hosts[SPARE]["address"] in nodes
    assert serving.hosts["cp1"]["address"] not in nodes
    assert serving.etcd() == {"cp1": True, "cp2": True, "cp3": True}
    # Until then cp1 was the control plane that commands worked through; cp2 ran this change.
    assert "snapshot-" in serving.on("cp2", "sudo ls /var/lib/provision/etcd")
    web, api = serving.failures(started)
    assert web == []
    assert len(api) <= MAX_FAILURES, api


def test_a_worker_is_removed_while_the_service_stays_available(serving: LifeCluster) -> None:
    started = time.time()

    done = serving.provision("node", "remove", "w3", "--yes")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "w3" not in serving.kubectl("get", "nodes", "--no-headers")
    assert serving.failures(started) == ([], [])


def test_a_further_apply_has_nothing_to_do(serving: LifeCluster) -> None:
    done = serving.provision("apply", "--yes")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing to do" in done.stdout


def test_a_lost_control_plane_is_removed_by_force(serving: LifeCluster) -> None:
    machines.power_off(LAB, "cp3")

    refused = serving.provision("node", "remove", "cp3", "--yes")
    done = serving.provision("node", "remove", "cp3", "--force", "--yes")

    assert refused.returncode == 5
    assert "add --force" in refused.stderr
    assert done.returncode == 0, done.stdout + done.stderr
    assert serving.etcd() == {"cp1": True, "cp2": True}
    assert "cp3" not in serving.kubectl("get", "nodes")
    assert "name: cp3" not in serving.file.read_text()


def test_a_lost_control_plane_of_two_cannot_be_removed(serving: LifeCluster) -> None:
    machines.power_off(LAB, "cp2")

    done = serving.provision("node", "remove", "cp2", "--force", "--yes")

    assert done.returncode == 5
    assert "its etcd reaches no majority" in done.stderr
    machines.power_on(LAB, "cp2")
    machines.wait_until_reachable(LAB, ["cp2"])
    wait_for("cp2 is back", lambda: serving.etcd() == {"cp1": True, "cp2": True}, CONDITION_TIMEOUT)


def test_the_cluster_is_reset(cluster: LifeCluster) -> None:
    done = cluster.provision("reset", "--yes")

    assert done.returncode == 0, done.stdout + done.stderr
    assert_no_cluster_files(cluster, ("cp2", "w1", "w2", "w3", SPARE))
    assert not cluster.kubeconfig.exists()
