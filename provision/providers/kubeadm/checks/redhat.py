"""What hosts with rpm can have besides that keeps a node from working: each refused or named before it is met."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.model.plan import Finding
from provision.providers.kubeadm.steps.context import new_nodes
from provision.providers.kubeadm.systems import DNF, package_manager_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provision.model.cluster import Cluster
    from provision.providers.kubeadm.facts.host import HostFacts, Observation


def kernel_modules(cluster: Cluster, observation: Observation) -> Iterator[Finding]:
    """The packages of the running kernel are there, where one of its modules still has to be installed."""
    for host, facts in new_nodes(cluster, observation):
        rpm, running, lacking = facts.software.rpm, facts.machine.kernel, ", ".join(facts.kernel.lacking)
        if rpm is None or not lacking:
            continue
        if not rpm.has_modules or (rpm.kernels and running not in rpm.kernels):
            others = f" (installed: {', '.join(rpm.kernels)})" if rpm.kernels else ""
            yield Finding.error(
                "kernel-modules",
                host.name,
                f"the running kernel {running} lacks {lacking}, and its packages are gone{others}",
                "`sudo reboot` there starts the kernel that is installed; then run this again",
            )


def subscription(cluster: Cluster, observation: Observation) -> Iterator[Finding]:
    """A RHEL without a subscription has no package repositories, so dependencies cannot be installed."""
    for host, facts in new_nodes(cluster, observation):
        rpm = facts.software.rpm
        if rpm is not None and not rpm.registered and not rpm.repositories:
            yield Finding.error(
                "subscription",
                host.name,
                f"{facts.machine.os.name} is not registered and has no package repositories",
                "`sudo subscription-manager register` there first, or enable repositories of BaseOS and AppStream",
            )


def fapolicyd(cluster: Cluster, observation: Observation) -> Iterator[Finding]:
    """No fapolicyd: it judges programs of containers by paths of the host, and blocks them."""
    for host, facts in new_nodes(cluster, observation):
        service = facts.software.services.get("fapolicyd")
        if service is not None and (service.active or service.enabled):
            yield Finding.error(
                "fapolicyd",
                host.name,
                "fapolicyd decides there which programs run; it knows no containers and blocks theirs",
                "`sudo systemctl disable --now fapolicyd` there, if your rules allow it, or use another host",
            )


def runc(cluster: Cluster, observation: Observation) -> Iterator[Finding]:
    """The distribution's runc, which podman brings, gives way to the one in containerd.io."""
    for host, facts in new_nodes(cluster, observation):
        packages = facts.software.packages
        if package_manager_of(facts) is not DNF or cluster.runtime_of(host) == "crio":
            continue
        if "runc" in packages and "containerd.io" not in packages:
            user = " (podman runs containers with it)" if "podman" in packages else ""
            yield Finding.error(
                "runc-package",
                host.name,
                f"the package runc is installed{user}; containerd.io has one of its own and replaces it",
                "`sudo dnf install crun && sudo dnf remove runc` there: podman and buildah work with crun as well",
            )


def rivals(cluster: Cluster, observation: Observation) -> Iterator[Finding]:
    """No other repository has the pinned packages: `dnf upgrade` would take them from there."""
    for host, facts in observation.observed(cluster.hosts):
        for name in facts.software.rpm.rivals if facts.software.rpm else ():
            yield Finding.warning(
                "rival-repository",
                host.name,
                f"its package repository {name} has packages that provision pins, and upgrades take newer ones from it",
                f"`sudo dnf config-manager --set-disabled {name}` there, or write an `exclude=` for them into its file",
            )


def cloud_setup(cluster: Cluster, observation: Observation) -> Iterator[Finding]:
    """nm-cloud-setup, which takes away routes to pods, is going to be disabled; what it has set needs a reboot."""
    for host, facts in new_nodes(cluster, observation):
        rpm = facts.software.rpm
        if rpm is not None and rpm.cloud_setup:
            yield Finding.warning(
                "nm-cloud-setup",
                host.name,
                f"{' and '.join(rpm.cloud_setup)} is enabled: its rules take packets of pods astray",
                "apply disables it; `sudo reboot` there afterwards, before workloads run, removes its rules",
            )


def selinux_labels(cluster: Cluster, observation: Observation) -> Iterator[Finding]:
    """Docker's containers on a host with SELinux get labels, and programs of /opt were not tried there."""
    for host, facts in new_nodes(cluster, observation):
        if cluster.runtime_of(host) == "docker" and _enforces(facts):
            yield Finding.warning(
                "selinux-docker",
                host.name,
                "SELinux is enforcing, and cri-dockerd was never tried with it",
                "`sudo ausearch -m avc -ts recent` there shows what is denied; containerd and CRI-O have its policy",
            )


def _enforces(facts: HostFacts) -> bool:
    return facts.software.rpm is not None and facts.software.rpm.selinux == "enforcing"
