"""Container runtimes that steps can install. docs/architecture.md says what a further one touches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.providers.kubeadm.runtimes.containerd import CONTAINERD
from provision.providers.kubeadm.runtimes.runtime import Runtime

if TYPE_CHECKING:
    from provision.model.cluster import Cluster

__all__ = ["RUNTIMES", "Runtime", "runtime_of"]

RUNTIMES: dict[str, Runtime] = {CONTAINERD.name: CONTAINERD}


def runtime_of(cluster: Cluster) -> Runtime:
    """The runtime that the file asks for; `config/rules/kubernetes.py` refuses those that are not supported yet."""
    return RUNTIMES[cluster.runtime]
