"""Control planes come and go behind `endpoint: local`, and each step of it is struck: one becomes three, the first is
replaced by a machine that was installed anew, another leaves.

One lab of three control planes and a worker serves the module (a control plane of one processor has no room for
CoreDNS); the tests build on each other in the order they stand in. The cluster begins with cp1 as its control plane
and without an endpoint. Undisturbed and behind a load balancer, tests/e2e/test_whole_life.py does the same.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml

from .control_planes import LOCAL, is_named_everywhere, no_credentials_of_joins_are_left
from .host_state import are_alike
from .rig import KUBECTL, SEEN_LIMIT, Rig, lab, reinstall, wait_for, without, without_endpoint
from .striking import SIGNALS, Blow, signals, struck_in_turn

pytestmark = [pytest.mark.lab, pytest.mark.night]

LAB = "test-ha"
JOIN = ("install-containerd", "install-kubernetes", "pull-images", "join-control-planes", "wait-ready")


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(LAB, tmp_path_factory.mktemp("ha"))
    with lab(rig, "--control-planes", "3", "--workers", "1", "--memory", "2048"):
        text = without_endpoint(rig.file.read_text())
        rig.file.write_text(without(text, "cp2", "cp3"))
        done = rig.provision("apply", "--yes", "--no-smoke")
        assert done.returncode == 0, done.stderr
        rig.file.write_text(f"{text}endpoint: local\n")
        yield rig


def test_one_becomes_three_behind_balancers_of_their_own(rig: Rig) -> None:
    steps = ("install-endpoint", "correct-endpoint", *JOIN)
    # The second of the two that join is struck by the loss of its machine.
    blows = [
        *signals(steps, SIGNALS[0])[:-1],
        Blow("join-control-planes", "plug", "cp3"),
        *signals(JOIN[-1:], SIGNALS[2]),
    ]

    struck_in_turn(rig, blows, "apply", "--no-smoke")

    is_whole(rig, nodes=4, members=("cp1", "cp2", "cp3"))


def test_the_first_one_is_installed_anew_and_replaced(rig: Rig) -> None:
    reinstall(LAB, "cp1")
    steps = ("remove-etcd-members", "delete-nodes", *JOIN)
    struck_in_turn(rig, signals(steps, SIGNALS[1]), "node", "replace", "cp1", "--no-smoke")

    is_whole(rig, nodes=4, members=("cp1", "cp2", "cp3"))


def test_another_one_leaves(rig: Rig) -> None:
    steps = ("drain-nodes", "remove-etcd-members", "delete-nodes", "reset-hosts", "install-endpoint")

    blows = signals(steps, SIGNALS[2])
    # The one that everything goes through, the lock too, is cut off.
    blows[steps.index("remove-etcd-members")] = Blow("remove-etcd-members", "cable", "cp1")

    struck_in_turn(rig, blows, "node", "remove", "cp3")

    is_whole(rig, nodes=3, members=("cp1", "cp2"))
    assert rig.on("cp3", "ls -d /etc/kubernetes /var/lib/etcd 2>/dev/null || true") == ""


def is_whole(rig: Rig, nodes: int, members: tuple[str, ...]) -> None:
    wait_for("nothing is left to do", lambda: rig.provision("plan").returncode == 0, SEEN_LIMIT)
    assert rig.etcd() == dict.fromkeys(members, True)
    assert rig.kubectl("get", "nodes", "--no-headers").count(" Ready ") == nodes
    addresses = {host["name"]: host["address"] for host in yaml.safe_load(rig.file.read_text())["hosts"]}
    is_named_everywhere(rig, LOCAL, members, outside=[f"https://{addresses[name]}:6443" for name in members])
    are_alike(rig, {name: addresses[name] for name in members})
    no_credentials_of_joins_are_left(rig)
    leases = rig.on("cp1", f"{KUBECTL} -n kube-system get leases -o name")
    assert "provision" not in leases
