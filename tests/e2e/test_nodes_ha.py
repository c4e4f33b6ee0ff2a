"""Control planes come and go on real machines: one becomes three, the first is lost and replaced, another leaves.

One lab of three control planes and a worker serves the module (a control plane of one processor has no room for
CoreDNS); the tests build on each other in the order they stand in. The cluster begins with cp1 as its control plane
and without an endpoint. Its API server is asked through the lab's balancer all the while.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from provision.lab import machines
from provision.lab.state import lab_directory

from .control_planes import (
    etcd_was_saved,
    everything_names_the_endpoint,
    no_credentials_of_joins_are_left,
    of_two_none_leaves_while_it_is_lost,
    one_leaves_without_its_machine,
)
from .rig import KUBECTL, Rig, lab, wait_for, without, without_endpoint

pytestmark = [pytest.mark.lab, pytest.mark.life]

LAB = "test-ha"
DEAD_LIMIT = 180  # seconds


@dataclass
class HaRig(Rig):
    """`text`: the file with all three control planes and the endpoint."""

    text: str = ""


def on(host: str, script: str) -> str:
    return Rig(LAB, Path()).on(host, script)


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HaRig]:
    rig = HaRig(LAB, tmp_path_factory.mktemp("ha"))
    with lab(rig, "--control-planes", "3", "--workers", "1", "--memory", "2048"):
        rig.text = rig.file.read_text()
        yield rig


def test_one_control_plane_without_an_endpoint_is_a_cluster(rig: HaRig) -> None:
    rig.file.write_text(without_endpoint(without(rig.text, "cp2", "cp3")))

    done = rig.provision("apply", "--yes", "--no-smoke")

    assert done.returncode == 0, done.stderr
    assert rig.etcd() == {"cp1": True}
    assert "controlPlaneEndpoint" not in on("cp1", f"{KUBECTL} -n kube-system get cm kubeadm-config -o yaml")


def test_it_becomes_three_behind_an_endpoint(rig: HaRig) -> None:
    rig.file.write_text(rig.text)

    done = rig.provision("apply", "--yes", "--no-smoke")

    assert done.returncode == 0, done.stderr
    assert rig.etcd() == {"cp1": True, "cp2": True, "cp3": True}
    assert rig.kubectl("get", "nodes", "--no-headers").count(" Ready ") == 4


def test_everything_names_the_endpoint(rig: HaRig) -> None:
    everything_names_the_endpoint(rig, ("cp1", "cp2", "cp3"))


def test_no_credentials_of_the_joins_are_left(rig: HaRig) -> None:
    no_credentials_of_joins_are_left(rig)


def test_etcd_was_saved_before_each_member_where_only_root_can_read_it(rig: HaRig) -> None:
    etcd_was_saved(rig, times=2)


def test_then_nothing_is_left_to_do(rig: HaRig) -> None:
    done = rig.provision("plan")

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_first_one_is_lost_and_another_machine_takes_its_place(rig: HaRig) -> None:
    machines.power_off(LAB, "cp1")
    wait_for("cp1 is not Ready", lambda: "NotReady" in rig.kubectl("get", "node", "cp1"), DEAD_LIMIT)
    lab_directory(LAB).machine("cp1").joinpath("disk.cow").unlink()  # as if it had been installed anew
    machines.power_on(LAB, "cp1")
    machines.wait_until_reachable(LAB, ["cp1"])

    done = rig.provision("node", "replace", "cp1", "--yes", "--no-smoke")

    assert done.returncode == 0, done.stdout + done.stderr
    assert rig.etcd() == {"cp1": True, "cp2": True, "cp3": True}
    assert rig.kubectl("get", "nodes", "--no-headers").count(" Ready ") == 4
    # The lost one spoke for the cluster until then; another did this.
    assert "snapshot-" in on("cp2", "sudo ls /var/lib/provision/etcd")
    assert rig.provision("plan").returncode == 0


def test_a_lost_one_leaves_without_its_machine(rig: HaRig) -> None:
    one_leaves_without_its_machine(rig, "cp1", staying=("cp2", "cp3"))


def test_of_two_none_leaves_while_the_other_is_lost(rig: HaRig) -> None:
    of_two_none_leaves_while_it_is_lost(rig, "cp3")
