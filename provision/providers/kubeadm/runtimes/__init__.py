"""Container runtimes: the one place that lists them. A further one is a module here, a role and its versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.providers.kubeadm.runtimes.containerd import CONTAINERD
from provision.providers.kubeadm.runtimes.runtime import Runtime

if TYPE_CHECKING:
    from provision.model.cluster import Cluster

__all__ = ["RUNTIMES", "Runtime", "runtime_of"]

RUNTIMES: dict[str, Runtime] = {CONTAINERD.name: CONTAINERD}


def runtime_of(cluster: Cluster) -> Runtime:
    """The runtime that the file asks for; `config/rules` refuses a file with one that is not in the list."""
    return RUNTIMES[cluster.runtime]
