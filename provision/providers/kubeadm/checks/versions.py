"""Do versions that the file names fit what is installed: of the container runtime and of the network plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.model.plan import Finding
from provision.model.units import numbers_of
from provision.providers.kubeadm.steps.context import new_nodes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provision.model.cluster import Cluster
    from provision.providers.kubeadm.facts.host import Observation


def runtime(cluster: Cluster, observation: Observation) -> Iterator[Finding]:
    """A node keeps the version of its runtime, and no package of another host is downgraded."""
    wanted = cluster.runtime_version
    if not wanted:
        return
    for host, facts in new_nodes(cluster, observation):
        package = facts.software.packages.get("containerd.io")
        if package is not None and numbers_of(package.upstream) > numbers_of(wanted):
            yield Finding.error(
                "runtime-version",
                host.name,
                f"containerd {package.upstream} is installed, newer than the file's {wanted}",
                f'write runtime_version: "{package.upstream}", or `sudo apt-get purge containerd.io` there',
            )
    for host in cluster.hosts:
        node = observation.cluster.node(host.name) if observation.cluster else None
        if node and node.runtime_name == cluster.runtime and node.runtime_version != wanted:
            yield Finding.warning(
                "runtime-version",
                host.name,
                f"it runs {node.runtime_name} {node.runtime_version}, the file says {wanted}; a node keeps its runtime",
                f"`provision node replace {host.name}` installs {wanted}, or take runtime_version out",
            )


def network(cluster: Cluster, observation: Observation) -> Iterator[Finding]:
    """An installed network plugin keeps its version."""
    wanted, found = cluster.network.version, observation.cluster
    installed = found.calico_version.removeprefix("v") if found and found.has_network else ""
    if wanted and installed and wanted != installed:
        yield Finding.warning(
            "network-version",
            "",
            f"the cluster runs Calico {installed}, the file says {wanted}; an installed plugin is kept",
            f'write network.version: "{installed}"',
        )
