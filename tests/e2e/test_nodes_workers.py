"""Workers leave, come back and are replaced on real machines, whatever holds them up or becomes of their machine.

One lab of a control plane and three workers serves the module, and all are in the cluster at first; the tests build
on each other in the order they stand in.
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

from .rig import KUBECTL, LIMIT, SEEN_LIMIT, Rig, lab, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.night]

LAB = "test-nodes"
IMAGE = "registry.k8s.io/pause:3.10.2"  # every node has it
# A pod on w3, made by a ReplicaSet, that its budget does not let go.
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
class WorkersRig(Rig):
    """`hosts`: all machines as the lab's file has them."""

    hosts: dict[str, dict[str, str]] = field(default_factory=dict)

    def pair(self, name: str) -> tuple[str, str]:
        return name, f"lab@{self.hosts[name]['address']}"

    def names(self) -> list[str]:
        return [host["name"] for host in yaml.safe_load(self.file.read_text())["hosts"]]


def on(host: str, script: str, *, stdin: str = "", succeed: bool = True) -> str:
    return Rig(LAB, Path()).on(host, script, stdin=stdin, succeed=succeed)


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkersRig]:
    rig = WorkersRig(LAB, tmp_path_factory.mktemp("nodes"))
    with lab(rig, "--workers", "3", "--memory", "2048"):
        text = rig.file.read_text()
        rig.hosts = {host["name"]: host for host in yaml.safe_load(text)["hosts"]}
        rig.file.write_text(re.sub(r"  - name: w[23]\n", r"\g<0>    labels: {disk: ssd}\n", text))
        assert rig.provision("apply", "--yes", "--no-smoke").returncode == 0
        yield rig


def test_a_second_add_and_a_plan_of_the_whole_file_have_nothing_to_do(rig: WorkersRig) -> None:
    again = rig.provision("node", "add", *rig.pair("w2"), *rig.pair("w3"), "--yes")

    assert (again.returncode, "nothing to do" in again.stdout) == (0, True)
    wait_for("nothing is left to do", lambda: rig.provision("plan").returncode == 0, SEEN_LIMIT)


def test_the_list_knows_states_versions_and_ages(rig: WorkersRig) -> None:
    done = rig.provision("node", "list", "-o", "json")

    listed = {node["name"]: node for node in json.loads(done.stdout)}
    assert {name: node["state"] for name, node in listed.items()} == dict.fromkeys(rig.hosts, "ready")
    assert listed["w2"]["labels"]["disk"] == "ssd"
    assert all(0 < node["age"] < LIMIT for node in listed.values())


def test_a_drain_that_a_budget_holds_up_names_it_and_leaves_the_node_as_it_was(rig: WorkersRig) -> None:
    on("cp1", f"{KUBECTL} apply -f -", stdin=HELD)
    where = f"{KUBECTL} get pods -l app=held -o jsonpath='{{.items[0].spec.nodeName}}'"
    wait_for(
        "the pod runs", lambda: "1/1" in on("cp1", f"{KUBECTL} get deploy held --no-headers"), SEEN_LIMIT
    )
    node = on("cp1", where).strip()

    done = rig.provision("node", "remove", node, "--drain-timeout", "20", "--yes")

    assert done.returncode == 1
    assert "is held by its PodDisruptionBudget" in done.stderr
    assert "default/held-" in done.stderr
    assert rig.nodes()[node] == "Ready"
    assert node in rig.names()
    on("cp1", f"{KUBECTL} delete pdb held")


def test_a_worker_leaves_with_its_pods_moved_and_its_machine_reset(rig: WorkersRig) -> None:
    done = rig.provision("node", "remove", "w3", "--yes")

    assert done.returncode == 0
    assert set(rig.nodes()) == {"cp1", "w1", "w2"}
    assert rig.names() == ["cp1", "w1", "w2"]
    assert on("w3", "ls /etc/kubernetes/kubelet.conf", succeed=False) == ""
    wait_for("nothing is left to do", lambda: rig.provision("plan").returncode == 0, SEEN_LIMIT)


def test_an_unknown_host_key_is_refused_with_the_command_to_type(rig: WorkersRig) -> None:
    text = rig.file.read_text()

    done = rig.provision("node", "add", "w4", rig.pair("w3")[1], "--yes")

    assert done.returncode == 5
    assert f"--host-key '{rig.hosts['w3']['host_key']}'" in done.stderr
    assert rig.file.read_text() == text


def test_labels_follow_the_file_including_their_removal(rig: WorkersRig) -> None:
    text = rig.file.read_text()
    rig.file.write_text(text.replace("labels: {disk: ssd}", "labels: {rack: r7}"))

    done = rig.provision("apply", "--yes", "--no-smoke")

    labels = json.loads(on("cp1", f"{KUBECTL} get node w2 -o json"))["metadata"]["labels"]
    assert done.returncode == 0
    assert (labels.get("disk"), labels.get("rack")) == (None, "r7")


def test_a_dead_machine_is_replaced_by_a_new_one_under_its_name(rig: WorkersRig) -> None:
    machines.power_off(LAB, "w2")
    wait_for("the cluster sees that w2 is gone", lambda: rig.nodes().get("w2") == "NotReady", SEEN_LIMIT)
    listed = rig.provision("node", "list")
    assert listed.returncode == 0
    assert "not ready" in listed.stdout

    place = rig.pair("w3")[1]
    done = rig.provision(
        "node", "replace", "w2", place, "--host-key", rig.hosts["w3"]["host_key"], "--no-smoke", "--yes"
    )

    assert done.returncode == 0
    assert rig.nodes()["w2"] == "Ready"
    node = json.loads(on("cp1", f"{KUBECTL} get node w2 -o json"))
    assert node["metadata"]["labels"]["rack"] == "r7"
    assert {"type": "InternalIP", "address": rig.hosts["w3"]["address"]} in node["status"]["addresses"]
    assert rig.hosts["w3"]["address"] in rig.file.read_text()


def test_a_machine_that_is_gone_leaves_by_force_alone(rig: WorkersRig) -> None:
    machines.power_off(LAB, "w3")  # where the node w2 runs now
    refused = rig.provision("node", "remove", "w2", "--yes")
    done = rig.provision("node", "remove", "w2", "--force", "--yes")

    assert (refused.returncode, "add --force" in refused.stderr) == (5, True)
    assert done.returncode == 0
    assert "was not reset" in done.stdout or "were not reset" in done.stdout
    assert set(rig.nodes()) == {"cp1", "w1"}
    assert rig.names() == ["cp1", "w1"]
    wait_for("nothing is left to do", lambda: rig.provision("plan").returncode == 0, SEEN_LIMIT)
