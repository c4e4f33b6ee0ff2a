"""Workers are removed, added and replaced on lab machines, with blocked drains and lost machines.

All tests use one lab of a control plane and three workers, all of which are in the cluster at first; the tests run in
order and build on each other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from provision.lab import machines

from .lab_cluster import COMMAND_TIMEOUT, CONDITION_TIMEOUT, KUBECTL, LabCluster, running_lab, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.night]

LAB = "test-nodes"
IMAGE = "registry.k8s.io/pause:3.10.2"  # present on every node
# A pod of a ReplicaSet on w3 whose PodDisruptionBudget blocks its eviction.
HELD = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: held, namespace: default}}
spec:
  selector: {{matchLabels: {{app: held}}}}
  template:
    metadata: {{labels: {{app: held}}}}
    spec:
      terminationGracePeriodSeconds: 1
      affinity:
        nodeAffinity:
          preferredDuringSchedulingIgnoredDuringExecution:
            - weight: 100
              preference: {{matchExpressions: [{{key: disk, operator: In, values: [ssd]}}]}}
      containers: [{{name: held, image: {IMAGE}}}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{name: held, namespace: default}}
spec: {{minAvailable: 1, selector: {{matchLabels: {{app: held}}}}}}
"""


@dataclass
class WorkersCluster(LabCluster):
    """`hosts`: machines of the lab by name."""

    hosts: dict[str, dict[str, str]] = field(default_factory=dict)

    def pair(self, name: str) -> tuple[str, str]:
        return name, f"lab@{self.hosts[name]['address']}"

    def names(self) -> list[str]:
        return [host["name"] for host in yaml.safe_load(self.file.read_text())["hosts"]]


def on(host: str, script: str, *, stdin: str = "", succeed: bool = True) -> str:
    return LabCluster(LAB, Path()).on(host, script, stdin=stdin, succeed=succeed)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkersCluster]:
    cluster = WorkersCluster(LAB, tmp_path_factory.mktemp("nodes"))
    with running_lab(cluster, "--workers", "3", "--memory", "2048"):
        text = cluster.file.read_text()
        cluster.hosts = {host["name"]: host for host in yaml.safe_load(text)["hosts"]}
        cluster.file.write_text(re.sub(r"  - name: w[23]\n", r"\g<0>    labels: {disk: ssd}\n", text))
        assert cluster.provision("apply", "--yes", "--no-smoke").returncode == 0
        yield cluster


def test_a_second_node_add_and_a_plan_have_nothing_to_do(cluster: WorkersCluster) -> None:
    done = cluster.provision("node", "add", *cluster.pair("w2"), *cluster.pair("w3"), "--yes")

    assert (done.returncode, "nothing to do" in done.stdout) == (0, True)
    wait_for("the plan is empty", lambda: cluster.provision("plan").returncode == 0, CONDITION_TIMEOUT)


def test_node_list_shows_states_labels_and_ages(cluster: WorkersCluster) -> None:
    done = cluster.provision("node", "list", "-o", "json")

    listed = {node["name"]: node for node in json.loads(done.stdout)}
    assert {name: node["state"] for name, node in listed.items()} == dict.fromkeys(cluster.hosts, "ready")
    assert listed["w2"]["labels"]["disk"] == "ssd"
    assert all(0 < node["age"] < COMMAND_TIMEOUT for node in listed.values())


def test_a_drain_blocked_by_a_budget_names_it_and_uncordons_the_node(
    cluster: WorkersCluster,
) -> None:
    on("cp1", f"{KUBECTL} apply -f -", stdin=HELD)
    node_of_pod = f"{KUBECTL} get pods -l app=held -o jsonpath='{{.items[0].spec.nodeName}}'"
    wait_for(
        "the pod runs",
        lambda: "1/1" in on("cp1", f"{KUBECTL} get deploy held --no-headers"),
        CONDITION_TIMEOUT,
    )
    node = on("cp1", node_of_pod).strip()

    done = cluster.provision("node", "remove", node, "--drain-timeout", "20", "--yes")

    assert done.returncode == 1
    assert "is held by its PodDisruptionBudget" in done.stderr
    assert "default/held-" in done.stderr
    assert cluster.nodes()[node] == "Ready"
    assert node in cluster.names()
    on("cp1", f"{KUBECTL} delete pdb held")


def test_a_removed_worker_is_drained_and_its_machine_reset(cluster: WorkersCluster) -> None:
    done = cluster.provision("node", "remove", "w3", "--yes")

    assert done.returncode == 0
    assert set(cluster.nodes()) == {"cp1", "w1", "w2"}
    assert cluster.names() == ["cp1", "w1", "w2"]
    assert on("w3", "ls /etc/kubernetes/kubelet.conf", succeed=False) == ""
    wait_for("the plan is empty", lambda: cluster.provision("plan").returncode == 0, CONDITION_TIMEOUT)


def test_an_unknown_host_key_is_refused_with_the_command_that_accepts_it(cluster: WorkersCluster) -> None:
    text = cluster.file.read_text()

    done = cluster.provision("node", "add", "w4", cluster.pair("w3")[1], "--yes")

    assert done.returncode == 5
    assert f"--host-key '{cluster.hosts['w3']['host_key']}'" in done.stderr
    assert cluster.file.read_text() == text


def test_labels_are_added_and_removed_as_in_the_file(cluster: WorkersCluster) -> None:
    text = cluster.file.read_text()
    cluster.file.write_text(text.replace("labels: {disk: ssd}", "labels: {rack: r7}"))

    done = cluster.provision("apply", "--yes", "--no-smoke")

    labels = json.loads(on("cp1", f"{KUBECTL} get node w2 -o json"))["metadata"]["labels"]
    assert done.returncode == 0
    assert (labels.get("disk"), labels.get("rack")) == (None, "r7")


def test_a_lost_machine_is_replaced_by_another_under_its_name(cluster: WorkersCluster) -> None:
    machines.power_off(LAB, "w2")
    wait_for("w2 is NotReady", lambda: cluster.nodes().get("w2") == "NotReady", CONDITION_TIMEOUT)
    listed = cluster.provision("node", "list")
    assert listed.returncode == 0
    assert "not ready" in listed.stdout

    login = cluster.pair("w3")[1]
    done = cluster.provision(
        "node", "replace", "w2", login, "--host-key", cluster.hosts["w3"]["host_key"], "--no-smoke", "--yes"
    )

    assert done.returncode == 0
    assert cluster.nodes()["w2"] == "Ready"
    node = json.loads(on("cp1", f"{KUBECTL} get node w2 -o json"))
    assert node["metadata"]["labels"]["rack"] == "r7"
    assert {"type": "InternalIP", "address": cluster.hosts["w3"]["address"]} in node["status"]["addresses"]
    assert cluster.hosts["w3"]["address"] in cluster.file.read_text()


def test_a_node_with_a_lost_machine_is_removed_only_by_force(cluster: WorkersCluster) -> None:
    machines.power_off(LAB, "w3")  # the machine of the node w2 now
    refused = cluster.provision("node", "remove", "w2", "--yes")
    done = cluster.provision("node", "remove", "w2", "--force", "--yes")

    assert (refused.returncode, "add --force" in refused.stderr) == (5, True)
    assert done.returncode == 0
    assert "was not reset" in done.stdout or "were not reset" in done.stdout
    assert set(cluster.nodes()) == {"cp1", "w1"}
    assert cluster.names() == ["cp1", "w1"]
    wait_for("the plan is empty", lambda: cluster.provision("plan").returncode == 0, CONDITION_TIMEOUT)
