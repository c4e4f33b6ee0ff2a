"""Which hosts are nodes, which have to become some, and which control plane can be worked through. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from provision.model.plan import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provision.model.cluster import Cluster, Host
    from provision.providers.kubeadm.facts.cluster import ClusterFacts
    from provision.providers.kubeadm.facts.host import HostFacts, Observation


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """`initialise` and `join` say what is to be done with whom and why; who is in neither is a node.

    `through` is the control plane that everything else goes through: a healthy one, or the one to be made.
    """

    initialise: Reason | None
    join: tuple[Reason, ...]
    through: str
    newcomers: frozenset[str]  # names of hosts in either

    def is_member(self, name: str) -> bool:
        return name not in self.newcomers


def membership(cluster: Cluster, seen: Observation) -> Membership:
    """Decide from what was seen; hosts that were not observed are taken for nodes."""
    initialise = _initialise(cluster, seen)
    begun = initialise.host if initialise else ""
    join = tuple(
        Reason(host.name, why)
        for host in cluster.hosts
        if host.name in seen.hosts and host.name != begun
        for why in _join(host, seen.hosts[host.name], seen.cluster)
    )
    observed = cluster.control_planes_among(seen.hosts)
    through = begun or seen.source or (observed or cluster.control_planes)[0].name
    newcomers = frozenset([*(reason.host for reason in join), *([begun] if begun else [])])
    return Membership(initialise=initialise, join=join, through=through, newcomers=newcomers)


def _initialise(cluster: Cluster, seen: Observation) -> Reason | None:
    observed = cluster.control_planes_among(seen.hosts)
    for host in observed:
        if seen.hosts[host.name].kubernetes.init_interrupted:
            return Reason(host.name, "kubeadm init was interrupted")
    if seen.cluster is not None or not observed:
        return None
    if any(_has_control_plane(seen.hosts[host.name]) for host in observed):
        return None  # it is there and does not answer; making a second cluster would not help
    return Reason(observed[0].name, "there is no cluster yet")


def _has_control_plane(seen: HostFacts) -> bool:
    return seen.kubernetes.admin or seen.kubernetes.role == "control-plane"


def _join(host: Host, seen: HostFacts, cluster: ClusterFacts | None) -> Iterator[str]:
    if seen.kubernetes.join_interrupted:
        yield "kubeadm join was interrupted"
    elif not seen.kubernetes.joined:
        yield "is not a node yet"
    elif cluster is not None and cluster.node(host.name) is None:
        yield "has a kubelet.conf, but the cluster has no node of that name"
