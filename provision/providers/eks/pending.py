"""What is still to be made of a cluster, as far as checks ask AWS about it. Pure.

An existing cluster that is as its file says needs nothing, so that nothing is asked about it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provision.model.eks import Addon, EksCluster, NodeGroup
    from provision.providers.eks.facts import Observation


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """`growth`: node group -> how many nodes it gets in addition. `addons` are to be installed or changed."""

    cluster: bool
    vpc: bool
    gateways: int
    addresses: int
    upgrade: bool
    growth: Mapping[str, int]
    new_groups: tuple[NodeGroup, ...]
    addons: tuple[Addon, ...]

    @property
    def anything(self) -> bool:
        return bool(
            self.cluster
            or self.vpc
            or self.gateways
            or self.upgrade
            or self.growth
            or self.new_groups
            or self.addons
        )


def pending(cluster: EksCluster, seen: Observation) -> Pending:
    """Compare the file with what is there; a cluster that provision did not make is refused anyway."""
    there = seen.cluster
    # What eksctl makes is a part of its cluster's stack, and is there when the cluster is.
    own_network = cluster.vpc.subnets is None and (cluster.backend == "boto3" or there is None)
    zones = len(seen.network.zones)
    wanted = {"none": 0, "single": 1, "per-zone": zones}[cluster.vpc.nat] if own_network else 0
    growth = {group.name: more for group in cluster.node_groups if (more := _more(group, seen)) > 0}
    return Pending(
        cluster=there is None,
        vpc=own_network and seen.network.vpc is None,
        gateways=max(wanted - sum(nat.state in {"pending", "available"} for nat in seen.network.nats), 0),
        addresses=max(wanted - len(seen.network.addresses), 0),
        upgrade=there is not None and there.version != cluster.kubernetes,
        growth=growth,
        new_groups=tuple(group for group in cluster.node_groups if seen.node_group(group.name) is None),
        addons=tuple(addon for addon in cluster.addons if _due(addon, seen)),
    )


def _more(group: NodeGroup, seen: Observation) -> int:
    there = seen.node_group(group.name)
    return group.desired - (there.desired if there else 0)


def _due(addon: Addon, seen: Observation) -> bool:
    there = seen.addon(addon.name)
    return there is None or (addon.version is not None and addon.version != there.version)
