"""containerd from Docker's package repository, with the configuration version of containerd 2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from provision.providers.kubeadm.runtimes.runtime import registry_mirrors, sandbox_image
from provision.versions import versions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provision.model.cluster import Cluster
    from provision.providers.kubeadm.facts.host import HostFacts
    from provision.providers.kubeadm.facts.software import Package

_OLDEST = 2  # the configuration that the role writes is version 3, of containerd 2
_PACKAGE = "containerd.io"


@dataclass(frozen=True, slots=True)
class _Containerd:
    name: str = "containerd"
    socket: str = "unix:///run/containerd/containerd.sock"

    def reasons(self, cluster: Cluster, facts: HostFacts, *, member: bool) -> Iterator[str]:
        package = facts.software.packages.get(_PACKAGE)
        if package is None:
            yield "containerd is not installed"
            return
        if _major(package) < _OLDEST:
            if not member:  # the version of a running node never changes as a side effect
                yield f"containerd is {package.upstream}, {_OLDEST}.0 or newer is needed"
            return
        wanted = cluster.runtime_version
        if wanted and wanted != package.upstream and not member:
            yield f"containerd is {package.upstream}, {wanted} is wanted"
        yield from package.state(_PACKAGE)
        yield from _settings(cluster, facts, member=member)
        service = facts.software.services.get("containerd")
        if service is None or not service.active:
            yield "containerd is not running"
        elif not service.enabled:
            yield "containerd does not start at boot"

    def variables(self, cluster: Cluster) -> dict[str, object]:
        source = versions().containerd.packages
        return {
            "containerd_version": cluster.runtime_version or versions().containerd.version,
            "containerd_repository_url": (cluster.mirror.packages or source.url).rstrip("/"),
            "containerd_repository_fingerprint": cluster.mirror.packages_key or source.fingerprint,
            "containerd_sandbox_image": sandbox_image(cluster),
            "containerd_mirrors": registry_mirrors(cluster),
        }

    def host_variables(self, cluster: Cluster, facts: HostFacts, *, member: bool) -> dict[str, object]:
        """A node keeps its version; any other host, too, if it is new enough and the file names none."""
        package = facts.software.packages.get(_PACKAGE)
        fits = package is not None and package.whole and _major(package) >= _OLDEST
        if cluster.runtime_version and not member:
            return {}
        return {"containerd_version": package.upstream} if package is not None and fits else {}


CONTAINERD = _Containerd()


def _settings(cluster: Cluster, facts: HostFacts, *, member: bool) -> Iterator[str]:
    settings = facts.software.containerd
    if not settings.configured:
        yield "containerd is not configured"
        return
    if settings.cri_disabled:
        yield "containerd's CRI plugin is disabled"
    if not settings.systemd_cgroup:
        yield "containerd does not use the systemd cgroup driver"
    wanted = sandbox_image(cluster)
    # A newer tag that only this release knows is no reason to restart the runtime of a node.
    same = settings.sandbox_image.rpartition(":")[0] == wanted.rpartition(":")[0]
    if settings.sandbox_image != wanted and not (member and same):
        yield f"containerd's sandbox image is {settings.sandbox_image or 'not set'}, {wanted} is wanted"
    mirrors = registry_mirrors(cluster)
    for registry, url in mirrors.items():
        found = settings.hosts.get(registry)
        if found is None or found.urls[:1] != (url,):
            yield f"containerd does not pull {registry} from {url}"
    for registry, found in settings.hosts.items():
        if found.ours and registry not in mirrors:
            yield f"containerd pulls {registry} from {', '.join(found.urls)}, which the file does not ask for"


def _major(package: Package) -> int:
    number = package.upstream.partition(".")[0]
    return int(number) if number.isdigit() else 0
