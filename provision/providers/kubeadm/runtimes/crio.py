"""CRI-O from its own package repository, one for each minor, which is that of Kubernetes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from provision.model.units import minor_of
from provision.providers.kubeadm.runtimes.runtime import (
    configuration_reasons,
    mirror_locations,
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


@dataclass(frozen=True, slots=True)
class _Crio:
    name: Literal["crio"] = "crio"
    title: str = "CRI-O"
    socket: str = "unix:///run/crio/crio.sock"
    package: str = "cri-o"
    images: str = "/var/lib/containers"

    def default_version(self, cluster: Cluster) -> str:
        return versions().kubernetes.minors[minor_of(cluster.kubernetes)].crio

    def reasons(self, cluster: Cluster, facts: HostFacts, *, member: bool) -> Iterator[str]:
        package = facts.software.packages.get(self.package)
        if package is None:
            yield "CRI-O is not installed"
            return
        minor = minor_of(cluster.kubernetes)
        if minor_of(package.upstream) != minor:
            if not member:  # the version of a running node never changes as a side effect
                yield f"CRI-O is {package.upstream}, {minor} is needed for Kubernetes {minor}"
            return
        wanted = cluster.version_of(self.name)
        if wanted and wanted != package.upstream and not member:
            yield f"CRI-O is {package.upstream}, {wanted} is wanted"
        yield from package.state(self.package)
        mirrors = mirror_locations(cluster)
        yield from configuration_reasons(self, facts, mirrors, cluster, member=member)
        yield from service_reasons(self.title, "crio", facts)

    def variables(self, cluster: Cluster) -> dict[str, object]:
        return {
            **role_variables(self, cluster, versions().crio.packages),
            "crio_mirrors": registry_mirrors(cluster),
        }

    def host_variables(self, cluster: Cluster, facts: HostFacts, *, member: bool) -> dict[str, object]:
        """A node keeps its version; any other host, too, if it fits Kubernetes and the file names none."""
        package, kept = facts.software.packages.get(self.package), selinux_variables(self, facts)
        if package is None or not package.whole or (cluster.version_of(self.name) and not member):
            return kept
        if member or minor_of(package.upstream) == minor_of(cluster.kubernetes):
            kept["crio_version"] = package.upstream
        return kept


CRIO = _Crio()
