"""Container runtimes that steps can install. docs/architecture.md says what a further one touches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.providers.kubeadm.runtimes.containerd import CONTAINERD
from provision.providers.kubeadm.runtimes.crio import CRIO
from provision.providers.kubeadm.runtimes.docker import DOCKER
from provision.providers.kubeadm.runtimes.runtime import Runtime

if TYPE_CHECKING:
    from provision.providers.kubeadm.facts.host import HostFacts

__all__ = ["RUNTIMES", "Runtime", "running"]

RUNTIMES: dict[str, Runtime] = {one.name: one for one in (CONTAINERD, CRIO, DOCKER)}


def running(facts: HostFacts) -> Runtime | None:
    """The runtime that a node's kubelet is configured for; None on a host that is no node, or for an unknown one."""
    endpoint = facts.kubernetes.runtime_endpoint.replace("/var/run/", "/run/")
    return next((one for one in RUNTIMES.values() if one.socket == endpoint), None)
