"""An endpoint that the control planes keep themselves: it is made, outlives its holder, changes, and leaves no trace.

One lab of three control planes and a worker serves the module; the tests build on each other in the order they stand
in. The API is asked four times a second at the virtual address.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from provision.lab import machines

from .asking import Client, asking_the_api
from .control_planes import is_named_everywhere
from .rig import SEEN_LIMIT, Rig, lab, wait_for, without_endpoint

pytestmark = [pytest.mark.lab, pytest.mark.night]

LAB = "test-vip"
VIP, OTHER, TAKEN = "192.168.77.200", "192.168.77.5", "192.168.77.1"  # the last is the gateway's
CONTROL_PLANES = ("cp1", "cp2", "cp3")
AWAY = 60  # requests that may fail while the address moves or etcd chooses a leader: 15 s
UNITS = (
    "systemctl list-unit-files --no-legend 'provision-*'; ls /etc/haproxy /etc/keepalived | grep provision"
)


@dataclass
class VipRig(Rig):
    api: Client | None = None

    def give(self, endpoint: str) -> None:
        """Write that endpoint into the file."""
        self.file.write_text(f"endpoint: {endpoint}\n{without_endpoint(self.file.read_text())}")

    def holders(self, *among: str, address: str = VIP) -> list[str]:
        """Control planes that have the address."""
        return [
            name
            for name in among or CONTROL_PLANES
            if f" {address}/32 " in self.on(name, "ip -4 -oneline address show")
        ]

    def failures(self, since: float) -> list[str]:
        assert self.api is not None
        return self.api.failures(since)


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VipRig]:
    rig = VipRig(LAB, tmp_path_factory.mktemp("vip"))
    with lab(rig, "--control-planes", "3", "--workers", "1", "--memory", "2048"):
        yield rig


@pytest.fixture(scope="module")
def asked(rig: VipRig) -> Iterator[VipRig]:
    with asking_the_api(rig) as rig.api:
        yield rig


def test_an_address_that_another_machine_has_is_not_taken(rig: VipRig) -> None:
    rig.give(f"{{vip: {TAKEN}}}")

    done = rig.provision("apply", "--yes")

    assert done.returncode == 1
    assert f"the virtual address {TAKEN} is another machine's" in done.stderr
    assert "keepalived" not in rig.on("cp1", "ps -eo comm")


def test_a_cluster_is_made_behind_a_virtual_address(rig: VipRig) -> None:
    rig.give(f"{{vip: {VIP}}}")

    done = rig.provision("apply", "--yes")

    assert done.returncode == 0, done.stdout + done.stderr
    assert len(rig.holders()) == 1
    assert rig.kubectl("get", "nodes", "--no-headers").count(" Ready ") == 4
    is_named_everywhere(rig, f"{VIP}:7443", CONTROL_PLANES)
    assert f"server: https://{VIP}:7443" in rig.on("w1", "sudo cat /etc/kubernetes/kubelet.conf")
    assert rig.provision("plan").returncode == 0


def test_it_goes_to_another_one_when_its_load_balancer_stops(asked: VipRig) -> None:
    [holder] = asked.holders()
    began = time.time()

    asked.on(holder, "sudo systemctl stop provision-vip-api")

    wait_for("another one has it", lambda: asked.holders() not in ([holder], []), SEEN_LIMIT)
    assert len(asked.failures(began)) <= AWAY
    plan = asked.provision("plan")
    assert plan.returncode == 2
    assert f"{holder}: its load balancer for the API server is not running" in plan.stdout
    assert asked.provision("apply", "--yes").returncode == 0
    assert "active" in asked.on(holder, "systemctl is-active provision-vip")


def test_a_load_balancer_that_dies_comes_back_with_what_keeps_the_address(asked: VipRig) -> None:
    [holder] = asked.holders()
    began = time.time()

    asked.on(holder, "sudo systemctl kill --signal=KILL provision-vip-api")

    active = "systemctl is-active provision-vip-api provision-vip || true"
    wait_for("both run again", lambda: asked.on(holder, active).split() == ["active", "active"], SEEN_LIMIT)
    wait_for("one has it", lambda: len(asked.holders()) == 1, SEEN_LIMIT)
    assert len(asked.failures(began)) <= AWAY


def test_the_loss_of_its_machine_is_a_matter_of_seconds(asked: VipRig) -> None:
    [holder] = asked.holders()
    others = [name for name in CONTROL_PLANES if name != holder]
    began = time.time()

    machines.power_off(LAB, holder)
    wait_for("another one has it", lambda: len(asked.holders(*others)) == 1, SEEN_LIMIT)
    assert "w1" in asked.kubectl("get", "nodes")
    machines.power_on(LAB, holder)
    machines.wait_until_reachable(LAB, [holder])

    wait_for("all are well", lambda: asked.etcd() == dict.fromkeys(CONTROL_PLANES, True), SEEN_LIMIT)
    wait_for("nothing to do", lambda: asked.provision("plan").returncode == 0, SEEN_LIMIT)
    assert len(asked.holders()) == 1
    assert len(asked.failures(began)) <= AWAY


def test_whoever_has_it_nodes_keep_their_own_addresses(asked: VipRig) -> None:
    nodes = json.loads(asked.kubectl("get", "nodes", "-o", "json"))["items"]

    for node in nodes:
        addresses = {one["type"]: one["address"] for one in node["status"]["addresses"]}
        calico = node["metadata"]["annotations"]["projectcalico.org/IPv4Address"]
        assert addresses["InternalIP"] != VIP
        assert calico == f"{addresses['InternalIP']}/24", node["metadata"]["name"]


def test_a_control_plane_that_leaves_is_forgotten_by_the_others(asked: VipRig) -> None:
    done = asked.provision("node", "remove", "cp3", "--yes")

    assert done.returncode == 0, done.stdout + done.stderr
    assert asked.on("cp3", f"{UNITS} || true") == ""
    cp3 = "192.168.77.13"
    for name in ("cp1", "cp2"):
        assert cp3 not in asked.on(
            name, "cat /etc/haproxy/provision-vip-api.cfg /etc/keepalived/provision-vip.conf"
        )
    assert len(asked.holders("cp1", "cp2")) == 1
    assert asked.provision("plan").returncode == 0


def test_it_becomes_another_address(rig: VipRig) -> None:
    rig.give(f"{{vip: {OTHER}}}")

    done = rig.provision("apply", "--yes")

    assert done.returncode == 0, done.stdout + done.stderr
    assert rig.holders("cp1", "cp2") == []
    assert len(rig.holders("cp1", "cp2", address=OTHER)) == 1
    is_named_everywhere(rig, f"{OTHER}:7443", ("cp1", "cp2"))
    assert rig.provision("plan").returncode == 0


def test_it_gives_way_to_balancers_on_every_node(rig: VipRig) -> None:
    rig.give("local")

    done = rig.provision("apply", "--yes")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "server: https://127.0.0.1:7443" in rig.on("w1", "sudo cat /etc/kubernetes/kubelet.conf")
    for name in ("cp1", "cp2"):
        assert "vip" not in rig.on(name, UNITS)
    assert rig.holders("cp1", "cp2", address=OTHER) == []
    assert rig.provision("plan").returncode == 0


def test_nothing_is_left_of_it_after_a_reset(rig: VipRig) -> None:
    rig.give(f"{{vip: {VIP}}}")
    again = rig.provision("apply", "--yes")

    done = rig.provision("reset", "--yes")

    assert again.returncode == 0, again.stdout + again.stderr
    assert done.returncode == 0, done.stdout + done.stderr
    assert rig.holders() == []
    for name in (*CONTROL_PLANES, "w1"):
        assert rig.on(name, f"{UNITS} || true") == "", name
