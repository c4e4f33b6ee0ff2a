"""What the planning of steps knows of a container runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from provision.model.units import minor_of
from provision.versions import versions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from provision.model.cluster import Cluster, Runtime as RuntimeName
    from provision.providers.kubeadm.facts.host import HostFacts
    from provision.providers.kubeadm.facts.software import RuntimeSettings
    from provision.versions import PackageSource

KUBERNETES_REGISTRY = "registry.k8s.io"


class Runtime(Protocol):
    """A container runtime; its step `install-<name>` runs the playbook of that name."""

    @property
    def name(self) -> RuntimeName:
        """The value of `runtime` in the cluster file."""

    @property
    def title(self) -> str:
        """Its name in sentences."""

    @property
    def socket(self) -> str:
        """URL of its CRI socket, for kubeadm and the kubelet."""

    @property
    def package(self) -> str:
        """The package that is there once it was installed."""

    @property
    def images(self) -> str:
        """The directory that holds its images."""

    def default_version(self, cluster: Cluster) -> str:
        """The choice of this release for the cluster's Kubernetes, for new hosts where the file names no version."""

    def reasons(self, cluster: Cluster, facts: HostFacts, *, member: bool) -> Iterator[str]:
        """Why a host needs the step; `member`: it is a node already, so that no version may change."""

    def variables(self, cluster: Cluster) -> dict[str, object]:
        """Variables of its role for the whole play."""

    def host_variables(self, cluster: Cluster, facts: HostFacts, *, member: bool) -> dict[str, object]:
        """Variables of its role for one host: what is kept there."""


def role_variables(runtime: Runtime, cluster: Cluster, source: PackageSource) -> dict[str, object]:
    """Variables that the roles of containerd and CRI-O share; `source` is the public package repository."""
    return {
        f"{runtime.name}_version": cluster.version_of(runtime.name) or runtime.default_version(cluster),
        f"{runtime.name}_repository_url": (cluster.mirror.packages or source.url).rstrip("/"),
        f"{runtime.name}_repository_fingerprint": cluster.mirror.packages_key or source.fingerprint,
        f"{runtime.name}_sandbox_image": sandbox_image(cluster),
    }


def sandbox_image(cluster: Cluster) -> str:
    """The pause image that goes with the cluster's Kubernetes minor."""
    pause = versions().kubernetes.minors[minor_of(cluster.kubernetes)].pause
    return f"{KUBERNETES_REGISTRY}/pause:{pause}"


def registry_mirrors(cluster: Cluster) -> dict[str, str]:
    """Registry -> URL that is used in its place; {} without a mirror."""
    if not cluster.mirror.images:
        return {}
    base = cluster.mirror.images.rstrip("/")
    registries = {image.partition("/")[0] for image in (*versions().calico.images, sandbox_image(cluster))}
    return {registry: f"{base}/v2/{registry}" for registry in sorted(registries)}


def mirror_locations(cluster: Cluster) -> dict[str, str]:
    """Registry -> repository in its place, as references to images spell it: quay.io -> `mirror:5000/quay.io`."""
    mirrors = registry_mirrors(cluster)
    return {registry: url.partition("://")[2].replace("/v2/", "/", 1) for registry, url in mirrors.items()}


def selinux_variables(runtime: Runtime, facts: HostFacts) -> dict[str, object]:
    """The variable of the role of a runtime for a host whose SELinux has to know its containers."""
    return {f"{runtime.name}_selinux": True} if facts.software.selinux else {}


def configuration_reasons(
    runtime: Runtime, facts: HostFacts, mirrors: Mapping[str, str], cluster: Cluster, *, member: bool
) -> Iterator[str]:
    """What differs from the file in the runtime's configuration; `mirrors` as the configuration spells them."""
    settings: RuntimeSettings = getattr(facts.software, runtime.name)
    if not settings.configured:
        yield f"{runtime.title} is not configured"
        return
    if settings.cri_disabled:
        yield f"{runtime.title}'s CRI plugin is disabled"
    if not settings.systemd_cgroup:
        yield f"{runtime.title} does not use the systemd cgroup driver"
    if facts.software.selinux and not settings.selinux:
        yield f"{runtime.title} does not label containers for SELinux"
    wanted = sandbox_image(cluster)
    # A newer tag that only this release knows is no reason to restart the runtime of a node.
    same = settings.sandbox_image.rpartition(":")[0] == wanted.rpartition(":")[0]
    if settings.sandbox_image != wanted and not (member and same):
        yield f"{runtime.title}'s sandbox image is {settings.sandbox_image or 'not set'}, {wanted} is wanted"
    for registry, url in mirrors.items():
        found = settings.hosts.get(registry)
        if found is None or found.urls[:1] != (url,):
            yield f"{runtime.title} does not pull {registry} from {url}"
    for registry, found in settings.hosts.items():
        if found.ours and registry not in mirrors:
            yield f"{runtime.title} pulls {registry} from {', '.join(found.urls)}, which the file does not ask for"


def service_reasons(title: str, service: str, facts: HostFacts) -> Iterator[str]:
    """Why the service of a runtime must be started or enabled."""
    found = facts.software.services.get(service)
    if found is None or not found.active:
        yield f"{title} is not running"
    elif not found.enabled:
        yield f"{title} does not start at boot"
