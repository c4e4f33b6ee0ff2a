"""Who says where the API server is, and what is done when they do not agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from provision.providers.kubeadm.steps import kubeadm_config, role_vars as desired
from provision.providers.kubeadm.steps.planning import apply_plan

from . import factories

if TYPE_CHECKING:
    from provision.model.cluster import Cluster
    from provision.model.plan import PlaybookStep

EXTERNAL = "10.0.0.10:6443"
VIP = {"vip": "10.0.0.10"}
KEPT = "what keeps the virtual address (keepalived)"


def steps(cluster: Cluster, documents: dict[str, Any]) -> dict[str, PlaybookStep]:
    return {step.name: step for step in apply_plan(cluster, factories.observation(documents), smoke=False)}


def told(step: PlaybookStep) -> list[tuple[str, str]]:
    return [(reason.host, reason.what) for reason in step.reasons]


def test_the_local_endpoint_is_a_balancer_on_the_nodes_own_loopback() -> None:
    cluster = factories.cluster("cp", "cp", "cp", "w", endpoint="local")

    assert desired.endpoint(cluster) == "127.0.0.1:7443"
    assert [one["address"] for one in desired.backends(cluster)] == ["10.0.0.11", "10.0.0.12", "10.0.0.13"]


def test_a_cluster_with_the_local_endpoint_is_made_behind_balancers() -> None:
    cluster = factories.cluster("cp", "cp", "cp", "w", endpoint="local")

    found = steps(cluster, {host.name: factories.fresh(host) for host in cluster.hosts})

    assert found["install-endpoint"].hosts == ("cp1", "cp2", "cp3", "w1")
    assert "install-endpoint" in found["init-control-plane"].needs
    assert "install-endpoint" in found["join-control-planes"].needs
    assert "install-endpoint" in found["join-workers"].needs
    assert found["join-workers"].variables["node_join_endpoint"] == "127.0.0.1:7443"
    (_, configuration, *_) = kubeadm_config.init_documents(cluster, cluster.host("cp1"))
    assert configuration["controlPlaneEndpoint"] == "127.0.0.1:7443"
    assert configuration["apiServer"]["certSANs"][0] == "127.0.0.1"
    assert "update-endpoint" not in found


@pytest.mark.parametrize("endpoint", [EXTERNAL, "local", VIP])
def test_a_cluster_at_its_endpoint_needs_nothing(endpoint: object) -> None:
    cluster = factories.cluster("cp", "cp", "cp", "w", endpoint=endpoint)

    assert steps(cluster, factories.running(cluster)) == {}


def test_another_control_plane_is_told_to_every_balancer() -> None:
    before = factories.cluster("cp", "cp", "w", endpoint="local")
    after = factories.cluster("cp", "cp", "w", "cp", endpoint="local")
    documents = factories.running(before)
    documents["cp3"] = factories.prepared(after.host("cp3"))

    step = steps(after, documents)["install-endpoint"]

    assert told(step) == [
        ("cp1", "its load balancer for the API server lacks 10.0.0.13:6443"),
        ("cp2", "its load balancer for the API server lacks 10.0.0.13:6443"),
        ("w1", "its load balancer for the API server lacks 10.0.0.13:6443"),
        ("cp3", "has no load balancer for the API server"),
    ]


def test_a_balancer_that_does_not_run_is_started() -> None:
    cluster = factories.cluster("cp", "w", endpoint="local")
    documents = factories.running(cluster)
    documents["w1"]["software"]["services"]["provision-api"] = {"active": False, "enabled": True}

    step = steps(cluster, documents)["install-endpoint"]

    assert told(step) == [("w1", "its load balancer for the API server is not running")]


@pytest.mark.parametrize("after", [EXTERNAL, VIP])
def test_balancers_go_when_kubelets_have_left_them(after: object) -> None:
    cluster = factories.cluster("cp", "w", endpoint=after)

    found = steps(cluster, factories.running(factories.cluster("cp", "w", endpoint="local")))

    assert ("install-endpoint" in found) == (after == VIP)
    assert ("install-endpoint" in found["update-endpoint"].needs) == (after == VIP)
    assert found["remove-endpoint"].needs == ("update-endpoint",)
    assert found["remove-endpoint"].hosts == ("cp1", "w1")
    assert found["remove-endpoint"].variables == {"api_balancer_kind": "none"}
    assert found["remove-endpoint"].host_variables["w1"] == {"api_balancer_gone": ["local"]}


def test_balancers_stay_while_nobody_says_who_uses_them() -> None:
    documents = factories.running(factories.cluster("cp", "w", endpoint="local"))
    documents["cp1"]["api"] = {"error": "connection refused"}

    assert "remove-endpoint" not in steps(factories.cluster("cp", "w", endpoint=EXTERNAL), documents)


def test_a_load_balancer_that_was_not_told_of_its_new_configuration_is_told() -> None:
    cluster = factories.cluster("cp", "w", endpoint=VIP)
    documents = factories.running(cluster)
    documents["cp1"]["software"]["reloads"] = ["provision-vip"]

    assert told(steps(cluster, documents)["install-endpoint"]) == [
        ("cp1", f"{KEPT} has not read its configuration yet")
    ]


def test_the_own_address_is_the_one_of_the_file_whatever_others_the_host_has() -> None:
    cluster = factories.cluster("cp", "w", endpoint=VIP)
    documents = {host.name: factories.fresh(host) for host in cluster.hosts}
    documents["cp1"]["network"]["addresses"].insert(0, {"cidr": "10.0.0.9/24", "interface": "eth0"})

    step = steps(cluster, documents)["install-endpoint"]

    assert step.host_variables["cp1"]["api_balancer_source"] == "10.0.0.11"


def test_a_virtual_address_is_kept_by_the_control_planes_alone() -> None:
    cluster = factories.cluster("cp", "cp", "cp", "w", endpoint=VIP)

    found = steps(cluster, {host.name: factories.fresh(host) for host in cluster.hosts})

    step = found["install-endpoint"]
    assert step.hosts == ("cp1", "cp2", "cp3")
    assert step.variables["api_balancer_kind"] == "vip"
    assert (step.variables["api_balancer_vip"], step.variables["api_balancer_vip_is_new"]) == (
        "10.0.0.10",
        True,
    )
    assert step.host_variables["cp2"] == {
        "api_balancer_interface": "eth0",
        "api_balancer_source": "10.0.0.12",
    }
    assert found["join-workers"].variables["node_join_endpoint"] == "10.0.0.10:7443"
    (_, configuration, *_) = kubeadm_config.init_documents(cluster, cluster.host("cp1"))
    assert configuration["controlPlaneEndpoint"] == "10.0.0.10:7443"
    assert configuration["apiServer"]["certSANs"][0] == "10.0.0.10"


def test_a_virtual_address_that_is_kept_is_not_looked_for_elsewhere() -> None:
    before, after = (factories.cluster(*roles, endpoint=VIP) for roles in (("cp", "w"), ("cp", "w", "cp")))
    documents = factories.running(before)
    documents["cp2"] = factories.prepared(after.host("cp2"))

    step = steps(after, documents)["install-endpoint"]

    assert told(step) == [
        ("cp1", "its load balancer for the API server lacks 10.0.0.12:6443"),
        ("cp2", "has no load balancer for the API server"),
    ]
    assert step.variables["api_balancer_vip_is_new"] is False


@pytest.mark.parametrize(
    ("unit", "state", "what"),
    [
        ("provision-vip", {"active": False, "enabled": True}, f"{KEPT} is not running"),
        ("provision-vip", {"active": True, "enabled": False}, f"{KEPT} does not start at boot"),
        (
            "provision-vip-api",
            {"active": False, "enabled": True},
            "its load balancer for the API server is not running",
        ),
    ],
)
def test_what_keeps_the_virtual_address_is_started(unit: str, state: dict[str, bool], what: str) -> None:
    cluster = factories.cluster("cp", "w", endpoint=VIP)
    documents = factories.running(cluster)
    documents["cp1"]["software"]["services"][unit] = state

    assert told(steps(cluster, documents)["install-endpoint"]) == [("cp1", what)]


def test_another_virtual_address_is_told_to_everybody() -> None:
    documents = factories.running(factories.cluster("cp", "w", endpoint=VIP))
    after = factories.cluster("cp", "w", endpoint={"vip": "10.0.0.9"})

    found = steps(after, documents)

    assert told(found["install-endpoint"]) == [
        (
            "cp1",
            "its load balancer for the API server listens at 10.0.0.10:7443, not at 10.0.0.9:7443",
        )
    ]
    assert found["install-endpoint"].variables["api_balancer_vip_is_new"] is True
    assert found["update-endpoint"].hosts == ("cp1", "w1")
    assert "remove-endpoint" not in found


def test_one_control_plane_without_an_endpoint_gets_one() -> None:
    before, after = factories.cluster("cp", "w"), factories.cluster("cp", "w", endpoint=EXTERNAL)
    documents = factories.running(before)
    documents["cp1"]["kubernetes"].update(
        admin_server="https://10.0.0.11:6443", names=["cp1", "10.96.0.1", "10.0.0.11"]
    )
    documents["cp1"]["api"]["servers"] = {
        "cluster-info": "https://10.0.0.11:6443",
        "kube-proxy": "https://10.0.0.11:6443",
    }

    step = steps(after, documents)["update-endpoint"]

    assert (step.hosts, step.through) == (("cp1", "w1"), "cp1")
    assert told(step) == [
        ("cp1", "kubeadm's configuration has no endpoint, not 10.0.0.10:6443"),
        ("cp1", "cluster-info has the API server at https://10.0.0.11:6443, not at https://10.0.0.10:6443"),
        ("cp1", "kube-proxy has the API server at https://10.0.0.11:6443, not at https://10.0.0.10:6443"),
        ("cp1", "its admin.conf has the API server at https://10.0.0.11:6443, not at https://10.0.0.10:6443"),
        ("cp1", "its API server's certificate does not hold for 10.0.0.10"),
        ("w1", "its kubelet has the API server at https://10.0.0.11:6443, not at https://10.0.0.10:6443"),
    ]
    configuration = yaml.safe_load(str(step.variables["api_endpoint_configuration"]))
    assert configuration["controlPlaneEndpoint"] == EXTERNAL
    assert configuration["networking"]["podSubnet"] == "10.244.0.0/16"
    assert "10.0.0.10" in configuration["apiServer"]["certSANs"]


def test_the_kubelet_of_a_control_plane_may_use_its_own_api_server() -> None:
    cluster = factories.cluster("cp", "cp", "cp", endpoint=EXTERNAL)
    documents = factories.running(cluster)
    documents["cp2"]["kubernetes"]["kubelet_server"] = "https://10.0.0.12:6443"

    assert steps(cluster, documents) == {}


def test_a_kubelet_that_points_at_a_control_plane_is_corrected() -> None:
    cluster = factories.cluster("cp", "cp", "cp", "w", endpoint=EXTERNAL)
    documents = factories.running(cluster)
    documents["w1"]["kubernetes"]["kubelet_server"] = "https://10.0.0.12:6443"

    assert steps(cluster, documents)["update-endpoint"].hosts == ("cp1", "w1")


def test_further_control_planes_join_when_the_endpoint_is_right() -> None:
    after = factories.cluster("cp", "w", "cp", "cp", endpoint=EXTERNAL)
    documents = factories.running(factories.cluster("cp", "w"))
    documents.update({name: factories.prepared(after.host(name)) for name in ("cp2", "cp3")})

    found = steps(after, documents)

    assert "update-endpoint" in found["join-control-planes"].needs
    assert "cp2" not in found["update-endpoint"].hosts


def test_without_an_endpoint_anywhere_nothing_is_corrected() -> None:
    cluster = factories.cluster("cp", "w")
    documents = factories.running(cluster)
    documents["w1"]["kubernetes"]["kubelet_server"] = "https://cp1.example.com:6443"

    assert steps(cluster, documents) == {}
