"""Hosts that are to become nodes: most checks are about them, for on a running node it is too late to ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.providers.kubeadm.steps.membership import membership

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provision.model.cluster import Cluster, Host
    from provision.providers.kubeadm.facts.host import HostFacts, Observation


def newcomers(cluster: Cluster, seen: Observation) -> Iterator[tuple[Host, HostFacts]]:
    """Observed hosts of the file that are not nodes yet, in its order."""
    members = membership(cluster, seen)
    for host in cluster.hosts:
        if host.name in seen.hosts and not members.is_member(host.name):
            yield host, seen.hosts[host.name]
