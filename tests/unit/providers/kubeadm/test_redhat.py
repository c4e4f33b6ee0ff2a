"""Hosts with rpm: which releases are taken, what is refused, and by whose commands messages help."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from provision.providers.kubeadm.checks import check
from provision.providers.kubeadm.steps.planning import apply_plan
from provision.providers.kubeadm.systems import DNF, FAMILIES, package_manager_of

from . import factories

if TYPE_CHECKING:
    from provision.model.plan import Finding

RELEASES = [
    (system, version)
    for family in FAMILIES
    if family.package_manager is DNF
    for system, versions in family.releases.items()
    for version in versions
]


def redhat(document: factories.Document, system: str = "rocky", version: str = "9.4") -> factories.Document:
    """The host with another system, whose packages are rpm's."""
    name = {"id": system, "version": version, "codename": "", "name": f"{system} {version}"}
    packages = {name: {**one, "version": f"0:{one['version']}"} for name, one in _packages(document).items()}
    rpm = {"kernels": ["6.12.0"], "selinux": "enforcing", "repositories": ["baseos", "appstream"]}
    changed = factories.merged(
        document, {"machine": {"os": name}, "software": {"packages": packages, "rpm": rpm}}
    )
    if packages:
        changed["software"]["packages"]["container-selinux"] = factories.package(
            "4:2.235.0-1.el9", held=False
        )
        changed["software"]["containerd"]["selinux"] = True
    return changed


def _packages(document: factories.Document) -> dict[str, Any]:
    found: dict[str, Any] = document["software"]["packages"]
    return found


def findings(
    changes: factories.Document, system: str = "rocky", version: str = "9.4", **of: Any
) -> list[Finding]:
    """What is found on a fresh worker of that system."""
    cluster = factories.cluster("cp", "w", **of)
    documents = {host.name: factories.fresh(host) for host in cluster.hosts}
    documents["w1"] = factories.merged(redhat(documents["w1"], system, version), changes)
    return [one for one in check(cluster, factories.observation(documents)) if one.where == "w1"]


def only(found: list[Finding], check: str) -> Finding:
    (finding,) = (one for one in found if one.check == check)
    return finding


@pytest.mark.parametrize("version", ["9.0", "9.7", "10.0", "10.2"])
def test_the_first_number_of_a_release_of_the_family_counts(version: str) -> None:
    assert findings({}, "rocky", version) == []


@pytest.mark.parametrize(("system", "version"), [one for one in RELEASES if one[0] != "rocky"])
def test_systems_on_which_nothing_was_tried_are_taken_with_a_warning(system: str, version: str) -> None:
    (finding,) = findings({}, system, version)

    assert (finding.severity, finding.check) == ("warning", "system-untested")


@pytest.mark.parametrize("system", ["rhel", "rocky", "almalinux", "centos", "ol"])
def test_el8_is_refused_with_the_reason_and_what_to_use(system: str) -> None:
    finding = only(findings({}, system, "8.10"), "system")

    assert finding.severity == "error"
    assert "its kernel 4.18 and cgroups of version 1 are too old for Kubernetes" in finding.message
    assert finding.fix == (
        "use Debian 12 or 13, Ubuntu 22.04 or 24.04, "
        "RHEL, Rocky Linux, AlmaLinux, CentOS Stream or Oracle Linux 9 or 10, Fedora 43, 44 or 45, "
        "openEuler 22 or 24, Kylin V11"
    )


def test_a_release_that_is_not_out_yet_is_refused_without_that_reason() -> None:
    assert only(findings({}, "rocky", "11.0"), "system").message == "it runs rocky 11.0"


@pytest.mark.parametrize(
    ("changes", "check", "command"),
    [
        (
            {"packages": {"containerd": factories.package("0:1.7.27-1.fc43")}},
            "containerd-package",
            "dnf remove containerd",
        ),
        ({"package_database": {"broken": ["kubelet"]}}, "packages-broken", "dnf reinstall kubelet"),
        (
            {"packages": {"kubelet": factories.package("0:1.37.0-150500.1.1")}},
            "newer-package",
            "dnf remove kubelet",
        ),
    ],
)
def test_ways_out_name_the_package_manager_of_the_host(
    changes: factories.Document, check: str, command: str
) -> None:
    assert f"sudo {command}" in only(findings({"software": changes}), check).fix.replace("; sudo", "; sudo")


