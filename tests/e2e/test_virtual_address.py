"""A virtual address as endpoint: created, moved when its holder fails, changed, and removed without a trace.

All tests use one lab of three control planes and a worker; the tests run in order and build on each other. The API is
polled four times a second at the virtual address.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from provision.lab import machines

from .availability import Client, polling_api
from .control_planes import assert_endpoint_everywhere
from .lab_cluster import CONDITION_TIMEOUT, LabCluster, running_lab, wait_for, without_endpoint

pytestmark = [pytest.mark.lab, pytest.mark.night]

LAB = "test-vip"
VIP, OTHER, TAKEN = "192.168.77.200", "192.168.77.5", "192.168.77.1"  # the last is the gateway
CONTROL_PLANES = ("cp1", "cp2", "cp3")
MAX_FAILURES = 60  # requests that may fail while the address moves or etcd elects a leader: 15 s
UNITS = (
    "systemctl list-unit-files --no-legend 'provision-*'; ls /etc/haproxy /etc/keepalived | grep provision"
)


@dataclass
class VipCluster(LabCluster):
    api: Client | None = None

    def set_endpoint(self, endpoint: str) -> None:
        """Write the endpoint to the file."""
        self.file.write_text(f"endpoint: {endpoint}\n{without_endpoint(self.file.read_text())}")

    def holders(self, *among: str, address: str = VIP) -> list[str]:
        """Control planes that the address is assigned to."""
        return [
            name
            for name in among or CONTROL_PLANES
            if f" {address}/32 " in self.on(name, "ip -4 -oneline address show")
        ]

    def failures(self, since: float) -> list[str]:
        assert self.api is not None
        return self.api.failures(since)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VipCluster]:
    cluster = VipCluster(LAB, tmp_path_factory.mktemp("vip"))
    with running_lab(cluster, "--control-planes", "3", "--workers", "1", "--memory", "2048"):
        yield cluster


@pytest.fixture(scope="module")
def polled(cluster: VipCluster) -> Iterator[VipCluster]:
    with polling_api(cluster) as cluster.api:
        yield cluster


def test_an_address_of_another_machine_is_refused(cluster: VipCluster) -> None:
    cluster.set_endpoint(f"{{vip: {TAKEN}}}")

    done = cluster.provision("apply", "--yes")

    assert done.returncode == 1
    assert f"the virtual address {TAKEN} is another machine's" in done.stderr
    assert "keepalived" not in cluster.on("cp1", "ps -eo comm")


def test_a_cluster_is_created_behind_a_virtual_address(cluster: VipCluster) -> None:
    cluster.set_endpoint(f"{{vip: {VIP}}}")

    done = cluster.provision("apply", "--yes")

    assert done.returncode == 0, done.stdout + done.stderr
    assert len(cluster.holders()) == 1
    assert cluster.kubectl("get", "nodes", "--no-headers").count(" Ready ") == 4
    assert_endpoint_everywhere(cluster, f"{VIP}:7443", CONTROL_PLANES)
    assert f"server: https://{VIP}:7443" in cluster.on("w1", "sudo cat /etc/kubernetes/kubelet.conf")
    assert cluster.provision("plan").returncode == 0


def test_the_address_moves_when_the_load_balancer_of_its_holder_stops(polled: VipCluster) -> None:
    [holder] = polled.holders()
    started = time.time()

    polled.on(holder, "sudo systemctl stop provision-vip-api")

    wait_for(
        "another control plane has the address",
        lambda: polled.holders() not in ([holder], []),
        CONDITION_TIMEOUT,
    )
    assert len(polled.failures(started)) <= MAX_FAILURES
    plan = polled.provision("plan")
    assert plan.returncode == 2
    assert f"{holder}: its load balancer for the API server is not running" in plan.stdout
    assert polled.provision("apply", "--yes").returncode == 0
    assert "active" in polled.on(holder, "systemctl is-active provision-vip")


def test_a_killed_load_balancer_is_restarted_together_with_keepalived(polled: VipCluster) -> None:
    [holder] = polled.holders()
    started = time.time()

    polled.on(holder, "sudo systemctl kill --signal=KILL provision-vip-api")

    active = "systemctl is-active provision-vip-api provision-vip || true"
    wait_for(
        "both units are active",
        lambda: polled.on(holder, active).split() == ["active", "active"],
        CONDITION_TIMEOUT,
    )
    wait_for("one control plane has the address", lambda: len(polled.holders()) == 1, CONDITION_TIMEOUT)
    assert len(polled.failures(started)) <= MAX_FAILURES


def test_the_address_moves_within_seconds_when_its_machine_is_lost(polled: VipCluster) -> None:
    [holder] = polled.holders()
    others = [name for name in CONTROL_PLANES if name != holder]
    started = time.time()

    machines.power_off(LAB, holder)
    wait_for(
        "another control plane has the address", lambda: len(polled.holders(*others)) == 1, CONDITION_TIMEOUT
    )
    assert "w1" in polled.kubectl("get", "nodes")
    machines.power_on(LAB, holder)
    machines.wait_until_reachable(LAB, [holder])

    wait_for(
        "all etcd members are healthy",
        lambda: polled.etcd() == dict.fromkeys(CONTROL_PLANES, True),
        CONDITION_TIMEOUT,
    )
    wait_for("the plan is empty", lambda: polled.provision("plan").returncode == 0, CONDITION_TIMEOUT)
    assert len(polled.holders()) == 1
    assert len(polled.failures(started)) <= MAX_FAILURES


def test_node_addresses_do_not_include_the_virtual_address(polled: VipCluster) -> None:
    nodes = json.loads(polled.kubectl("get", "nodes", "-o", "json"))["items"]

    for node in nodes:
        addresses = {one["type"]: one["address"] for one in node["status"]["addresses"]}
        calico = node["metadata"]["annotations"]["projectcalico.org/IPv4Address"]
        assert addresses["InternalIP"] != VIP
        assert calico == f"{addresses['InternalIP']}/24", node["metadata"]["name"]


def test_a_removed_control_plane_is_removed_from_the_configuration_of_the_others(polled: VipCluster) -> None:
    done = polled.provision("node", "remove", "cp3", "--yes")

    assert done.returncode == 0, done.stdout + done.stderr
    assert polled.on("cp3", f"{UNITS} || true") == ""
    cp3 = "192.168.77.13"
    for name in ("cp1", "cp2"):
        assert cp3 not in polled.on(
            name, "cat /etc/haproxy/provision-vip-api.cfg /etc/keepalived/provision-vip.conf"
        )
    assert len(polled.holders("cp1", "cp2")) == 1
    assert polled.provision("plan").returncode == 0


def test_the_virtual_address_is_changed(cluster: VipCluster) -> None:
    cluster.set_endpoint(f"{{vip: {OTHER}}}")

    done = cluster.provision("apply", "--yes")

    assert done.returncode == 0, done.stdout + done.stderr
    assert cluster.holders("cp1", "cp2") == []
    assert len(cluster.holders("cp1", "cp2", address=OTHER)) == 1
    assert_endpoint_everywhere(cluster, f"{OTHER}:7443", ("cp1", "cp2"))
    assert cluster.provision("plan").returncode == 0


def test_the_virtual_address_is_replaced_by_local_load_balancers(cluster: VipCluster) -> None:
    cluster.set_endpoint("local")

    done = cluster.provision("apply", "--yes")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "server: https://127.0.0.1:7443" in cluster.on("w1", "sudo cat /etc/kubernetes/kubelet.conf")
    for name in ("cp1", "cp2"):
        assert "vip" not in cluster.on(name, UNITS)
    assert cluster.holders("cp1", "cp2", address=OTHER) == []
    assert cluster.provision("plan").returncode == 0


def test_a_reset_removes_the_virtual_address(cluster: VipCluster) -> None:
    cluster.set_endpoint(f"{{vip: {VIP}}}")
    applied = cluster.provision("apply", "--yes")

    done = cluster.provision("reset", "--yes")

    assert applied.returncode == 0, applied.stdout + applied.stderr
    assert done.returncode == 0, done.stdout + done.stderr
    assert cluster.holders() == []
    for name in (*CONTROL_PLANES, "w1"):
        assert cluster.on(name, f"{UNITS} || true") == "", name
