"""State of the cluster and its hosts after a worker was added, read over plain ssh."""

from __future__ import annotations

import json
import os
from pathlib import Path

from host_state import ask, states

KUBECTL = "kubectl --kubeconfig /etc/kubernetes/admin.conf"
KEPT = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])


def test_the_second_converge_changes_nothing() -> None:
    # First, because later tests may change the hosts.
    kept = json.loads((KEPT / "host-state.json").read_text(encoding="utf-8"))

    assert states(("cp1", "w1", "w2")) == kept


def test_the_existing_worker_is_unchanged_after_another_one_joined() -> None:
    assert states(("w1",)) == json.loads((KEPT / "worker-state.json").read_text(encoding="utf-8"))


def test_all_nodes_are_ready_and_have_the_same_version() -> None:
    listed = ask("cp1", f"{KUBECTL} get nodes --no-headers").splitlines()

    assert [(line.split()[0], line.split()[1]) for line in listed] == [
        ("cp1", "Ready"),
        ("w1", "Ready"),
        ("w2", "Ready"),
    ]
    assert len({line.split()[4] for line in listed}) == 1


def test_no_join_credentials_are_left() -> None:
    secrets = ask("cp1", f"{KUBECTL} -n kube-system get secrets")

    assert "bootstrap.kubernetes.io/token" not in secrets
    assert "kubeadm-certs" not in secrets
    for host in ("cp1", "w1", "w2"):
        assert ask(host, "ls /etc/kubernetes").split().count("bootstrap-kubelet.conf") == 0


def test_a_pod_runs_on_the_new_node_and_has_an_address_of_the_pod_range() -> None:
    image = "registry.k8s.io/pause:3.10.2"
    spec = json.dumps({"spec": {"nodeName": "w2", "terminationGracePeriodSeconds": 0}})
    ask("cp1", f"{KUBECTL} run verify --image={image} --overrides='{spec}'")

    ask("cp1", f"{KUBECTL} wait --for=condition=Ready pod/verify --timeout=120s")

    assert ask("cp1", f"{KUBECTL} get pod verify -o jsonpath={{.status.podIP}}").startswith("10.244.")
    ask("cp1", f"{KUBECTL} delete pod verify --wait=false")