def test_a_clock_that_is_off_is_set_by_chronyd() -> None:
    assert "chronyd" in only(findings({"time": factories.NOW + 100}), "clock-skew").fix


def test_a_module_that_only_packages_of_another_kernel_could_bring_asks_for_a_reboot() -> None:
    lacking = {"kernel": {"lacking": ["br_netfilter"]}}
    assert findings(lacking) == []  # the package of the running kernel brings it

    finding = only(findings({**lacking, "software": {"rpm": {"kernels": ["6.12.1"]}}}), "kernel-modules")
    assert "6.12.0 lacks br_netfilter, and its packages are gone (installed: 6.12.1)" in finding.message
    assert "reboot" in finding.fix
    assert only(findings({**lacking, "software": {"rpm": {"has_modules": False}}}), "kernel-modules")


def test_a_rhel_that_is_not_registered_is_told_to_register_first() -> None:
    bare = {"registered": False, "repositories": []}
    assert "register" in only(findings({"software": {"rpm": bare}}, "rhel"), "subscription").fix

    image = findings({"software": {"rpm": {**bare, "repositories": ["rhel-9-baseos-rhui-rpms"]}}}, "rhel")
    assert [one.check for one in image] == ["system-untested"]


@pytest.mark.parametrize("state", [{"active": True, "enabled": False}, {"active": False, "enabled": True}])
def test_fapolicyd_is_refused(state: dict[str, bool]) -> None:
    finding = only(findings({"software": {"services": {"fapolicyd": state}}}), "fapolicyd")
    assert finding.severity == "error"


def test_runc_of_podman_is_named_unless_cri_o_is_to_be_installed() -> None:
    packages = {name: factories.package("2:1.2-1") for name in ("runc", "podman")}
    changes = {"software": {"packages": packages}}

    finding = only(findings(changes), "runc-package")
    assert "podman runs containers with it" in finding.message
    assert findings(changes, runtime="crio") == []


def test_a_repository_that_would_upgrade_pinned_packages_is_named() -> None:
    finding = only(findings({"software": {"rpm": {"rivals": ["docker-ce-stable"]}}}), "rival-repository")
    assert finding.severity == "warning"
    assert "docker-ce-stable" in finding.fix


def test_nm_cloud_setup_is_named_with_the_reboot_that_it_needs() -> None:
    finding = only(
        findings({"software": {"rpm": {"cloud_setup": ["nm-cloud-setup.timer"]}}}), "nm-cloud-setup"
    )
    assert finding.severity == "warning"
    assert "sudo reboot" in finding.fix


def test_docker_under_selinux_is_said_to_be_untried() -> None:
    assert only(findings({}, runtime="docker"), "selinux-docker").severity == "warning"
    assert findings({"software": {"rpm": {"selinux": "permissive"}}}, runtime="docker") == []


def test_an_unknown_system_is_spoken_to_in_the_words_of_its_packages() -> None:
    document = factories.fresh(factories.cluster("cp").hosts[0])
    unknown = factories.merged(document, {"machine": {"os": {"id": "slackware"}}})

    assert package_manager_of(factories.facts("cp1", unknown)).name == "apt"
    assert package_manager_of(factories.facts("cp1", redhat(unknown, "mageia", "9"))).name == "dnf"


@pytest.mark.parametrize("runtime", ["containerd", "crio", "docker"])
def test_a_runtime_labels_containers_where_selinux_is_on(runtime: str) -> None:
    of = factories.cluster("cp", "w", runtime=runtime)
    documents = {host.name: factories.prepared(host) for host in of.hosts}
    if runtime == "crio":
        documents = {name: factories.with_crio(document) for name, document in documents.items()}
    if runtime == "docker":
        documents = {name: factories.with_docker(document) for name, document in documents.items()}
    documents["w1"] = redhat(documents["w1"])
    documents["w1"]["software"][runtime]["selinux"] = False

    steps = apply_plan(of, factories.observation(documents), smoke=False)

    (step,) = (one for one in steps if one.name == f"install-{runtime}")
    assert {reason.host for reason in step.reasons} == {"w1"}
    assert step.reasons[0].what.endswith("does not label containers for SELinux")
    assert step.host_variables["w1"][f"{runtime}_selinux"] is True
