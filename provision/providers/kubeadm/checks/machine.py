"""Is the machine fit: system, size, disks, cgroups, clock."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from provision.model.plan import Finding
from provision.model.units import minor_of, numbers_of
from provision.providers.kubeadm.runtimes import RUNTIMES
from provision.providers.kubeadm.steps.context import new_nodes
from provision.providers.kubeadm.steps.role_vars import chosen_dataplane
from provision.providers.kubeadm.systems import family_of, package_manager_of, supported_systems

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from provision.model.cluster import Cluster
    from provision.providers.kubeadm.facts.host import Disk, Observation

_ARCHITECTURES = ("x86_64", "aarch64")
# The limits of kubeadm itself, in its constants.go
_CONTROL_PLANE_MIB, _CONTROL_PLANE_CPUS = 1700, 2
_WORKER_MIB = 700  # kubelet, runtime, kube-proxy and Calico together take about 500
# Free MiB that a new node needs: images and their layers, logs and volumes, etcd's data, packages.
_IMAGES_MIB = 3072  # in the directory of the container runtime
_NEEDED_MIB = {"/var/lib/kubelet": 1024, "/": 1024}
_ETCD_MIB = {"/var/lib/etcd": 1024}
_EVICTION = 0.10  # below this share of free space the kubelet evicts pods (evictionHard of nodefs)
_SKEW_SECONDS = 30
_NFTABLES_KERNEL = (5, 13)  # https://kubernetes.io/docs/reference/networking/virtual-ips/#proxy-mode-nftables
_CGROUP_1_ENDS = (1, 35)  # kubelet refuses to start: failCgroupV1


def system(cluster: Cluster, observation: Observation) -> Iterator[Finding]:
    """Known distribution, systemd, known architecture."""
    for host, facts in new_nodes(cluster, observation):
        machine = facts.machine
        family = family_of(machine.os)
        name = machine.os.name or machine.os.id or "an unknown system"
        if family is None or not family.supports(machine.os):
            why = family.too_old.get(machine.os.version.partition(".")[0], "") if family else ""
            what = f"it runs {name}" + (f": {why}" if why else "")
            yield Finding.error("system", host.name, what, f"use {supported_systems()}")
        elif not machine.systemd:
            yield Finding.error(
                "system", host.name, "it was not started by systemd", "use a machine, not a plain container"
            )
        elif machine.os.id in family.untested:
            what = f"it runs {name}, on which provision was never tried as a whole"
            yield Finding.warning("system-untested", host.name, what, "try it on a host that you can spare")
        if machine.architecture not in _ARCHITECTURES:
            yield Finding.error(
                "architecture",
                host.name,
                f"its architecture is {machine.architecture}",
                f"use one of {', '.join(_ARCHITECTURES)}",
            )


def size(cluster: Cluster, observation: Observation) -> Iterator[Finding]:
    """Memory and processors, with kubeadm's own limits for control planes."""
    ignored = cluster.kubeadm.ignore_preflight_errors
    for host, facts in new_nodes(cluster, observation):
        control_plane = host.role == "control-plane"
        needed = _CONTROL_PLANE_MIB if control_plane else _WORKER_MIB
        if facts.machine.memory_mib < needed and not (control_plane and "Mem" in ignored):
            yield Finding.error(
                "memory",
                host.name,
                f"it has {facts.machine.memory_mib} MiB of memory, a {host.role} needs {needed}",
                "give it more" + (", or add Mem to kubeadm.ignore_preflight_errors" if control_plane else ""),
            )
        if control_plane and facts.machine.cpus < _CONTROL_PLANE_CPUS and "NumCPU" not in ignored:
            yield Finding.error(
                "cpus",
                host.name,
                f"it has {facts.machine.cpus} CPU, a control plane needs {_CONTROL_PLANE_CPUS}",
                "give it more, or add NumCPU to kubeadm.ignore_preflight_errors",
            )


