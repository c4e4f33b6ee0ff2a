"""Interruptions: a command with a fault at each of its steps, repeated each time, ends like one without faults.

A cluster of cp1 and w1 runs on a lab with a third machine, w2, which is added, replaced and removed. Compared
afterwards: nodes, ConfigMaps, Secrets, Leases, the cluster file, and on each host its files, packages, units and kernel
settings. The expected state comes from an uninterrupted add and removal. The tests run in order and build on each
other; the last ones reset the cluster, after which the hosts are in their original state.

The marker `life` (in CI) covers one signal at each step of `node add` and `node remove`; the marker `night` covers each
signal at each step of each verb, and machines that lose their power or network.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pytest
import yaml

from .fault_injection import SIGNALS, Fault, run_with_faults, signal_faults
from .host_state import after_reset, assert_no_cluster_files, state
from .lab_cluster import COMMAND_TIMEOUT, KUBECTL, LabCluster, reinstall, running_lab, wait_for, without_hosts

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
# Verb and signal for its first step; each further step gets the next signal.
IN_CI = {("add", SIGNALS[0]), ("remove", SIGNALS[0])}
SIGNAL_ROUNDS = [
    pytest.param(verb, first, marks=[pytest.mark.life] if (verb, first) in IN_CI else [])
    for first in SIGNALS
    for verb in STEPS
]
# w2 is the machine that is added and removed, cp1 the only control plane.
LOSSES = {
    "add": (
        Fault("install-kubernetes", "power", "w2"),
        Fault("pull-images", "power", "w2"),
        Fault("join-workers", "power", "cp1"),
        Fault("join-workers", "network", "w2"),
        Fault("wait-ready", "network", "cp1"),
    ),
    "replace": (
        Fault("delete-nodes", "network", "cp1"),
        Fault("prepare-hosts", "power", "w2"),
        Fault("install-containerd", "network", "w2"),
        Fault("join-workers", "network", "cp1"),
        Fault("join-workers", "power", "w2"),
    ),
    "remove": (
        Fault("drain-nodes", "power", "cp1"),
        Fault("drain-nodes", "network", "cp1"),
        Fault("reset-hosts", "network", "w2"),
        Fault("reset-hosts", "power", "w2"),
    ),
}
RESET = ("reset-workers", "reset-last-control-plane")
RESETS = {
    **{first: signal_faults(RESET, first) for first in SIGNALS},
    "losses": (
        Fault("reset-workers", "power", "w1"),
        Fault("reset-workers", "network", "w1"),
        Fault("reset-last-control-plane", "power", "cp1"),
    ),
}

# In the cluster: names of objects, and the content of provision's ConfigMap and kubeadm's.
CLUSTER_STATE = f"""
{KUBECTL} get nodes --no-headers -o custom-columns=N:.metadata.name,T:.spec.taints,U:.spec.unschedulable
{KUBECTL} get configmaps,secrets -A -o name | sort
{KUBECTL} -n kube-system get leases -o name | grep -v apiserver- | sort
{KUBECTL} -n kube-system get configmap provision kubeadm-config -o jsonpath='{{.items[*].data}}'
{KUBECTL} get namespaces --field-selector status.phase=Active -o name
"""


@dataclass
class InterruptedCluster(LabCluster):
    """`w2`: its name, login and host key. `before`: state of the hosts before the cluster was created.

    `expected`: state after each verb without faults.
    """

    w2: tuple[str, ...] = ()
    before: dict[str, list[str]] = field(default_factory=dict)
    expected: dict[str, dict[str, list[str]]] = field(default_factory=dict)

    def arguments(self, verb: str) -> tuple[str, ...]:
        if verb == "remove":
            return "node", "remove", "w2"
        name, login, key = self.w2
        return "node", verb, name, login, "--host-key", f"{name}={key}" if verb == "add" else key

    def state(self) -> dict[str, list[str]]:
        """State of the cluster, the file and the hosts once the plan is empty."""
        wait_for("the plan is empty", lambda: self.provision("plan").returncode == 0, COMMAND_TIMEOUT)
        found = self.host_states()
        found["cluster"] = self.on("cp1", CLUSTER_STATE).splitlines()
        found["file"] = self.file.read_text().splitlines()
        return found

    def host_states(self) -> dict[str, list[str]]:
        return {host: state(self, host) for host in HOSTS}

    def assert_unaffected_by(self, verb: str, faults: Sequence[Fault]) -> None:
        """Run a verb with faults; before a replacement, reinstall the machine."""
        if verb == "replace":
            reinstall(LAB, "w2")
        run_with_faults(self, faults, *self.arguments(verb))
        self.assert_same_as_uninterrupted(verb)

    def assert_same_as_uninterrupted(self, verb: str) -> None:
        assert difference(self.state(), self.expected["add" if verb == "replace" else verb]) == {}


def difference(now: Mapping[str, list[str]], expected: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Lines that are only in one of the two states, by part of the state."""
    found = {
        part: [f"- {line}" for line in expected[part] if line not in lines]
        + [f"+ {line}" for line in lines if line not in expected[part]]
        for part, lines in now.items()
    }
    return {part: lines for part, lines in found.items() if lines}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InterruptedCluster]:
    cluster = InterruptedCluster(LAB, tmp_path_factory.mktemp("stops"))
    with running_lab(cluster, "--workers", "2", "--memory", "2048"):
        text = cluster.file.read_text()
        w2 = next(host for host in yaml.safe_load(text)["hosts"] if host["name"] == "w2")
        cluster.w2 = "w2", f"lab@{w2['address']}", w2["host_key"]
        cluster.file.write_text(without_hosts(text, "w2"))
        cluster.before = cluster.host_states()
        assert cluster.provision("apply", "--yes").returncode == 0
        # One add and removal first: changes that never come back, as in module dependencies, are done then.
        for verb in ("add", "remove"):
            assert cluster.provision(*cluster.arguments(verb), "--yes").returncode == 0
            cluster.expected[verb] = cluster.state()
        yield cluster


@pytest.mark.parametrize(("verb", "first"), SIGNAL_ROUNDS)
def test_a_command_with_a_signal_at_each_step_ends_like_an_uninterrupted_one(
    cluster: InterruptedCluster, verb: str, first: str
) -> None:
    cluster.assert_unaffected_by(verb, signal_faults(STEPS[verb], first))


@pytest.mark.parametrize("verb", LOSSES)
def test_a_command_that_loses_machines_ends_like_an_uninterrupted_one(
    cluster: InterruptedCluster, verb: str
) -> None:
    cluster.assert_unaffected_by(verb, LOSSES[verb])


@pytest.mark.parametrize("faults", RESETS.values(), ids=RESETS)
def test_a_reset_with_a_fault_at_each_step_restores_the_original_state(
    cluster: InterruptedCluster, faults: Sequence[Fault]
) -> None:
    assert cluster.provision("apply", "--yes", "--no-smoke").returncode == 0

    run_with_faults(cluster, faults, "reset")

    assert_no_cluster_files(cluster, HOSTS)
    now = {host: after_reset(lines) for host, lines in cluster.host_states().items()}
    assert difference(now, cluster.before) == {}
    assert not cluster.kubeconfig.exists()
