"""Checks of versions: what fits the file, what is tested together, and what gets no more fixes."""

from __future__ import annotations

import calendar
from typing import TYPE_CHECKING, Any

import pytest

from provision.providers.kubeadm.checks import check
from provision.providers.kubeadm.facts.host import combine
from provision.versions import versions

from . import factories

if TYPE_CHECKING:
    from provision.model.cluster import Cluster
    from provision.model.plan import Finding

CLUSTER = factories.cluster("cp", "w")


def at(day: str) -> float:
    """Seconds since the epoch at noon of a day, `2026-11-30`."""
    year, month, number = map(int, day.split("-"))
    return float(calendar.timegm((year, month, number, 12, 0, 0)))


def findings(
    cluster: Cluster, documents: dict[str, factories.Document], day: str = "2027-01-15"
) -> list[Finding]:
    hosts = {name: factories.facts(name, document) for name, document in documents.items()}
    return list(check(cluster, combine(hosts, at=at(day))))


def fresh(cluster: Cluster, day: str = "2027-01-15", **packages: str) -> list[Finding]:
    """Findings about fresh hosts; `packages` are installed on w1."""
    documents = {host.name: factories.fresh(host) for host in cluster.hosts}
    documents["w1"]["software"]["packages"] = {
        name.replace("_", "."): {"version": version, "held": False, "whole": True}
        for name, version in packages.items()
    }
    return findings(cluster, documents, day)


def running(cluster: Cluster, day: str = "2027-01-15", *, version: str = "", **changes: str) -> list[Finding]:
    """Findings about a running cluster of a Kubernetes `version`; `changes` are the runtimes of its nodes."""
    documents = factories.running(cluster)
    api = documents["cp1"]["api"]
    for node in api["nodes"]:
        node["runtime"] = changes.get(node["name"], node["runtime"])
        node["kubelet"] = f"v{version}" if version else node["kubelet"]
    api["version"] = f"v{version}" if version else api["version"]
    return findings(cluster, documents, day)


def of(version: str, **changes: Any) -> Cluster:
    return factories.cluster("cp", "w", kubernetes=version, **changes)


def only(found: list[Finding]) -> Finding:
    assert len(found) == 1, [f"{finding.check}: {finding.message}" for finding in found]
    assert found[0].fix, "every finding has a way out"
    return found[0]


def named(found: list[Finding], name: str) -> Finding:
    return only([finding for finding in found if finding.check == name])


def test_the_default_stack_has_no_finding_today() -> None:
    assert fresh(of(versions().kubernetes.default), "2026-11-30") == []


@pytest.mark.parametrize("version", ["1.34.13", "1.35.10", "1.36.6", "1.37.2"])
def test_a_new_cluster_of_any_supported_minor_is_no_error(version: str) -> None:
    assert {finding.severity for finding in fresh(of(version), "2026-11-30")} <= {"warning"}


@pytest.mark.parametrize(
    ("day", "words"),
    [
        ("2027-04-28", ""),
        ("2027-04-29", "ends on 2027-06-28, in 60 days"),
        ("2027-06-27", "ends on 2027-06-28, in 1 day"),
        ("2027-06-28", "ends on 2027-06-28, in 0 days"),
        ("2027-06-29", "ended on 2027-06-28"),
    ],
)
def test_the_end_of_a_minors_support_is_announced_sixty_days_ahead(day: str, words: str) -> None:
    for found in (fresh(of("1.36.6"), day), running(of("1.36.3"), day)):
        soon = [finding for finding in found if finding.check == "kubernetes-support"]
        assert [(finding.severity, finding.where) for finding in soon] == ([("warning", "")] if words else [])
        assert all(words in finding.message for finding in soon)


def test_a_new_cluster_of_an_ended_minor_is_pointed_to_the_default_and_an_old_one_to_the_next() -> None:
    new = named(fresh(of("1.34.13"), "2026-11-30"), "kubernetes-support")
    old = named(running(of("1.34.4"), "2026-11-30", version="1.34.4"), "kubernetes-support")
    assert (
        new.message
        == old.message
        == "support of Kubernetes 1.34 ended on 2026-10-27: it gets no fixes any more"
    )
    assert new.fix == 'write kubernetes: "1.36.6"'
    assert old.fix == "plan the upgrade to 1.35.10"


