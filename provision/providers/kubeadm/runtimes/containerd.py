"""containerd from Docker's package repository, with the configuration version of containerd 2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from provision.providers.kubeadm.runtimes.runtime import (
    configuration_reasons,
    registry_mirrors,
    role_variables,
    selinux_variables,
    service_reasons,
)
from provision.versions import versions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provision.model.cluster import Cluster
    from provision.providers.kubeadm.facts.host import HostFacts
    from provision.providers.kubeadm.facts.software import Package

_OLDEST = 2  # the configuration that the role writes is version 3, of containerd 2


@dataclass(frozen=True, slots=True)
class _Containerd:
    name: Literal["containerd"] = "containerd"
    title: str = "containerd"
    socket: str = "unix:///run/containerd/containerd.sock"
    package: str = "containerd.io"
    images: str = "/var/lib/containerd"

    def default_version(self, cluster: Cluster) -> str:  # noqa: ARG002 - one for all of them
        return versions().containerd.version

    def reasons(self, cluster: Cluster, facts: HostFacts, *, member: bool) -> Iterator[str]:
        package = facts.software.packages.get(self.package)
        if package is None:
            yield "containerd is not installed"
            return
        if _major(package) < _OLDEST:
            if not member:  # the version of a running node never changes as a side effect
                yield f"containerd is {package.upstream}, {_OLDEST}.0 or newer is needed"
            return
        wanted = cluster.version_of(self.name)
        if wanted and wanted != package.upstream and not member:
            yield f"containerd is {package.upstream}, {wanted} is wanted"
        yield from package.state(self.package)
        mirrors = registry_mirrors(cluster)
        yield from configuration_reasons(self, facts, mirrors, cluster, member=member)
        yield from service_reasons(self.title, "containerd", facts)

    def variables(self, cluster: Cluster) -> dict[str, object]:
        source = versions().containerd.packages
        return {
            **role_variables(self, cluster, source),
            "containerd_repository_rpm_fingerprint": cluster.mirror.packages_key or source.rpm_fingerprint,
            "containerd_mirrors": registry_mirrors(cluster),
        }

    def host_variables(self, cluster: Cluster, facts: HostFacts, *, member: bool) -> dict[str, object]:
        """A node keeps its version; any other host, too, if it is new enough and the file names none."""
        package, values = facts.software.packages.get(self.package), selinux_variables(self, facts)
        if package is not None and _major(package) < _OLDEST:
            values["containerd_replaces_version_1"] = True
        elif package is not None and package.whole and (member or not cluster.version_of(self.name)):
            values["containerd_version"] = package.upstream
        return values


CONTAINERD = _Containerd()


def _major(package: Package) -> int:
    number = package.upstream.partition(".")[0]
    return int(number) if number.isdigit() else 0
