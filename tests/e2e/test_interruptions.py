"""The interruption table: a verb is struck at each of its steps, typed again each time, and ends as if nobody had.

A cluster of cp1 and w1 is made on a lab with one more machine, w2, which is added, replaced and removed. What is
compared afterwards: nodes, ConfigMaps, Secrets, leases, the cluster file, and on each host its files, packages,
units and kernel settings. The state to compare with comes from an add and a removal that nobody disturbed. The tests
build on each other in the order they stand in; the last ones reset the cluster, after which the hosts are what they
were before there was one.

CI sends one signal at each step of `node add` and `node remove` (marker `life`). Each signal at each step of each verb,
and machines that lose their power or their network, are for the night (marker `night`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pytest
import yaml

from .host_state import are_nodes_no_more, state
from .rig import KUBECTL, LIMIT, Rig, lab, reinstall, wait_for, without
from .striking import SIGNALS, Blow, signals, struck_in_turn

pytestmark = [pytest.mark.lab, pytest.mark.night]

LAB = "test-stops"
HOSTS = ("cp1", "w1", "w2")
JOIN = (
    "prepare-hosts",
    "install-containerd",
    "install-kubernetes",
    "pull-images",
    "join-workers",
    "wait-ready",
    "smoke-test",
)
STEPS = {
    "add": JOIN,
    "replace": ("delete-nodes", *JOIN),
    "remove": ("drain-nodes", "delete-nodes", "reset-hosts"),
}
# Each verb, and the signal that its first step gets; the next step gets the next signal.
IN_CI = {("add", SIGNALS[0]), ("remove", SIGNALS[0])}
LIVES = [
    pytest.param(verb, first, marks=[pytest.mark.life] if (verb, first) in IN_CI else [])
    for first in SIGNALS
    for verb in STEPS
]
# w2 is the machine that comes and goes, cp1 the only control plane.
LOSSES = {
    "add": (
        Blow("install-kubernetes", "plug", "w2"),
        Blow("pull-images", "plug", "w2"),
        Blow("join-workers", "plug", "cp1"),
        Blow("join-workers", "cable", "w2"),
        Blow("wait-ready", "cable", "cp1"),
    ),
    "replace": (
        Blow("delete-nodes", "cable", "cp1"),
        Blow("prepare-hosts", "plug", "w2"),
        Blow("install-containerd", "cable", "w2"),
        Blow("join-workers", "cable", "cp1"),
        Blow("join-workers", "plug", "w2"),
    ),
    "remove": (
        Blow("drain-nodes", "plug", "cp1"),
        Blow("drain-nodes", "cable", "cp1"),
        Blow("reset-hosts", "cable", "w2"),
        Blow("reset-hosts", "plug", "w2"),
    ),
}
RESET = ("reset-workers", "reset-last-control-plane")
RESETS = {
    **{first: signals(RESET, first) for first in SIGNALS},
    "losses": (
        Blow("reset-workers", "plug", "w1"),
        Blow("reset-workers", "cable", "w1"),
        Blow("reset-last-control-plane", "plug", "cp1"),
    ),
}

# In the cluster: what exists, and what our own ConfigMap says.
CLUSTER_STATE = f"""
{KUBECTL} get nodes --no-headers -o custom-columns=N:.metadata.name,T:.spec.taints,U:.spec.unschedulable
{KUBECTL} get configmaps,secrets -A -o name | sort
{KUBECTL} -n kube-system get leases -o name | grep -v apiserver- | sort
{KUBECTL} -n kube-system get configmap provision kubeadm-config -o jsonpath='{{.items[*].data}}'
{KUBECTL} get namespaces --field-selector status.phase=Active -o name
"""


@dataclass
class StopRig(Rig):
    """`w2`: its name, address and host key. `before`: the hosts before there was a cluster.

    `expected`: all that is compared, after each verb.
    """

    w2: tuple[str, ...] = ()
    before: dict[str, list[str]] = field(default_factory=dict)
    expected: dict[str, dict[str, list[str]]] = field(default_factory=dict)

    def words(self, verb: str) -> tuple[str, ...]:
        if verb == "remove":
            return "node", "remove", "w2"
        name, place, key = self.w2
        return "node", verb, name, place, "--host-key", f"{name}={key}" if verb == "add" else key

    def state(self) -> dict[str, list[str]]:
        """Once nothing is left to do."""
        wait_for("nothing is left to do", lambda: self.provision("plan").returncode == 0, LIMIT)
        found = self.host_states()
        found["cluster"] = self.on("cp1", CLUSTER_STATE).splitlines()
        found["file"] = self.file.read_text().splitlines()
        return found

    def host_states(self) -> dict[str, list[str]]:
        return {host: state(self, host) for host in HOSTS}

    def is_struck(self, verb: str, blows: Sequence[Blow]) -> None:
        """A replacement is that of a reinstalled machine."""
        if verb == "replace":
            reinstall(LAB, "w2")
        struck_in_turn(self, blows, *self.words(verb))
        self.is_as_undisturbed(verb)

    def is_as_undisturbed(self, verb: str) -> None:
        assert differing(self.state(), self.expected["add" if verb == "replace" else verb]) == {}


def differing(now: Mapping[str, list[str]], expected: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Lines that only one of both has, of each place where there are some."""
    found = {
        place: [f"- {line}" for line in expected[place] if line not in lines]
        + [f"+ {line}" for line in lines if line not in expected[place]]
        for place, lines in now.items()
    }
    return {place: lines for place, lines in found.items() if lines}


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StopRig]:
    rig = StopRig(LAB, tmp_path_factory.mktemp("stops"))
    with lab(rig, "--workers", "2", "--memory", "2048"):
        text = rig.file.read_text()
        w2 = next(host for host in yaml.safe_load(text)["hosts"] if host["name"] == "w2")
        rig.w2 = "w2", f"lab@{w2['address']}", w2["host_key"]
        rig.file.write_text(without(text, "w2"))
        rig.before = rig.host_states()
        assert rig.provision("apply", "--yes").returncode == 0
        # Once there and back: what leaves for good, as module dependencies, has left then.
        for verb in ("add", "remove"):
            assert rig.provision(*rig.words(verb), "--yes").returncode == 0
            rig.expected[verb] = rig.state()
        yield rig


@pytest.mark.parametrize(("verb", "first"), LIVES)
def test_a_verb_that_gets_a_signal_at_each_step_ends_as_undisturbed(
    rig: StopRig, verb: str, first: str
) -> None:
    rig.is_struck(verb, signals(STEPS[verb], first))


@pytest.mark.parametrize("verb", LOSSES)
def test_a_verb_that_loses_machines_on_its_way_ends_as_undisturbed(rig: StopRig, verb: str) -> None:
    rig.is_struck(verb, LOSSES[verb])


@pytest.mark.parametrize("blows", RESETS.values(), ids=RESETS)
def test_a_reset_that_is_struck_at_each_step_leaves_what_was_there_before(
    rig: StopRig, blows: Sequence[Blow]
) -> None:
    assert rig.provision("apply", "--yes", "--no-smoke").returncode == 0

    struck_in_turn(rig, blows, "reset")

    are_nodes_no_more(rig, HOSTS)
    now = {  # as docs/reset.md says: sysctls that only our kernel modules have stay until the next boot
        host: [line for line in lines if not line.startswith("net.bridge.")]
        for host, lines in rig.host_states().items()
    }
    assert differing(now, rig.before) == {}
    assert not rig.kubeconfig.exists()
