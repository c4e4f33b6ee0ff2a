"""Container runtimes that steps can install. docs/architecture.md says what a further one touches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.model.units import numbers_of
from provision.providers.kubeadm.runtimes.containerd import CONTAINERD
from provision.providers.kubeadm.runtimes.crio import CRIO
from provision.providers.kubeadm.runtimes.docker import DOCKER
from provision.providers.kubeadm.runtimes.runtime import Runtime

if TYPE_CHECKING:
    from provision.model.cluster import Cluster, Host
    from provision.providers.kubeadm.facts.host import HostFacts

__all__ = ["RUNTIMES", "Runtime", "runtime_change", "runtime_upgrade"]

RUNTIMES: dict[str, Runtime] = {one.name: one for one in (CONTAINERD, CRIO, DOCKER)}


def runtime_change(cluster: Cluster, host: Host, facts: HostFacts) -> tuple[Runtime, Runtime] | None:
    """The runtime that a node's kubelet is configured for, and the other one that the file asks for.

    None where they are the same, on a host that is no node, and for a runtime that is not known.
    """
    endpoint = facts.kubernetes.runtime_endpoint.replace("/var/run/", "/run/")
    found = next((one for one in RUNTIMES.values() if one.socket == endpoint), None)
    wanted = RUNTIMES[cluster.runtime_of(host)]
    return None if found is None or found is wanted else (found, wanted)


def runtime_upgrade(cluster: Cluster, host: Host, facts: HostFacts) -> tuple[str, str] | None:
    """Version of the runtime that a node has, and the newer one that the file names for it.

    None where the file names none or no newer one, and where the runtime itself changes.
    """
    runtime = RUNTIMES[cluster.runtime_of(host)]
    package, wanted = facts.software.packages.get(runtime.package), cluster.version_of(runtime.name)
    if package is None or wanted is None or runtime_change(cluster, host, facts) is not None:
        return None
    newer = numbers_of(wanted) > numbers_of(package.upstream)
    return (package.upstream, wanted) if newer else None
