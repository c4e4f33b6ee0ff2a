"""Hosts that are to become nodes: most checks are about them, for on a running node it is too late to ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.kubeadm.membership import membership

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provision.kubeadm.facts import HostFacts, Observation
    from provision.model import Cluster, Host


def newcomers(cluster: Cluster, seen: Observation) -> Iterator[tuple[Host, HostFacts]]:
    """Observed hosts of the file that are not nodes yet, in its order."""
    members = membership(cluster, seen)
    for host in cluster.hosts:
        if host.name in seen.hosts and not members.is_member(host.name):
            yield host, seen.hosts[host.name]
