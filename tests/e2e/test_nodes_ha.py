"""Control planes come and go behind `endpoint: local`, and each step of it is struck: one becomes three, the first is
replaced by a machine that was installed anew, another leaves and comes back, and in the end all of it is reset.

One lab of three control planes and a worker serves the module (a control plane of one processor has no room for
CoreDNS); the tests build on each other in the order they stand in. The cluster begins with cp1 as its control plane
and without an endpoint. Undisturbed and behind a load balancer, tests/e2e/test_whole_life.py does the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
import yaml

from .control_planes import LOCAL, is_named_everywhere, no_credentials_of_joins_are_left
from .host_state import are_alike, are_nodes_no_more
from .rig import KUBECTL, SEEN_LIMIT, Rig, lab, reinstall, wait_for, without, without_endpoint
from .striking import SIGNALS, Blow, signals, struck_in_turn

pytestmark = [pytest.mark.lab, pytest.mark.night]

LAB = "test-ha"
PREPARE = ("prepare-hosts", "install-containerd", "install-kubernetes", "pull-images")
BECOME_THREE = ("install-endpoint", "update-endpoint", *PREPARE, "join-control-planes", "wait-ready")
# cp1 is replaced by a machine that was installed anew; cp3 leaves and comes back.
STEPS = {
    "replace": ("remove-etcd-members", "delete-nodes", *PREPARE, "join-control-planes", "wait-ready"),
    "remove": ("drain-nodes", "remove-etcd-members", "delete-nodes", "reset-hosts", "install-endpoint"),
    "add": ("install-endpoint", *PREPARE, "join-control-planes", "label-nodes", "wait-ready"),
}
# The control plane that everything goes through, the lock too, is cp2 while cp1 is replaced, else cp1.
LOSSES = {
    "replace": (
        Blow("remove-etcd-members", "plug", "cp2"),
        Blow("join-control-planes", "cable", "cp2"),
        Blow("join-control-planes", "plug", "cp1"),
    ),
    "remove": (
        Blow("drain-nodes", "plug", "cp1"),
        Blow("remove-etcd-members", "cable", "cp1"),
        Blow("reset-hosts", "plug", "cp3"),
    ),
    "add": (
        Blow("install-kubernetes", "cable", "cp3"),
        Blow("join-control-planes", "plug", "cp1"),
        Blow("join-control-planes", "cable", "cp3"),
    ),
}
ROUNDS = {
    **{f"{verb}-losses": (verb, blows) for verb, blows in LOSSES.items()},
    **{f"{verb}-{first}": (verb, signals(STEPS[verb], first)) for first in SIGNALS for verb in STEPS},
}


@dataclass
class HaRig(Rig):
    """`cp3`: its address and its host key."""

    cp3: tuple[str, str] = ("", "")

    def words(self, verb: str) -> tuple[str, ...]:
        if verb == "remove":
            return "node", "remove", "cp3"
        if verb == "replace":
            return "node", "replace", "cp1", "--no-smoke"
        address, key = self.cp3
        marks = "--role", "control-plane", "--label", "disk=ssd"
        return "node", "add", "cp3", f"lab@{address}", "--host-key", f"cp3={key}", *marks, "--no-smoke"


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HaRig]:
    rig = HaRig(LAB, tmp_path_factory.mktemp("ha"))
    with lab(rig, "--control-planes", "3", "--workers", "1", "--memory", "2048"):
        text = without_endpoint(rig.file.read_text())
        hosts = {host["name"]: host for host in yaml.safe_load(text)["hosts"]}
        rig.cp3 = hosts["cp3"]["address"], hosts["cp3"]["host_key"]
        rig.file.write_text(without(text, "cp2", "cp3"))
        done = rig.provision("apply", "--yes", "--no-smoke")
        assert done.returncode == 0, done.stderr
        rig.file.write_text(f"{text}endpoint: local\n")
        yield rig


def test_one_becomes_three_behind_balancers_of_their_own(rig: HaRig) -> None:
    before, after = signals(BECOME_THREE[:-1], SIGNALS[0]), signals(BECOME_THREE[-1:], SIGNALS[2])
    # The second of the two that join is struck by the loss of its machine.
    lost = Blow("join-control-planes", "plug", "cp3")

    struck_in_turn(rig, [*before, lost, *after], "apply", "--no-smoke")

    is_whole(rig, "cp1", "cp2", "cp3")


@pytest.mark.parametrize(("verb", "blows"), ROUNDS.values(), ids=ROUNDS)
def test_one_of_three_is_replaced_leaves_and_comes_back(rig: HaRig, verb: str, blows: Sequence[Blow]) -> None:
    if verb == "replace":
        reinstall(LAB, "cp1")

    struck_in_turn(rig, blows, *rig.words(verb))

    if verb == "remove":
        is_whole(rig, "cp1", "cp2")
        are_nodes_no_more(rig, ("cp3",))
    else:
        is_whole(rig, "cp1", "cp2", "cp3")


def test_all_of_them_are_reset(rig: HaRig) -> None:
    steps = ("reset-workers", "reset-control-planes", "reset-last-control-plane")
    blows = signals(steps, SIGNALS[0])
    # etcd has no majority then, and gets none any more.
    blows[1] = Blow("reset-control-planes", "cable", "cp2")

    struck_in_turn(rig, blows, "reset")

    are_nodes_no_more(rig, ("cp1", "cp2", "cp3", "w1"))
    assert not rig.kubeconfig.exists()


def is_whole(rig: HaRig, *members: str) -> None:
    """Three or two control planes, of which none is special, and w1."""
    wait_for("nothing is left to do", lambda: rig.provision("plan").returncode == 0, SEEN_LIMIT)
    assert rig.etcd() == dict.fromkeys(members, True)
    assert rig.nodes() == dict.fromkeys((*members, "w1"), "Ready")
    addresses = {host["name"]: host["address"] for host in yaml.safe_load(rig.file.read_text())["hosts"]}
    is_named_everywhere(rig, LOCAL, members, outside=[f"https://{addresses[name]}:6443" for name in members])
    are_alike(rig, members)
    no_credentials_of_joins_are_left(rig)
    leases = rig.on("cp1", f"{KUBECTL} -n kube-system get leases -o name")
    assert "provision" not in leases
