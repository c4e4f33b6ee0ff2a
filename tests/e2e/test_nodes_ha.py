"""Changes of control planes behind `endpoint: local` with a fault at each step: one becomes three, the first is
replaced by a reinstalled machine, another is removed and added again, and finally all are reset.

All tests use one lab of three control planes and a worker (a control plane with one CPU has no capacity for CoreDNS);
the tests run in order and build on each other. The cluster starts with control plane cp1 and without an endpoint.
tests/e2e/test_life_cycle.py covers the same without faults and behind a load balancer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
import yaml

from .control_planes import LOCAL, assert_endpoint_everywhere, assert_no_join_credentials
from .fault_injection import SIGNALS, Fault, run_with_faults, signal_faults
from .host_state import assert_no_cluster_files, assert_same_configuration
from .lab_cluster import (
    CONDITION_TIMEOUT,
    KUBECTL,
    LabCluster,
    reinstall,
    running_lab,
    wait_for,
    without_endpoint,
    without_hosts,
)

pytestmark = [pytest.mark.lab, pytest.mark.night]

LAB = "test-ha"
PREPARE = ("prepare-hosts", "install-containerd", "install-kubernetes", "pull-images")
GROW = ("install-endpoint", "update-endpoint", *PREPARE, "join-control-planes", "wait-ready")
# cp1 is replaced by a reinstalled machine; cp3 is removed and added again.
STEPS = {
    "replace": ("remove-etcd-members", "delete-nodes", *PREPARE, "join-control-planes", "wait-ready"),
    "remove": ("drain-nodes", "remove-etcd-members", "delete-nodes", "reset-hosts", "install-endpoint"),
    "add": ("install-endpoint", *PREPARE, "join-control-planes", "label-nodes", "wait-ready"),
}
# The run and its lock work through cp2 while cp1 is replaced, otherwise through cp1.
LOSSES = {
    "replace": (
        Fault("remove-etcd-members", "power", "cp2"),
        Fault("join-control-planes", "network", "cp2"),
        Fault("join-control-planes", "power", "cp1"),
    ),
    "remove": (
        Fault("drain-nodes", "power", "cp1"),
        Fault("remove-etcd-members", "network", "cp1"),
        Fault("reset-hosts", "power", "cp3"),
    ),
    "add": (
        Fault("install-kubernetes", "network", "cp3"),
        Fault("join-control-planes", "power", "cp1"),
        Fault("join-control-planes", "network", "cp3"),
    ),
}
ROUNDS = {
    **{f"{verb}-losses": (verb, faults) for verb, faults in LOSSES.items()},
    **{f"{verb}-{first}": (verb, signal_faults(STEPS[verb], first)) for first in SIGNALS for verb in STEPS},
}


@dataclass
class HaCluster(LabCluster):
    """`cp3`: its address and its host key."""

    cp3: tuple[str, str] = ("", "")

    def arguments(self, verb: str) -> tuple[str, ...]:
        if verb == "remove":
            return "node", "remove", "cp3"
        if verb == "replace":
            return "node", "replace", "cp1", "--no-smoke"
        address, key = self.cp3
        options = "--role", "control-plane", "--label", "disk=ssd"
        return "node", "add", "cp3", f"lab@{address}", "--host-key", f"cp3={key}", *options, "--no-smoke"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HaCluster]:
    cluster = HaCluster(LAB, tmp_path_factory.mktemp("ha"))
    with running_lab(cluster, "--control-planes", "3", "--workers", "1", "--memory", "2048"):
        text = without_endpoint(cluster.file.read_text())
        hosts = {host["name"]: host for host in yaml.safe_load(text)["hosts"]}
        cluster.cp3 = hosts["cp3"]["address"], hosts["cp3"]["host_key"]
        cluster.file.write_text(without_hosts(text, "cp2", "cp3"))
        done = cluster.provision("apply", "--yes", "--no-smoke")
        assert done.returncode == 0, done.stderr
        cluster.file.write_text(f"{text}endpoint: local\n")
        yield cluster


def test_one_control_plane_becomes_three_behind_local_load_balancers(cluster: HaCluster) -> None:
    before, after = signal_faults(GROW[:-1], SIGNALS[0]), signal_faults(GROW[-1:], SIGNALS[2])
    # The second of the two new control planes loses its machine.
    lost = Fault("join-control-planes", "power", "cp3")

    run_with_faults(cluster, [*before, lost, *after], "apply", "--no-smoke")

    assert_healthy(cluster, "cp1", "cp2", "cp3")


@pytest.mark.parametrize(("verb", "faults"), ROUNDS.values(), ids=ROUNDS)
def test_one_of_three_control_planes_is_replaced_removed_and_added(
    cluster: HaCluster, verb: str, faults: Sequence[Fault]
) -> None:
    if verb == "replace":
        reinstall(LAB, "cp1")

    run_with_faults(cluster, faults, *cluster.arguments(verb))

    if verb == "remove":
        assert_healthy(cluster, "cp1", "cp2")
        assert_no_cluster_files(cluster, ("cp3",))
    else:
        assert_healthy(cluster, "cp1", "cp2", "cp3")


def test_all_hosts_are_reset(cluster: HaCluster) -> None:
    steps = ("reset-workers", "reset-control-planes", "reset-last-control-plane")
    faults = signal_faults(steps, SIGNALS[0])
    # etcd then has no majority, and does not get one again.
    faults[1] = Fault("reset-control-planes", "network", "cp2")

    run_with_faults(cluster, faults, "reset")

    assert_no_cluster_files(cluster, ("cp1", "cp2", "cp3", "w1"))
    assert not cluster.kubeconfig.exists()


def assert_healthy(cluster: HaCluster, *members: str) -> None:
    """Assert that the control planes `members` and w1 are healthy, and equal in all but names and keys."""
    wait_for("the plan is empty", lambda: cluster.provision("plan").returncode == 0, CONDITION_TIMEOUT)
    assert cluster.etcd() == dict.fromkeys(members, True)
    assert cluster.nodes() == dict.fromkeys((*members, "w1"), "Ready")
    addresses = {host["name"]: host["address"] for host in yaml.safe_load(cluster.file.read_text())["hosts"]}
    assert_endpoint_everywhere(
        cluster, LOCAL, members, outside=[f"https://{addresses[name]}:6443" for name in members]
    )
    assert_same_configuration(cluster, members)
    assert_no_join_credentials(cluster)
    leases = cluster.on("cp1", f"{KUBECTL} -n kube-system get leases -o name")
    assert "provision" not in leases
