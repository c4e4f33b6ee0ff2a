"""Docker Engine from Docker's package repository, and cri-dockerd, which gives it the CRI, from its release archive."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from provision.model.units import minor_of, numbers_of
from provision.providers.kubeadm.runtimes.runtime import (
    configuration_reasons,
    mirror_locations,
    sandbox_image,
    selinux_variables,
    service_reasons,
)
from provision.versions import versions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from provision.model.cluster import Cluster
    from provision.providers.kubeadm.facts.host import HostFacts
    from provision.providers.kubeadm.facts.software import Package

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
# The API server passes WebSockets on to kubelets that declare this feature, and the kubelet translates them for the
# runtime; with cri-dockerd that fails ("server gave HTTP response to HTTPS client"). A kubelet without the gate does
# not declare it, and the API server translates for that node alone, as it did before 1.36. (pkg/kubelet/server and
# pkg/registry/core/pod/rest of 1.36.3 and 1.37.2; cri-dockerd#560)
WEBSOCKETS = "ExtendWebSocketsToKubelet"
_GATE_SINCE = (1, 36)
_OLDEST = (23,)  # the API of cri-dockerd 0.3.12 and newer


@dataclass(frozen=True, slots=True)
class _Docker:
    name: Literal["docker"] = "docker"
    title: str = "Docker"
    socket: str = "unix:///run/cri-dockerd.sock"
    package: str = "docker-ce"
    images: str = "/var/lib/containerd"  # Engine 29 and newer keep images in containerd

    def default_version(self, cluster: Cluster) -> str:  # noqa: ARG002 - one for all of them
        return versions().docker.engine

    def reasons(self, cluster: Cluster, facts: HostFacts, *, member: bool) -> Iterator[str]:
        packages, settings = facts.software.packages, facts.software.docker
        package = packages.get(self.package)
        if package is None:
            yield "Docker is not installed"
            return
        if not member:  # the version of a running node never changes as a side effect
            wanted = cluster.version_of(self.name)
            if numbers_of(package.upstream) < _OLDEST:
                yield f"Docker is {package.upstream}, {_OLDEST[0]}.0 or newer is needed"
            elif wanted and wanted != package.upstream:
                yield f"Docker is {package.upstream}, {wanted} is wanted"
        for name in (self.package, "docker-ce-cli", "containerd.io"):
            found = packages.get(name)
            yield from found.state(name) if found else [f"{name} is not installed"]
        archive, _ = archives(cluster)
        if settings.version != archive and not (member and settings.version):
            there = f"is {settings.version}" if settings.version else "is not installed"
            yield f"cri-dockerd {there}, {archive} is wanted"
        yield from configuration_reasons(self, facts, {}, cluster, member=member)
        if settings.configured and not settings.bounded_logs:
            yield "Docker does not limit the logs of containers"
        for registry in insecure_registries(cluster):
            if registry not in settings.insecure:
                yield f"Docker does not pull from {registry} without TLS"
        yield from service_reasons(self.title, "docker", facts)
        yield from service_reasons("cri-dockerd", "cri-docker", facts)

    def variables(self, cluster: Cluster) -> dict[str, object]:
        source, docker = versions().containerd.packages, versions().docker
        version, digests = archives(cluster)
        return {
            "docker_version": cluster.version_of(self.name) or self.default_version(cluster),
            "docker_containerd_version": versions().containerd.version,
            "docker_repository_url": (cluster.mirror.packages or source.url).rstrip("/"),
            "docker_repository_fingerprint": cluster.mirror.packages_key or source.fingerprint,
            "docker_repository_rpm_fingerprint": cluster.mirror.packages_key or source.rpm_fingerprint,
            "docker_cri_dockerd_version": version,
            "docker_cri_dockerd_url": (cluster.mirror.packages or docker.url).rstrip("/"),
            "docker_cri_dockerd_digests": digests,
            "docker_sandbox_image": sandbox_image(cluster),
            "docker_insecure_registries": insecure_registries(cluster),
        }

    def host_variables(self, cluster: Cluster, facts: HostFacts, *, member: bool) -> dict[str, object]:
        """A node keeps its versions; any other host those of packages that fit, if the file names none."""
        packages, settings = facts.software.packages, facts.software.docker
        engine, containerd = packages.get(self.package), packages.get("containerd.io")
        kept = selinux_variables(self, facts)
        if _fits(engine) and engine and (member or not cluster.version_of(self.name)):
            kept["docker_version"] = engine.upstream
        if containerd is not None and containerd.whole:
            kept["docker_containerd_version"] = containerd.upstream
        if member and settings.version:
            kept["docker_cri_dockerd_version"] = settings.version
        return kept


DOCKER = _Docker()


def archives(cluster: Cluster) -> tuple[str, Mapping[str, str]]:
    """Version of cri-dockerd and, by architecture, the known digests of its archives; the file's are preferred."""
    own, known = cluster.mirror.digests, versions().docker
    named = (re.fullmatch(r"cri-dockerd-([\d.]+)\.\w+\.tgz", name) for name in own)
    version = next((match[1] for match in named if match), known.cri_dockerd)
    digests = {**known.digests, **own}
    names = {one: f"cri-dockerd-{version}.{one}.tgz" for one in ARCHITECTURES.values()}
    return version, {one: digests[name] for one, name in names.items() if name in digests}


def insecure_registries(cluster: Cluster) -> list[str]:
    """`host:port` of a registry mirror that has no TLS: Docker refuses it unless it is named."""
    if not (cluster.mirror.images or "").startswith("http://"):
        return []
    return sorted({location.partition("/")[0] for location in mirror_locations(cluster).values()})


def kubelet_arguments(cluster: Cluster) -> list[dict[str, str]]:
    """Flags of the kubelet on a host with Docker, as kubeadm spells them."""
    if numbers_of(minor_of(cluster.kubernetes)) < _GATE_SINCE:
        return []  # a gate that a kubelet does not know keeps it from starting
    return [{"name": "feature-gates", "value": f"{WEBSOCKETS}=false"}]


def _fits(package: Package | None) -> bool:
    return package is not None and package.whole and numbers_of(package.upstream) >= _OLDEST
