"""Runtimes by cluster and by host: what installs them, what is kept, what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import pytest

from provision.model.cluster import Cluster, Runtime
from provision.model.plan import Finding, PlaybookStep, Reason
from provision.providers.kubeadm import checks
from provision.providers.kubeadm.runtimes import RUNTIMES
from provision.providers.kubeadm.steps import kubeadm_config
from provision.providers.kubeadm.steps.planning import apply_plan
from provision.versions import versions

from . import factories

if TYPE_CHECKING:
    from .factories import Document


def plan(cluster: Cluster, documents: dict[str, Document]) -> dict[str, PlaybookStep]:
    steps = apply_plan(cluster, factories.observation(documents), smoke=False)
    return {step.name: step for step in steps}


def mixed(runtime: str = "crio") -> Cluster:
    """A control plane with containerd and a worker with another runtime."""
    found = factories.cluster("cp", "w")
    worker = found.host("w1").model_copy(update={"runtime": runtime})
    return found.model_copy(update={"hosts": (found.host("cp1"), worker)})


def findings(cluster: Cluster, documents: dict[str, Document], check: str) -> list[Finding]:
    seen = checks.check(cluster, factories.observation(documents))
    return [finding for finding in seen if finding.check == check]


def test_each_runtime_of_the_file_is_installed_by_a_step() -> None:
    assert set(get_args(Runtime)) == RUNTIMES.keys()


def test_each_host_gets_its_own_runtime_and_images_wait_for_the_client_of_crio() -> None:
    cluster = mixed()
    steps = plan(cluster, {host.name: factories.fresh(host) for host in cluster.hosts})

    assert steps["install-containerd"].hosts == ("cp1",)
    assert steps["install-crio"].hosts == ("w1",)
    assert steps["install-crio"].reasons == (Reason("w1", "CRI-O is not installed"),)
    assert "install-crio" in steps["install-kubernetes"].needs
    assert "install-kubernetes" in steps["pull-images"].needs
    runtimes = {
        name: values["images_runtime"] for name, values in steps["pull-images"].host_variables.items()
    }
    assert runtimes == {"cp1": "containerd", "w1": "crio"}


def test_with_containerd_alone_images_are_pulled_beside_the_packages() -> None:
    cluster = factories.cluster("cp", "w")
    steps = plan(cluster, {host.name: factories.fresh(host) for host in cluster.hosts})
    assert steps["pull-images"].needs == ("install-containerd",)


def test_kubeadm_is_given_the_socket_of_the_hosts_own_runtime() -> None:
    cluster = mixed()
    init, *_ = kubeadm_config.init_documents(cluster, cluster.host("cp1"))
    join = kubeadm_config.join_document(cluster, cluster.host("w1"))
    assert init["nodeRegistration"]["criSocket"] == "unix:///run/containerd/containerd.sock"
    assert join["nodeRegistration"]["criSocket"] == "unix:///run/crio/crio.sock"


def test_the_version_of_crio_is_that_of_kubernetes_or_the_files() -> None:
    cluster = factories.cluster("cp", runtime="crio")
    variables = plan(cluster, {"cp1": factories.fresh(cluster.hosts[0])})["install-crio"].variables
    assert variables["crio_version"] == "1.36.3"
    assert variables["crio_sandbox_image"] == "registry.k8s.io/pause:3.10.2"

    cluster = factories.cluster("cp", runtime="crio", runtime_version="1.36.1")
    variables = plan(cluster, {"cp1": factories.fresh(cluster.hosts[0])})["install-crio"].variables
    assert variables["crio_version"] == "1.36.1"


def test_a_node_with_crio_as_the_file_says_needs_nothing() -> None:
    cluster = mixed()
    documents = factories.running(cluster)
    documents["w1"] = factories.with_crio(documents["w1"])
    assert plan(cluster, documents) == {}
    assert findings(cluster, documents, "runtime-change") == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"crio": {"systemd_cgroup": False}}, "CRI-O does not use the systemd cgroup driver"),
        ({"crio": {"configured": False}}, "CRI-O is not configured"),
        (
            {"crio": {"sandbox_image": "other/pause:1"}},
            "CRI-O's sandbox image is other/pause:1, registry.k8s.io/pause:3.10.2 is wanted",
        ),
        ({"services": {"crio": {"active": False}}}, "CRI-O is not running"),
        ({"services": {"crio": {"active": True, "enabled": False}}}, "CRI-O does not start at boot"),
        ({"packages": {"cri-o": {"held": False}}}, "cri-o is not held at its version"),
    ],
)
def test_a_changed_configuration_of_crio_is_put_right(change: Document, reason: str) -> None:
    cluster = mixed()
    documents = factories.running(cluster)
    document = factories.with_crio(documents["w1"])
    documents["w1"] = factories.merged(document, {"software": change})
    steps = plan(cluster, documents)
    assert [*steps] == ["install-crio", "wait-ready"]
    assert steps["install-crio"].reasons == (Reason("w1", reason),)


def test_mirrors_of_crio_are_compared_as_its_configuration_spells_them() -> None:
    mirror = {"images": "http://mirror:5000"}
    cluster = factories.cluster("cp", runtime="crio", mirror=mirror)
    document = factories.with_crio(factories.prepared(cluster.hosts[0]))
    reasons = [reason.what for reason in plan(cluster, {"cp1": document})["install-crio"].reasons]
    assert reasons == [
        "CRI-O does not pull quay.io from mirror:5000/quay.io",
        "CRI-O does not pull registry.k8s.io from mirror:5000/registry.k8s.io",
    ]
    document["software"]["crio"]["hosts"] = {
        registry: {"urls": [f"mirror:5000/{registry}"], "ours": True}
        for registry in ("quay.io", "registry.k8s.io")
    }
    assert "install-crio" not in plan(cluster, {"cp1": document})


def test_a_crio_of_another_minor_is_replaced_on_a_host_that_is_no_node() -> None:
    cluster = factories.cluster("cp", runtime="crio")
    document = factories.with_crio(factories.prepared(cluster.hosts[0]))
    document["software"]["packages"]["cri-o"]["version"] = "1.35.1-1.1"
    step = plan(cluster, {"cp1": document})["install-crio"]
    assert step.reasons == (Reason("cp1", "CRI-O is 1.35.1, 1.36 is needed for Kubernetes 1.36"),)
    assert step.host_variables == {}


def test_a_node_whose_runtime_the_file_changes_gets_it_before_its_pods_have_to_leave() -> None:
    cluster = mixed()
    documents = factories.running(factories.cluster("cp", "w"))
    steps = plan(cluster, documents)

    assert [*steps] == ["install-crio", "install-kubernetes", "pull-images", "change-runtimes", "wait-ready"]
    assert steps["install-kubernetes"].reasons == (Reason("w1", "crictl is not installed"),)
    assert steps["install-kubernetes"].host_variables["w1"]["kube_packages_crictl"] is True
    change = steps["change-runtimes"]
    assert change.reasons == (Reason("w1", "runs containerd, the file asks for CRI-O"),)
    assert change.host_variables == {
        "w1": {
            "runtime_change_to": "crio",
            "runtime_change_upgrade": False,
            "runtime_change_control_plane": "cp1",
        }
    }
    assert set(change.needs) == {"install-crio", "pull-images"}
    assert steps["install-crio"].reasons == (Reason("w1", "CRI-O is not installed"),)
    pulled = steps["pull-images"].host_variables["w1"]
    assert pulled["images_runtime"] == "crio"
    assert "registry.k8s.io/kube-proxy:v1.36.3" in pulled["images_pull"]  # type: ignore[operator]
    assert f"quay.io/calico/node:v{versions().calico.version}" in pulled["images_pull"]  # type: ignore[operator]
    assert findings(cluster, documents, "runtime-change") == []


def test_a_node_gets_the_newer_version_that_the_file_names_and_no_other_does() -> None:
    cluster = factories.cluster("cp", "w", runtime_version="2.3.7")
    documents = factories.running(cluster)
    documents["w1"]["software"]["packages"]["containerd.io"]["version"] = "2.2.3-1~debian.13~trixie"

    steps = plan(cluster, documents)

    assert [*steps] == ["change-runtimes", "wait-ready"]
    change = steps["change-runtimes"]
    assert change.reasons == (Reason("w1", "runs containerd 2.2.3, the file asks for 2.3.7"),)
    assert change.host_variables["w1"]["runtime_change_upgrade"] is True
    assert change.variables["containerd_version"] == "2.3.7"
    assert "containerd_version" not in change.host_variables["w1"]
    assert plan(factories.cluster("cp", "w"), documents) == {}, "a new default changes no node"
    assert plan(factories.cluster("cp", "w", runtime_version="2.2.0"), documents) == {}, (
        "nor does an older one"
    )


def test_a_containerd_that_cannot_read_the_configuration_is_not_restarted_with_it() -> None:
    cluster = factories.cluster("cp", "w", runtime_version="2.3.7")
    documents = factories.running(cluster)
    documents["w1"]["software"]["packages"]["containerd.io"]["version"] = "1.7.28-1"
    change = plan(cluster, documents)["change-runtimes"]
    assert change.host_variables["w1"]["containerd_replaces_version_1"] is True


def test_the_only_control_plane_pauses_the_api_while_its_runtime_is_upgraded() -> None:
    cluster = factories.cluster("cp", "w", runtime_version="2.3.7")
    documents = factories.running(cluster)
    documents["cp1"]["software"]["packages"]["containerd.io"]["version"] = "2.2.3-1~debian.13~trixie"
    (finding,) = findings(cluster, documents, "runtime-change")
    assert (finding.severity, finding.where) == ("warning", "cp1")
    assert "its runtime is upgraded from 2.2.3 to 2.3.7: it is the only control plane" in finding.message
    assert '`runtime_version: "2.2.3"`' in finding.fix


def test_a_change_of_runtime_that_was_interrupted_is_continued() -> None:
    cluster = mixed()
    documents = factories.running(cluster)
    documents["w1"] = factories.with_crio(documents["w1"])
    documents["w1"]["kubernetes"]["markers"] = ["before", "runtime-change"]
    steps = plan(cluster, documents)
    assert [*steps] == ["change-runtimes", "wait-ready"]
    assert steps["change-runtimes"].reasons == (Reason("w1", "its change to CRI-O was interrupted"),)


def test_a_control_plane_changes_its_runtime_through_another_one() -> None:
    cluster = factories.cluster("cp", "cp", "cp", runtime="crio", endpoint="10.0.0.5:6443")
    documents = factories.running(cluster)
    for document in documents.values():
        document["api"] = factories.api(*cluster.hosts)
    change = plan(cluster, documents)["change-runtimes"]
    through = {name: values["runtime_change_control_plane"] for name, values in change.host_variables.items()}
    assert through == {"cp1": "cp2", "cp2": "cp1", "cp3": "cp1"}
    assert findings(cluster, documents, "runtime-change") == []


def test_the_only_control_plane_is_warned_of_a_pause() -> None:
    cluster = factories.cluster("cp", "w", runtime="crio")
    documents = factories.running(factories.cluster("cp", "w"))
    (finding,) = findings(cluster, documents, "runtime-change")
    assert (finding.severity, finding.where) == ("warning", "cp1")
    assert "the API does not answer for a few minutes" in finding.message
    change = plan(cluster, documents)["change-runtimes"]
    assert change.hosts == ("cp1", "w1")
    assert change.host_variables["cp1"]["runtime_change_control_plane"] == "cp1"


def test_a_node_that_changes_to_docker_gets_the_flag_that_its_kubelet_needs() -> None:
    documents = factories.running(factories.cluster("cp", "w"))
    assert findings(mixed("docker"), documents, "runtime-change") == []
    change = plan(mixed("docker"), documents)["change-runtimes"]
    assert change.reasons == (Reason("w1", "runs containerd, the file asks for Docker"),)
    flags = {"docker": ["--feature-gates=ExtendWebSocketsToKubelet=false"]}
    assert change.variables["runtime_change_flags"] == flags


def test_no_runtime_is_changed_while_no_api_server_answers() -> None:
    cluster = mixed()
    documents = factories.running(factories.cluster("cp", "w"))
    documents["cp1"]["api"] = {"error": "refused"}
    (finding,) = findings(cluster, documents, "runtime-change")
    assert (finding.severity, finding.where) == ("error", "w1")
    assert "bring an API server back first" in finding.fix


def test_the_distributions_containerd_is_in_nobodys_way_on_a_host_with_crio() -> None:
    cluster = mixed()
    documents = {host.name: factories.fresh(host) for host in cluster.hosts}
    package = {"version": "1.6.20~ds1-1", "held": False, "whole": True}
    for document in documents.values():
        document["software"]["packages"]["containerd"] = dict(package)
    assert [finding.where for finding in findings(cluster, documents, "containerd-package")] == ["cp1"]


def test_the_room_for_images_is_looked_for_where_the_runtime_keeps_them() -> None:
    cluster = factories.cluster("cp", runtime="crio")
    document = factories.fresh(cluster.hosts[0])
    document["machine"]["disks"]["/var/lib/containers"] = {
        **document["machine"]["disks"]["/"],
        "free_mib": 500,
        "device": 2,
    }
    (finding,) = findings(cluster, {"cp1": document}, "disk")
    assert "/var/lib/containers" in finding.message
