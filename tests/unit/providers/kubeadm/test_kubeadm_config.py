from __future__ import annotations

import json
from typing import Any

from provision.model.cluster import Host
from provision.providers.kubeadm.steps.kubeadm_config import init_documents, join_document

from . import factories


def document(kind: str, **changes: Any) -> dict[str, Any]:
    cluster = factories.cluster("cp", "w", **changes)
    return next(one for one in init_documents(cluster, cluster.hosts[0]) if one["kind"] == kind)


def test_init_names_ranges_version_and_every_name_of_the_control_planes() -> None:
    cluster = factories.cluster("cp", "cp", "w", endpoint="[fd00::1]:6443")
    found = init_documents(cluster, cluster.hosts[0])[1]
    assert found["kubernetesVersion"] == "v1.36.3"
    assert found["networking"]["podSubnet"] == "10.244.0.0/16"
    assert found["controlPlaneEndpoint"] == "[fd00::1]:6443"
    assert found["apiServer"]["certSANs"] == ["fd00::1", "10.0.0.11", "cp1", "10.0.0.12", "cp2"]


def test_without_an_endpoint_none_is_written() -> None:
    assert "controlPlaneEndpoint" not in document("ClusterConfiguration")


def test_the_preflight_checks_of_the_file_are_ignored_by_name() -> None:
    found = document("InitConfiguration", kubeadm={"ignore_preflight_errors": ("NumCPU",)})
    assert found["nodeRegistration"]["ignorePreflightErrors"] == ["NumCPU"]


def test_the_kubelet_has_the_cgroup_driver_of_the_runtime() -> None:
    assert document("KubeletConfiguration")["cgroupDriver"] == "systemd"


def test_a_node_takes_the_address_of_the_file_if_that_is_one() -> None:
    cluster = factories.cluster("cp", "w")
    named = Host.model_validate({"name": "w2", "address": "w2.example.com", "role": "worker"})
    assert join_document(cluster, cluster.hosts[1])["nodeRegistration"]["kubeletExtraArgs"] == [
        {"name": "node-ip", "value": "10.0.0.21"}
    ]
    assert "kubeletExtraArgs" not in join_document(cluster, named)["nodeRegistration"]


def test_a_further_control_plane_advertises_its_own_address() -> None:
    cluster = factories.cluster("cp", "cp", endpoint="10.0.0.10:6443")
    found = join_document(cluster, cluster.hosts[1])
    assert found["controlPlane"] == {"localAPIEndpoint": {"advertiseAddress": "10.0.0.12", "bindPort": 6443}}


def test_taints_hold_from_the_first_moment_and_a_control_plane_keeps_kubeadms() -> None:
    cluster = factories.cluster("cp", "w")
    own = {"key": "only", "value": "db", "effect": "NoSchedule"}
    control_plane, worker = (
        host.model_copy(update={"taints": ("only=db:NoSchedule",)}) for host in cluster.hosts
    )
    assert join_document(cluster, worker)["nodeRegistration"]["taints"] == [own]
    found = init_documents(cluster, control_plane)[0]["nodeRegistration"]["taints"]
    assert found == [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}, own]


def test_no_document_has_a_token_or_a_key() -> None:
    cluster = factories.cluster("cp", "w")
    text = json.dumps([*init_documents(cluster, cluster.hosts[0]), join_document(cluster, cluster.hosts[1])])
    assert "token" not in text.lower()
    assert "certificateKey" not in text