def disks(cluster: Cluster, observation: Observation) -> Iterator[Finding]:
    """Room for images, data and logs, counted per file system; places that must allow programs and writing."""
    fresh = {host.name for host, _ in new_nodes(cluster, observation)}
    for host, facts in observation.observed(cluster.hosts):
        found = facts.machine.disks
        # Where an interrupted run has installed the runtime, the images that need the room may lie there already.
        runtime = RUNTIMES[cluster.runtime_of(host)]
        begun = runtime.package in facts.software.packages
        if host.name in fresh and not begun:
            needs = {runtime.images: _IMAGES_MIB, **_NEEDED_MIB}
            needs |= _ETCD_MIB if host.role == "control-plane" else {}
            yield from _room(host.name, found, needs)
            yield from _mounts(host.name, found)
        else:
            yield from _nearly_full(host.name, found)


def cgroups(cluster: Cluster, observation: Observation) -> Iterator[Finding]:
    """Version 2 of cgroups, without which newer kubelets do not start."""
    major, minor = (int(part) for part in minor_of(cluster.kubernetes).split("."))
    for name, facts in observation.hosts.items():
        if facts.kernel.cgroup == 1:
            refused = (major, minor) >= _CGROUP_1_ENDS
            judge = Finding.error if refused else Finding.warning
            yield judge(
                "cgroup-v1",
                name,
                f"it uses cgroups of version 1, {'with which the kubelet does not start' if refused else 'a dead end'}",
                "boot it with systemd.unified_cgroup_hierarchy=1 on the kernel's command line",
            )


def nftables_kernel(cluster: Cluster, observation: Observation) -> Iterator[Finding]:
    """A kernel that is new enough for the nftables mode of kube-proxy; nft itself is in its image and in Calico's."""
    if chosen_dataplane(cluster, observation) != "nftables":
        return
    for host, facts in new_nodes(cluster, observation):
        if numbers_of(facts.machine.kernel)[:2] < _NFTABLES_KERNEL:
            needed = ".".join(map(str, _NFTABLES_KERNEL))
            yield Finding.error(
                "kernel",
                host.name,
                f"its kernel is {facts.machine.kernel}, `dataplane: nftables` needs {needed} or newer",
                "install a newer kernel, or write `network: {dataplane: iptables}`",
            )


def clock(cluster: Cluster, observation: Observation) -> Iterator[Finding]:  # noqa: ARG001 - all checks look alike
    """Clocks that agree: certificates and leases depend on it. This machine's clock has a vote, too."""
    median = statistics.median([0.0, *(facts.skew for facts in observation.hosts.values())])
    for name, facts in observation.hosts.items():
        off = facts.skew - median
        if abs(off) > _SKEW_SECONDS:
            yield Finding.error(
                "clock-skew",
                name,
                f"its clock is {abs(off):.0f} s {'ahead of' if off > 0 else 'behind'} the others'",
                package_manager_of(facts).clock,
            )


def _room(name: str, found: Mapping[str, Disk], needs: Mapping[str, int]) -> Iterator[Finding]:
    devices: dict[int, list[str]] = {}
    for path in needs:
        if path in found:
            devices.setdefault(found[path].device, []).append(path)
    for paths in devices.values():
        needed, free = sum(needs[path] for path in paths), found[paths[0]].free_mib
        if free < needed:
            yield Finding.error(
                "disk",
                name,
                f"{free} MiB are free for {', '.join(sorted(paths))}, {needed} MiB are needed",
                "make room or give it a bigger disk",
            )


def _mounts(name: str, found: Mapping[str, Disk]) -> Iterator[Finding]:
    for path, disk in found.items():
        if disk.read_only:
            yield Finding.error(
                "read-only",
                name,
                f"the file system of {path} is read-only",
                "look at `dmesg` for disk errors",
            )
        elif disk.noexec:
            judge = Finding.warning if path in ("/tmp", "/var/lib/etcd") else Finding.error  # noqa: S108 - a mount, not a file
            yield judge(
                "noexec",
                name,
                f"programs on the file system of {path} may not be run (noexec)",
                f"`mount -o remount,exec` it, and take noexec out of /etc/fstab, or give {path} a disk of its own",
            )


def _nearly_full(name: str, found: Mapping[str, Disk]) -> Iterator[Finding]:
    disk = found.get("/var/lib/kubelet")
    if disk is not None and disk.free_mib < disk.size_mib * _EVICTION:
        yield Finding.warning(
            "disk",
            name,
            f"{disk.free_mib} of {disk.size_mib} MiB are free for /var/lib/kubelet: the kubelet evicts pods",
            "make room or give it a bigger disk",
        )
