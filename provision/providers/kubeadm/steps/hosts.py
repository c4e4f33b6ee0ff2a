"""Steps that change hosts whatever their part in the cluster: preparation, runtime, packages, images. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.model.plan import Reason
from provision.providers.kubeadm.host_programs import MODULES, SYSCTLS
from provision.providers.kubeadm.steps import drift
from provision.providers.kubeadm.steps import role_vars as desired
from provision.providers.kubeadm.steps.context import reasons_of, step
from provision.versions import versions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provision.model.cluster import Host
    from provision.model.plan import PlaybookStep
    from provision.providers.kubeadm.facts.host import HostFacts
    from provision.providers.kubeadm.steps.context import View


def host_steps(view: View) -> Iterator[PlaybookStep]:
    cluster = view.cluster
    yield from step(
        "prepare-hosts",
        "Prepare hosts: swap off, kernel modules, sysctls, names",
        reasons=reasons_of((host.name, drift.preparation(cluster, host, seen)) for host, seen in view.hosts),
        variables={
            "host_prepare_modules": list(MODULES),
            "host_prepare_sysctls": dict.fromkeys(SYSCTLS, desired.SYSCTL_VALUE),
        },
        host_variables={
            host.name: {
                "host_prepare_hostname": host.name,
                "host_prepare_hosts_entries": desired.hosts_entries(cluster, host),
            }
            for host in cluster.hosts
        },
    )
    kept = {host.name: drift.containerd_version(seen) for host, seen in view.hosts}
    yield from step(
        "install-containerd",
        "Install and configure containerd",
        needs=("prepare-hosts",),
        reasons=reasons_of(
            (host.name, drift.runtime(cluster, seen, member=view.members.is_member(host.name)))
            for host, seen in view.hosts
        ),
        variables=desired.containerd_variables(cluster),
        host_variables={name: {"containerd_version": version} for name, version in kept.items() if version},
    )
    yield from step(
        "install-kubernetes",
        "Install kubeadm, kubelet and kubectl",
        needs=("install-containerd",),
        reasons=reasons_of(
            (host.name, drift.packages(cluster, seen, member=view.members.is_member(host.name)))
            for host, seen in view.hosts
        ),
        variables=desired.package_variables(cluster),
        host_variables={host.name: _package_variables(view, host, seen) for host, seen in view.hosts},
    )
    images = {host.name: _images(view, host) for host, _ in view.hosts}
    yield from step(
        "pull-images",
        "Pull images ahead of their use",
        needs=("install-containerd",),
        reasons=tuple(
            Reason(name, f"will need {len(needed)} images") for name, needed in images.items() if needed
        ),
        host_variables={name: {"images_pull": needed} for name, needed in images.items()},
    )


def _images(view: View, host: Host) -> list[str]:
    """What a host is about to run; [] if it has all of it already."""
    cluster, members = view.cluster, view.members
    now = view.seen.cluster
    version = now.calico_version if now and members.initialise is None else ""
    new = not members.is_member(host.name)
    images: list[str] = []
    if new:  # in the order of use: kubeadm waits for the first ones
        images += desired.control_plane_images(cluster) if host.role == "control-plane" else []
        images += desired.node_images(cluster)
    if new or (now is not None and not now.has_network):
        images += desired.calico_images(version)
    if view.smoke and new:
        images.append(versions().smoke_test.image)
    return images


def _package_variables(view: View, host: Host, seen: HostFacts) -> dict[str, object]:
    variables: dict[str, object] = {"kube_packages_login_user": seen.machine.login}
    kubelet = seen.software.packages.get("kubelet")
    if kubelet and view.members.is_member(host.name):
        variables["kube_packages_version"] = kubelet.upstream  # a node keeps the version that it has
    return variables