def test_the_kubernetes_that_runs_is_judged_not_the_one_of_the_file() -> None:
    found = running(of("1.36.6"), "2026-11-30", version="1.34.4", w1="containerd://2.1.5")
    assert "Kubernetes 1.34 ended" in named(found, "kubernetes-support").message
    assert not [finding for finding in found if finding.check in {"runtime-matrix", "network-matrix"}]


def test_no_new_cluster_is_created_of_a_minor_that_is_only_kept() -> None:
    finding = only(fresh(of("1.33.13"), "2026-11-30"))
    assert (finding.severity, finding.key) == ("error", "kubernetes")
    assert "1.33: its support ended on 2026-06-28" in finding.message
    assert finding.fix == 'write kubernetes: "1.36.6"'


def test_an_existing_cluster_of_that_minor_is_kept_and_a_node_can_be_added() -> None:
    cluster = factories.cluster("cp", "w", "w", kubernetes="1.33.5")
    documents = factories.running(cluster)
    documents["w2"] = factories.fresh(cluster.host("w2"))
    documents["cp1"]["api"] = factories.merged(factories.api(*cluster.hosts[:2]), {"version": "v1.33.5"})
    for node in documents["cp1"]["api"]["nodes"]:
        node["kubelet"] = "v1.33.5"
    found = findings(cluster, documents, "2026-11-30")
    assert {finding.severity for finding in found} == {"warning"}
    assert named(found, "kubernetes-support").fix == "plan the upgrade to 1.34.13"


@pytest.mark.parametrize(
    ("version", "fixed", "issue"),
    [("1.34.0", "1.34.2", "134362"), ("1.34.1", "1.34.2", "134362"), ("1.35.0", "1.35.1", "136131")],
)
def test_a_broken_patch_is_refused_for_a_new_cluster_and_named_on_an_old_one(
    version: str, fixed: str, issue: str
) -> None:
    new = named(fresh(of(version)), "kubernetes-broken")
    old = named(running(of(version), version=version), "kubernetes-broken")
    assert (new.severity, old.severity) == ("error", "warning")
    assert f"{version} is broken, {fixed} is not" in new.message
    assert f"kubernetes#{issue}" in new.message
    assert new.fix.startswith('write kubernetes: "1.3')
    assert [one for one in fresh(of(fixed)) if one.check == "kubernetes-broken"] == []


@pytest.mark.parametrize(
    ("day", "words"),
    [
        ("2026-09-06", ""),
        ("2026-09-07", "containerd 2.2 ends on 2026-11-06, in 60 days"),
        ("2026-11-30", "containerd 2.2 ended on 2026-11-06"),
    ],
)
def test_the_end_of_a_runtimes_line_is_announced_by_what_runs(day: str, words: str) -> None:
    found = running(CLUSTER, day, w1="containerd://2.2.3")
    ends = [finding for finding in found if finding.check == "runtime-support"]
    assert [finding.where for finding in ends] == (["w1"] if words else [])
    assert all(words in finding.message for finding in ends)


def test_hosts_with_the_same_runtime_are_named_together() -> None:
    found = running(CLUSTER, cp1="containerd://2.2.3", w1="containerd://2.2.3")
    finding = named(found, "runtime-support")
    assert finding.where == ""
    assert finding.message.startswith("cp1, w1: support of containerd 2.2 ended")


@pytest.mark.parametrize(
    ("runtime", "words"),
    [
        ("containerd://1.7.28", "containerd 1.7.28 is not tested with Kubernetes 1.36"),
        ("containerd://2.1.5", "containerd 2.1.5 is not tested with Kubernetes 1.36"),
        ("cri-o://1.35.2", "CRI-O 1.35.2 goes with Kubernetes 1.35, not with 1.36"),
    ],
)
def test_a_running_runtime_outside_of_its_matrix_is_named(runtime: str, words: str) -> None:
    finding = named(running(CLUSTER, w1=runtime), "runtime-matrix")
    assert (finding.severity, finding.where) == ("warning", "w1")
    assert words in finding.message
    assert "tested: 2.3.0 or newer of 2.3" in finding.message or runtime.startswith("cri-o")


@pytest.mark.parametrize(
    "runtime", ["cri-o://1.36.3", "containerd://2.3.0", "containerd://2.4.2", "docker://29.0.0"]
)
def test_a_running_runtime_inside_of_its_matrix_has_no_finding(runtime: str) -> None:
    assert running(CLUSTER, w1=runtime) == []


