"""Control planes come and go on real machines: one becomes three, the first is lost and replaced, another leaves.

One lab of three control planes and a worker serves the module (a control plane of one processor has no room for
CoreDNS); the tests build on each other in the order they stand in. The cluster begins with cp1 as its control plane
and without an endpoint. Its API server is asked through the lab's balancer all the while.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from provision.lab import machines
from provision.lab.state import lab_directory

from .rig import KUBECTL, Rig, lab, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.life]

LAB = "test-ha"
DEAD_LIMIT = 180  # seconds
ENDPOINT = "192.168.77.1:6443"


@dataclass
class HaRig(Rig):
    """`text`: the file with all three control planes and the endpoint."""

    text: str = ""

    def etcd(self) -> dict[str, bool]:
        """Name of each member, and whether it is healthy."""
        done = self.provision("status", "-o", "json")
        return {member["name"]: member["healthy"] for member in json.loads(done.stdout)["etcd"]}


def on(host: str, script: str) -> str:
    return Rig(LAB, Path()).on(host, script)


def only_first(text: str) -> str:
    """The file with cp1 as the only control plane, and without an endpoint."""
    text = re.sub(r"  - name: cp[23]\n(?:    .*\n)+", "", text)
    return re.sub(r"^endpoint:.*\n", "", text, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HaRig]:
    rig = HaRig(LAB, tmp_path_factory.mktemp("ha"))
    with lab(rig, "--control-planes", "3", "--workers", "1", "--memory", "2048"):
        rig.text = rig.file.read_text()
        yield rig


def test_one_control_plane_without_an_endpoint_is_a_cluster(rig: HaRig) -> None:
    rig.file.write_text(only_first(rig.text))

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
    said = on("cp1", f"{KUBECTL} get cm -A -o yaml")

    assert f"controlPlaneEndpoint: {ENDPOINT}" in said
    assert set(re.findall(r"server: https://(\S+)", said)) == {ENDPOINT}
    for host in ("cp1", "cp2", "cp3"):
        assert f"server: https://{ENDPOINT}" in on(host, "sudo cat /etc/kubernetes/admin.conf")
    assert ENDPOINT in (rig.directory / f"{LAB}.kubeconfig").read_text()


def test_no_credentials_of_the_joins_are_left(rig: HaRig) -> None:
    names = rig.kubectl("-n", "kube-system", "get", "secrets", "-o", "name")

    assert "kubeadm-certs" not in names
    assert "bootstrap-token" not in names


@pytest.mark.usefixtures("rig")
def test_etcd_was_saved_before_each_member_where_only_root_can_read_it() -> None:
    listed = on(
        "cp1", """sudo sh -c 'stat -c "%a %U %n" /var/lib/provision/etcd /var/lib/provision/etcd/*'"""
    )

    assert "700 root /var/lib/provision/etcd" in listed
    assert len(re.findall(r"^600 root .*/snapshot-\S+\.db$", listed, re.MULTILINE)) == 2


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
    machines.power_off(LAB, "cp1")

    refused = rig.provision("node", "remove", "cp1", "--yes")
    done = rig.provision("node", "remove", "cp1", "--force", "--yes")

    assert refused.returncode == 5
    assert done.returncode == 0, done.stdout + done.stderr
    assert rig.etcd() == {"cp2": True, "cp3": True}
    assert "cp1" not in rig.kubectl("get", "nodes")
    assert "name: cp1" not in rig.file.read_text()


def test_of_two_none_leaves_while_the_other_is_lost(rig: HaRig) -> None:
    machines.power_off(LAB, "cp3")

    done = rig.provision("node", "remove", "cp3", "--force", "--yes")

    assert done.returncode == 5
    assert "its etcd reaches no majority" in done.stderr
