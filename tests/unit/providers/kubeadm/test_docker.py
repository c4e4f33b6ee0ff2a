"""Docker as the runtime: what is installed and kept, what kubeadm and images need for it, what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from provision.model.plan import Reason
from provision.providers.kubeadm.steps import kubeadm_config
from provision.versions import versions

from . import factories
from .test_runtimes import findings, mixed, plan

DIGEST = "a" * 64


def test_packages_of_a_new_host_are_pinned_and_cri_dockerds_archive_by_its_digest() -> None:
    cluster = factories.cluster("cp", runtime="docker")
    step = plan(cluster, {"cp1": factories.fresh(cluster.hosts[0])})["install-docker"]
    assert step.reasons == (Reason("cp1", "Docker is not installed"),)
    assert step.variables["docker_version"] == versions().docker.engine
    assert step.variables["docker_containerd_version"] == versions().containerd.version
    assert step.variables["docker_cri_dockerd_version"] == "0.3.24"
    assert step.variables["docker_sandbox_image"] == "registry.k8s.io/pause:3.10.2"
    digests = step.variables["docker_cri_dockerd_digests"]
    assert isinstance(digests, dict)
    assert set(digests) == {"amd64", "arm64"}


def test_a_digest_in_the_file_chooses_the_version_and_the_mirror_the_place() -> None:
    mirror = {"packages": "http://mirror:8080", "digests": {"cri-dockerd-0.4.0.amd64.tgz": DIGEST}}
    cluster = factories.cluster("cp", runtime="docker", runtime_version="26.1.5", mirror=mirror)
    variables = plan(cluster, {"cp1": factories.fresh(cluster.hosts[0])})["install-docker"].variables
    assert variables["docker_version"] == "26.1.5"
    assert variables["docker_cri_dockerd_version"] == "0.4.0"
    assert variables["docker_cri_dockerd_url"] == "http://mirror:8080"
    assert variables["docker_cri_dockerd_digests"] == {"amd64": DIGEST}


def test_a_node_with_docker_as_the_file_says_needs_nothing() -> None:
    cluster = mixed("docker")
    documents = factories.running(cluster)
    documents["w1"] = factories.with_docker(documents["w1"])
    assert plan(cluster, documents) == {}
    assert findings(cluster, documents, "runtime-change") == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"docker": {"systemd_cgroup": False}}, "Docker does not use the systemd cgroup driver"),
        ({"docker": {"bounded_logs": False}}, "Docker does not limit the logs of containers"),
        ({"docker": {"configured": False}}, "Docker is not configured"),
        ({"docker": {"version": ""}}, "cri-dockerd is not installed, 0.3.24 is wanted"),
        (
            {"docker": {"sandbox_image": "other/pause:1"}},
            "Docker's sandbox image is other/pause:1, registry.k8s.io/pause:3.10.2 is wanted",
        ),
        ({"services": {"docker": {"active": False}}}, "Docker is not running"),
        (
            {"services": {"cri-docker": {"active": True, "enabled": False}}},
            "cri-dockerd does not start at boot",
        ),
        ({"packages": {"containerd.io": {"held": False}}}, "containerd.io is not held at its version"),
    ],
)
def test_a_changed_configuration_of_docker_is_put_right(change: factories.Document, reason: str) -> None:
    cluster = mixed("docker")
    documents = factories.running(cluster)
    documents["w1"] = factories.merged(factories.with_docker(documents["w1"]), {"software": change})
    steps = plan(cluster, documents)
    assert [*steps] == ["install-docker", "wait-ready"]
    assert steps["install-docker"].reasons == (Reason("w1", reason),)


def test_a_node_keeps_its_versions_when_its_configuration_changes() -> None:
    cluster = mixed("docker")
    documents = factories.running(cluster)
    document = factories.with_docker(documents["w1"])
    document["software"]["packages"]["docker-ce"]["version"] = "5:28.5.2-1~debian.13~trixie"
    document["software"]["docker"] |= {"version": "0.3.20", "bounded_logs": False}
    documents["w1"] = document
    assert plan(cluster, documents)["install-docker"].host_variables["w1"] == {
        "docker_version": "28.5.2",
        "docker_containerd_version": "2.3.7",
        "docker_cri_dockerd_version": "0.3.20",
    }


@pytest.mark.parametrize(
    ("engine", "wanted", "reason"),
    [
        ("20.10.24", None, "Docker is 20.10.24, 23.0 or newer is needed"),
        ("28.5.2", "29.7.2", "Docker is 28.5.2, 29.7.2 is wanted"),
    ],
)
def test_another_engine_is_replaced_on_a_host_that_is_no_node(
    engine: str, wanted: str | None, reason: str
) -> None:
    cluster = factories.cluster("cp", runtime="docker", runtime_version=wanted)
    document = factories.with_docker(factories.prepared(cluster.hosts[0]))
    document["software"]["packages"]["docker-ce"]["version"] = f"5:{engine}-1~debian.13~trixie"
    step = plan(cluster, {"cp1": document})["install-docker"]
    assert step.reasons == (Reason("cp1", reason),)
    assert "docker_version" not in step.host_variables["cp1"]


def test_an_engine_that_a_distribution_has_built_is_of_the_version_that_it_is_built_from() -> None:
    cluster = mixed("docker").model_copy(update={"runtime": "docker", "runtime_version": "26.1.5"})
    documents = factories.running(cluster)
    documents["cp1"]["api"]["nodes"][1]["runtime"] = "docker://26.1.5+dfsg1"
    assert findings(cluster, documents, "runtime-version") == []
    documents["cp1"]["api"]["nodes"][1]["runtime"] = "docker://28.5.2"
    (finding,) = findings(cluster, documents, "runtime-version")
    assert finding.message.startswith("it runs docker 28.5.2, the file says 26.1.5")


def gates(cluster: Any, name: str) -> list[str]:
    host = cluster.host(name)
    document = kubeadm_config.join_document(cluster, host)
    arguments = document["nodeRegistration"]["kubeletExtraArgs"]
    return [one["value"] for one in arguments if one["name"] == "feature-gates"]


def test_kubelets_of_docker_alone_leave_websockets_to_the_api_server_from_1_36_on() -> None:
    cluster = mixed("docker")
    assert gates(cluster, "w1") == ["ExtendWebSocketsToKubelet=false"]
    assert gates(cluster, "cp1") == []
    assert gates(cluster.model_copy(update={"kubernetes": "1.35.10"}), "w1") == []
    init, configuration, *_ = kubeadm_config.init_documents(cluster, cluster.host("cp1"))
    assert "extraArgs" not in configuration["apiServer"]
    assert init["nodeRegistration"]["kubeletExtraArgs"] == [{"name": "node-ip", "value": "10.0.0.11"}]


def test_a_docker_node_whose_kubelet_takes_websockets_is_warned_of() -> None:
    cluster = mixed("docker")
    documents = factories.running(cluster)
    nodes = documents["cp1"]["api"]["nodes"]
    nodes[1] |= {"runtime": "docker://29.7.2", "features": ["ExtendWebSocketsToKubelet"]}
    nodes[0] |= {"features": ["ExtendWebSocketsToKubelet"]}
    (finding,) = findings(cluster, documents, "docker-exec")
    assert (finding.severity, finding.where) == ("warning", "w1")
    assert "--feature-gates=ExtendWebSocketsToKubelet=false" in finding.fix

    nodes[1]["features"] = []
    assert findings(cluster, documents, "docker-exec") == []


def test_with_a_mirror_images_are_pulled_from_it_under_their_public_names() -> None:
    cluster = mixed("docker").model_copy(
        update={"mirror": factories.cluster("cp", mirror={"images": "http://m:5000"}).mirror}
    )
    steps = plan(cluster, {host.name: factories.fresh(host) for host in cluster.hosts})
    step = steps["pull-images"]
    assert "install-kubernetes" in step.needs
    # kubeadm pulls what is missing from where its name says, which may not be reachable.
    assert "pull-images" in steps["join-workers"].needs
    assert "pull-images" not in steps["init-control-plane"].needs  # containerd knows the mirror
    assert "images_mirror" not in step.host_variables["cp1"]
    assert step.host_variables["w1"]["images_mirror"] == {
        "quay.io": "m:5000/quay.io",
        "registry.k8s.io": "m:5000/registry.k8s.io",
    }
    assert step.host_variables["w1"]["images_kubeadm"] == ["coredns"]
    assert steps["install-docker"].variables["docker_insecure_registries"] == ["m:5000"]


def test_without_a_mirror_docker_pulls_beside_the_packages() -> None:
    cluster = factories.cluster("cp", runtime="docker")
    steps = plan(cluster, {"cp1": factories.fresh(cluster.hosts[0])})
    step = steps["pull-images"]
    assert step.needs == ("install-docker",)
    assert "pull-images" not in steps["init-control-plane"].needs
    assert "images_mirror" not in step.host_variables["cp1"]


def test_a_mirror_without_tls_is_an_insecure_registry_of_docker() -> None:
    cluster = factories.cluster("cp", runtime="docker", mirror={"images": "http://m:5000"})
    document = factories.with_docker(factories.prepared(cluster.hosts[0]))
    step = plan(cluster, {"cp1": document})["install-docker"]
    assert step.reasons == (Reason("cp1", "Docker does not pull from m:5000 without TLS"),)
    document["software"]["docker"]["insecure"] = ["m:5000"]
    assert "install-docker" not in plan(cluster, {"cp1": document})


def test_a_control_plane_with_docker_also_gets_etcd_from_the_mirror() -> None:
    cluster = factories.cluster("cp", runtime="docker", mirror={"images": "https://m"})
    steps = plan(cluster, {"cp1": factories.fresh(cluster.hosts[0])})
    assert "pull-images" in steps["init-control-plane"].needs
    variables = steps["pull-images"].host_variables["cp1"]
    assert variables["images_kubeadm"] == ["coredns", "etcd"]
    assert variables["images_kubernetes_version"] == cluster.kubernetes


@pytest.mark.parametrize(
    ("package", "check"), [("containerd", "containerd-package"), ("podman-docker", "docker-package")]
)
def test_packages_that_conflict_with_dockers_are_named(package: str, check: str) -> None:
    cluster = factories.cluster("cp", runtime="docker")
    document = factories.fresh(cluster.hosts[0])
    document["software"]["packages"][package] = {"version": "1.7.24~ds1-6", "held": False, "whole": True}
    (finding,) = findings(cluster, {"cp1": document}, check)
    assert finding.severity == "error"
    assert f"apt-get purge {package}" in finding.fix


def test_an_archive_whose_digest_is_not_known_is_refused_with_the_key_that_says_it() -> None:
    mirror = {"digests": {"cri-dockerd-0.4.3.amd64.tgz": DIGEST}}
    cluster = factories.cluster("cp", runtime="docker", mirror=mirror)
    document = factories.fresh(cluster.hosts[0])
    assert findings(cluster, {"cp1": document}, "cri-dockerd-digest") == []
    document["machine"]["architecture"] = "aarch64"
    (finding,) = findings(cluster, {"cp1": document}, "cri-dockerd-digest")
    assert finding.message == "the digest of cri-dockerd-0.4.3.arm64.tgz is not known"
    assert "mirror.digests: {cri-dockerd-0.4.3.arm64.tgz: SHA256}" in finding.fix
