"""How a host differs from what the file asks for, as the reasons that a plan shows. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.providers.kubeadm.steps import role_vars as desired

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provision.model.cluster import Cluster, Host
    from provision.providers.kubeadm.facts.host import HostFacts, Package

_OLDEST_CONTAINERD = 2  # the configuration that we write is version 3, of containerd 2
_PACKAGES = ("kubeadm", "kubelet", "kubectl")


def preparation(cluster: Cluster, host: Host, seen: HostFacts) -> Iterator[str]:
    """Why the step prepare-hosts is needed."""
    yield from _swap(seen)
    for name, module in seen.kernel.modules.items():
        if not module.loaded:
            yield f"{name} is not loaded"
        elif not module.at_boot:
            yield f"{name} is not loaded at boot"
    for name, sysctl in seen.kernel.sysctls.items():
        if sysctl.now and sysctl.now != desired.SYSCTL_VALUE:
            yield f"{name} is {sysctl.now}"
        elif sysctl.at_boot != desired.SYSCTL_VALUE:
            yield (
                f"{name} is {sysctl.at_boot} at boot ({sysctl.file})"
                if sysctl.at_boot
                else f"{name} is not set at boot"
            )
    if seen.machine.hostname != host.name:
        yield f"its host name is {seen.machine.hostname}"
    known = {(entry.address, name) for entry in seen.machine.hosts for name in entry.names}
    for wanted in desired.hosts_entries(cluster, host):
        names = wanted["names"]
        if isinstance(names, list) and any((wanted["address"], name) not in known for name in names):
            yield f"/etc/hosts lacks {wanted['address']} {' '.join(names)}"


def runtime(cluster: Cluster, seen: HostFacts, *, member: bool) -> Iterator[str]:
    """Why the step install-containerd is needed. `member`: the host is a node already."""
    package = seen.software.packages.get("containerd.io")
    if package is None:
        yield "containerd is not installed"
        return
    if _major(package) < _OLDEST_CONTAINERD:
        if not member:  # of a running node no version is ever changed by the way
            yield f"containerd is {package.upstream}, {_OLDEST_CONTAINERD}.0 or newer is needed"
        return
    yield from _marks("containerd.io", package)
    yield from _containerd_settings(cluster, seen, member=member)
    service = seen.software.services.get("containerd")
    if service is None or not service.active:
        yield "containerd is not running"
    elif not service.enabled:
        yield "containerd does not start at boot"


def containerd_version(seen: HostFacts) -> str | None:
    """The version that is there and good enough, to be kept; None where the pinned one is to be installed."""
    package = seen.software.packages.get("containerd.io")
    fit = package is not None and package.whole and _major(package) >= _OLDEST_CONTAINERD
    return package.upstream if package is not None and fit else None


def packages(cluster: Cluster, seen: HostFacts, *, member: bool) -> Iterator[str]:
    """Why the step install-kubernetes is needed; another version on a node is a matter for an upgrade, not for this."""
    for name in _PACKAGES:
        package = seen.software.packages.get(name)
        if package is None:
            yield f"{name} is not installed"
        elif package.upstream != cluster.kubernetes and not member:
            yield f"{name} is {package.upstream}, {cluster.kubernetes} is wanted"
        else:
            yield from _marks(name, package)


def _swap(seen: HostFacts) -> Iterator[str]:
    swap = seen.machine.swap
    origins: dict[str, str] = {}
    for source in swap.sources:
        # zram-generator also makes a unit, which says less.
        if not origins.get(source.path, "").startswith("zram"):
            origins[source.path] = source.origin
    for path in swap.active:
        yield f"swap is on ({path}, from {origins.pop(path)})" if path in origins else f"swap is on ({path})"
    for path, origin in origins.items():
        yield f"swap would be on after a reboot ({path + ', ' if path else ''}from {origin})"


def _marks(name: str, package: Package) -> Iterator[str]:
    if not package.whole:
        yield f"{name} is only half installed"
    elif not package.held:
        yield f"{name} is not held at its version"


def _containerd_settings(cluster: Cluster, seen: HostFacts, *, member: bool) -> Iterator[str]:
    settings = seen.software.containerd
    if not settings.configured:
        yield "containerd is not configured"
        return
    if settings.cri_disabled:
        yield "containerd's CRI plugin is disabled"
    if not settings.systemd_cgroup:
        yield "containerd does not use the systemd cgroup driver"
    wanted = desired.sandbox_image(cluster)
    # A newer tag that only this release of the tool knows is no reason to restart the runtime of a node.
    same = settings.sandbox_image.rpartition(":")[0] == wanted.rpartition(":")[0]
    if settings.sandbox_image != wanted and not (member and same):
        yield f"containerd's sandbox image is {settings.sandbox_image or 'not set'}, {wanted} is wanted"
    mirrors = desired.mirrors(cluster)
    for registry, url in mirrors.items():
        there = settings.hosts.get(registry)
        if there is None or there.urls[:1] != (url,):
            yield f"containerd does not pull {registry} from {url}"
    for registry, there in settings.hosts.items():
        if there.ours and registry not in mirrors:
            yield f"containerd pulls {registry} from {', '.join(there.urls)}, which the file does not ask for"


def _major(package: Package) -> int:
    number = package.upstream.partition(".")[0]
    return int(number) if number.isdigit() else 0
