from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from provision.model.outcome import (
    ClusterDeleted,
    ClusterReady,
    HostsReset,
    KubeconfigOnly,
    KubeconfigRemoved,
    NodesJoined,
)
from provision.model.status import CertificateStatus, Drift, EtcdStatus, NodeStatus, Status, WorkloadStatus
from provision.report.tables import outcome_text, status_text

Golden = Callable[[str, str], None]

NODE = NodeStatus(
    name="cp1",
    role="control-plane",
    address="10.0.0.11",
    in_file=True,
    joined=True,
    ready=True,
    cordoned=False,
    version="1.36.3",
    runtime="containerd://2.2.3",
    message="",
)
HEALTHY = Status(
    cluster="demo",
    endpoint="10.0.0.11:6443",
    kubernetes="1.36.3",
    error="",
    healthy=True,
    nodes=(NODE, replace(NODE, name="w1", role="worker", address="10.0.0.21")),
    workloads=(
        WorkloadStatus(name="calico-node", version="v3.31.0", ready=2, wanted=2),
        WorkloadStatus(name="coredns", version="v1.14.2", ready=2, wanted=2),
    ),
    certificates=(CertificateStatus(host="cp1", name="apiserver", days=364),),
    bootstrap_tokens=0,
    drift=(),
    etcd=(EtcdStatus(name="cp1", leader=True, learner=False, healthy=True, problem=""),),
)
SICK = replace(
    HEALTHY,
    healthy=False,
    nodes=(
        replace(NODE, cordoned=True),
        replace(NODE, name="w1", role="worker", ready=False, message="kubelet stopped posting node status"),
        replace(NODE, name="w2", role="worker", joined=False, ready=False, version="", runtime=""),
        replace(NODE, name="old", role="worker", in_file=False),
    ),
    certificates=(CertificateStatus(host="cp1", name="apiserver", days=12), *HEALTHY.certificates),
    etcd=(
        *HEALTHY.etcd,
        EtcdStatus(name="cp2", leader=False, learner=True, healthy=False, problem="it is a learner still"),
        EtcdStatus(name="cp3", leader=False, learner=False, healthy=False, problem=""),
    ),
    drift=(
        Drift(
            step="prepare-hosts",
            summary="Prepare hosts",
            hosts=("w1", "w2"),
            reasons=("w1: swap is on (/swapfile)", "w2: swap is on (/swapfile)", "w2: overlay is not loaded"),
        ),
    ),
)


def test_a_healthy_cluster_has_a_short_status(golden: Golden) -> None:
    golden("console/status-healthy.txt", status_text(HEALTHY))


def test_problems_of_a_cluster_stand_in_the_row_they_concern(golden: Golden) -> None:
    golden("console/status-sick.txt", status_text(SICK))


def test_status_begins_with_the_error_of_the_api_server() -> None:
    text = status_text(replace(HEALTHY, kubernetes="", error="connection refused", healthy=False))

    assert text.startswith("cluster demo: not running (connection refused)\n")
    assert "matches its file" not in text


def test_an_apply_ends_with_the_nodes_the_proofs_and_what_to_do_next(golden: Golden) -> None:
    ready = ClusterReady(
        status=HEALTHY,
        seconds=284,
        proofs=(
            "Service 10.96.0.9, pod on cp1 → pod on w1",
            "cluster DNS web.test.svc, pod on cp1 → pod on w1",
        ),
        kubeconfig=Path("demo.kubeconfig"),
        file=Path("cluster.yaml"),
    )

    golden("console/ending.txt", outcome_text(ready))


def test_a_reset_says_how_many_hosts_are_ready_and_that_the_kubeconfig_is_gone() -> None:
    reset = HostsReset(
        cluster="demo", hosts=("cp1", "w1"), seconds=12, removed_kubeconfig=Path("demo.kubeconfig")
    )

    assert outcome_text(reset) == (
        "\ncluster demo: reset 2 hosts in 12 s; ready for a new cluster\nremoved demo.kubeconfig\n"
    )
    assert "removed" not in outcome_text(replace(reset, removed_kubeconfig=None))


def test_an_operation_without_steps_tells_only_of_the_kubeconfig() -> None:
    assert outcome_text(KubeconfigOnly(path=Path("k"))) == "kubeconfig: k\n"
    assert outcome_text(KubeconfigRemoved(path=Path("k"))) == "removed k\n"
    assert outcome_text(None) == ""


def test_a_deleted_cluster_is_one_line() -> None:
    assert outcome_text(ClusterDeleted(cluster="demo", seconds=185)) == (
        "\ncluster demo: deleted in 3 min 05 s\n"
    )


def test_nodes_that_joined_are_shown_without_the_others(golden: Golden) -> None:
    joined = NodesJoined(
        status=HEALTHY,
        names=("w1",),
        seconds=40,
        proofs=("Service 10.96.0.9, pod on cp1 → pod on w1",),
        file=Path("c.yaml"),
    )

    golden("console/joined.txt", outcome_text(joined))