def test_a_runtime_that_is_installed_and_kept_on_a_new_host_is_judged_and_the_way_out_replaces_it() -> None:
    installed = {"containerd_io": "2.2.3-1~debian.13~trixie"}
    finding = only(fresh(CLUSTER, **installed))
    assert (finding.check, finding.where) == ("runtime-support", "w1")
    assert finding.fix == 'write runtime_version: "2.3.7"'
    assert fresh(factories.cluster("cp", "w", runtime_version="2.3.7"), **installed) == []


def test_a_runtime_that_the_file_asks_for_is_judged_before_it_is_installed() -> None:
    finding = only(fresh(factories.cluster("cp", "w", runtime_version="2.2.3")))
    assert (
        finding.message == "cp1, w1: support of containerd 2.2 ended on 2026-11-06: it gets no fixes any more"
    )


def test_a_node_whose_runtime_is_newer_than_the_files_is_named() -> None:
    cluster = factories.cluster("cp", "w", runtime_version="2.3.5")
    found = running(cluster, cp1="containerd://2.3.5")
    finding = only(found)
    assert (finding.severity, finding.check, finding.where) == ("warning", "runtime-version", "w1")
    assert "runs containerd 2.3.7, the file says 2.3.5; a node does not go back" in finding.message


def test_an_installed_package_is_not_downgraded() -> None:
    cluster = factories.cluster("cp", "w", runtime_version="2.3.5")
    finding = only(fresh(cluster, containerd_io="2.3.7-1~debian.13~trixie"))
    assert (finding.severity, finding.check, finding.where) == ("error", "newer-package", "w1")
    assert (
        "containerd.io 2.3.7 is installed, newer than runtime_version in the file, 2.3.5" in finding.message
    )
    assert 'write runtime_version: "2.3.7"' in finding.fix
    finding = only(fresh(CLUSTER, kubelet="1.37.2-1.1"))
    assert (finding.severity, finding.check, finding.where) == ("error", "newer-package", "w1")
    assert "kubelet 1.37.2 is installed, newer than kubernetes in the file, 1.36.3" in finding.message
    assert fresh(cluster, containerd_io="2.3.0-1~debian.13~trixie", kubelet="1.36.1-1.1") == []


def test_another_calico_than_the_files_is_kept_and_named() -> None:
    cluster = factories.cluster("cp", "w", network={"version": "3.31.0"})
    finding = only(running(cluster))
    assert (finding.severity, finding.check, finding.where) == ("warning", "network-version", "")
    assert "runs Calico 3.32.1, the file says 3.31.0" in finding.message
    assert 'version: "3.32.1"' in finding.fix
    assert running(factories.cluster("cp", "w", network={"version": "3.32.1"})) == []


def test_a_calico_outside_of_its_matrix_is_named_with_the_one_to_write() -> None:
    finding = only(fresh(factories.cluster("cp", "w", network={"version": "3.31.0"})))
    assert (finding.severity, finding.check, finding.key) == ("warning", "network-matrix", "network.version")
    assert finding.message == "Calico 3.31.0 is not tested with Kubernetes 1.36 (tested: 3.32, 3.33)"
    assert finding.fix == 'write network.version: "3.32.1"'


def test_an_installed_calico_outside_of_its_matrix_is_judged_whatever_the_file_says() -> None:
    documents = factories.running(CLUSTER)
    documents["cp1"]["api"]["daemonsets"]["calico-node"]["images"] = ["quay.io/calico/node:v3.31.0"]
    finding = only(findings(CLUSTER, documents))
    assert finding.check == "network-matrix"
    assert finding.message.startswith("Calico 3.31.0 is not tested with Kubernetes 1.36")
    assert finding.fix == "plan the upgrade to Calico 3.32.1"


def test_a_new_cluster_of_the_newest_minor_is_warned_of_calicos_matrix() -> None:
    finding = only(fresh(of("1.37.2"), "2026-11-30"))
    assert (finding.severity, finding.check) == ("warning", "network-matrix")
    assert finding.message == "Calico 3.32.1 is not tested with Kubernetes 1.37 (tested: 3.33)"
    assert finding.fix == 'write kubernetes: "1.36.6"'
