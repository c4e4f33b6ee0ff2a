"""What is wrong with the hosts or the cluster, before anything is changed. Pure.

`CHECKS` is the one list of all rules: a new one is a function in the file of its topic and a line here.
What can be known from the file alone is checked when that is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from provision.providers.kubeadm.checks import (
    cluster as against_cluster,
    identity,
    machine,
    network,
    quorum,
    redhat,
    resets,
    software,
    versions,
)

if TYPE_CHECKING:
    from provision.model.cluster import Cluster
    from provision.model.plan import Finding
    from provision.providers.kubeadm.facts.host import Observation

Check = Callable[["Cluster", "Observation"], Iterator["Finding"]]

CHECKS: tuple[Check, ...] = (
    machine.system,
    machine.size,
    machine.disks,
    machine.cgroups,
    machine.clock,
    machine.nftables_kernel,
    identity.duplicates,
    identity.replaced_machines,
    identity.roles,
    network.ranges,
    network.pod_room,
    network.ports,
    network.plugins,
    network.virtual_address,
    network.default_route,
    network.firewalls,
    software.package_database,
    software.other_containerd,
    software.docker,
    software.docker_exec,
    software.runtime_change,
    software.sysctls,
    software.leftovers,
    software.kubelet,
    redhat.kernel_modules,
    redhat.subscription,
    redhat.fapolicyd,
    redhat.runc,
    redhat.rivals,
    redhat.cloud_setup,
    redhat.selinux_labels,
    against_cluster.foreign,
    against_cluster.versions,
    against_cluster.immutable,
    against_cluster.silent,
    against_cluster.certificates,
    versions.kubernetes,
    versions.downgrades,
    versions.kept_runtimes,
    versions.runtimes,
    versions.kept_network,
    versions.network,
    quorum.health,
    quorum.strangers,
    resets.interrupted_resets,
)


def check(cluster: Cluster, observation: Observation) -> tuple[Finding, ...]:
    """Every finding of every check, errors first, then in the order of the file's hosts."""
    order = {host.name: position for position, host in enumerate(cluster.hosts)}
    findings = [finding for rule in CHECKS for finding in rule(cluster, observation)]
    return tuple(sorted(findings, key=lambda f: (f.severity != "error", order.get(f.where, -1))))
