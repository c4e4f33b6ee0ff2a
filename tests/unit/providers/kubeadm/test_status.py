from __future__ import annotations

import json
from typing import TYPE_CHECKING

from provision.providers.kubeadm.operations import status as operation
from provision.providers.kubeadm.steps.planning import apply_plan
from provision.report.json_lines import document

from . import factories

if TYPE_CHECKING:
    from provision.model.cluster import Cluster
    from provision.model.status import Status
    from provision.providers.kubeadm.facts.host import Observation

CLUSTER = factories.cluster("cp", "w")


def status(cluster: Cluster, observation: Observation) -> Status:
    return operation.status(cluster, observation, apply_plan(cluster, observation, smoke=True))


def seen(documents: dict[str, factories.Document]) -> Status:
    return status(CLUSTER, factories.observation(documents))


def test_a_healthy_cluster_is_healthy_and_has_no_drift() -> None:
    found = seen(factories.running(CLUSTER))
    assert (found.healthy, found.kubernetes, found.drift) == (True, "1.36.3", ())
    assert [(node.name, node.role, node.ready) for node in found.nodes] == [
        ("cp1", "control-plane", True),
        ("w1", "worker", True),
    ]
    assert [workload.name for workload in found.workloads] == [
        "calico-node",
        "calico-kube-controllers",
        "kube-proxy",
        "coredns",
    ]


def test_members_of_etcd_are_told_and_an_ill_one_is_no_health() -> None:
    cluster = factories.cluster("cp", "cp", "cp", endpoint="10.0.0.10:6443")
    documents = factories.running(cluster)
    documents["cp3"]["etcd"] = {"error": "https://127.0.0.1:2379: refused"}

    found = status(cluster, factories.observation(documents))

    assert not found.healthy
    assert [(one.name, one.leader, one.healthy, one.problem) for one in found.etcd] == [
        ("cp1", True, True, ""),
        ("cp2", False, True, ""),
        ("cp3", False, False, "https://127.0.0.1:2379: refused"),
    ]


def test_days_of_certificates_are_counted_from_the_observation() -> None:
    ends = {(one.host, one.name): one.days for one in seen(factories.running(CLUSTER)).certificates}
    assert ends["w1", "kubelet"] == 371


def test_nodes_that_the_file_does_not_name_are_shown_as_such() -> None:
    documents = factories.running(CLUSTER)
    stranger = factories.cluster("w", "w").hosts[1]
    documents["cp1"]["api"]["nodes"].append(factories.node(stranger))
    found = seen(documents)
    assert [(node.name, node.in_file) for node in found.nodes] == [("cp1", True), ("w1", True), ("w2", False)]


def test_a_node_that_is_not_ready_makes_the_cluster_unhealthy_and_says_why() -> None:
    documents = factories.running(CLUSTER)
    documents["cp1"]["api"]["nodes"][1].update(ready=False, message="PLEG is not healthy")
    found = seen(documents)
    assert not found.healthy
    assert found.nodes[1].message == "PLEG is not healthy"
    assert found.drift[0].reasons == ("w1: is not ready (PLEG is not healthy)",)


def test_fresh_hosts_are_no_cluster_yet() -> None:
    found = seen({host.name: factories.fresh(host) for host in CLUSTER.hosts})
    assert (found.healthy, found.error) == (False, "there is no cluster yet")
    assert not any(node.joined for node in found.nodes)


def test_a_silent_api_server_is_the_error_and_nodes_are_unknown() -> None:
    documents = factories.running(CLUSTER)
    documents["cp1"]["api"] = {"error": "https://10.0.0.11:6443: refused"}
    found = seen(documents)
    assert (found.healthy, found.error) == (False, "https://10.0.0.11:6443: refused")
    assert [(node.joined, node.message) for node in found.nodes] == [(True, "unknown"), (True, "unknown")]


def test_status_is_plain_json() -> None:
    found = seen(factories.running(CLUSTER))
    assert json.loads(document(found))["nodes"][0]["runtime"] == "containerd://2.3.7"
