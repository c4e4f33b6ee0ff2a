"""What the planning of steps knows of a container runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from provision.model.units import minor_of
from provision.versions import versions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provision.model.cluster import Cluster
    from provision.providers.kubeadm.facts.host import HostFacts

KUBERNETES_REGISTRY = "registry.k8s.io"


class Runtime(Protocol):
    """A container runtime; its step `install-<name>` runs the playbook of that name."""

    @property
    def name(self) -> str:
        """The value of `runtime` in the cluster file."""

    @property
    def socket(self) -> str:
        """URL of its CRI socket, for kubeadm and the kubelet."""

    def reasons(self, cluster: Cluster, facts: HostFacts, *, member: bool) -> Iterator[str]:
        """Why a host needs the step; `member`: it is a node already, so that no version may change."""

    def variables(self, cluster: Cluster) -> dict[str, object]:
        """Variables of its role for the whole play."""

    def host_variables(self, cluster: Cluster, facts: HostFacts, *, member: bool) -> dict[str, object]:
        """Variables of its role for one host: what is kept there."""


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
