"""Estimate what a cluster costs per month. Pure; US dollars.

Costs that depend on use (traffic, load balancers, volumes, logs) are not counted, which the estimate says.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from provision.model.costs import CostLine, Estimate
from provision.providers.eks.pricing.prices import HOURS

if TYPE_CHECKING:
    from provision.model.eks import EksCluster, NodeGroup
    from provision.providers.eks.pricing.prices import Prices

ZONES = 3  # of a VPC whose zones the file does not name

NOT_COUNTED = (
    "traffic (also through NAT gateways)",
    "load balancers",
    "volumes of the pods",
    "logs in CloudWatch",
    "pods on Fargate",
    "taxes and discounts",
)


def estimate(cluster: EksCluster, prices: Prices, *, extended: bool = False) -> Estimate:
    """Estimate every position of the cluster; `extended`: its Kubernetes minor is in extended support."""
    lines = [_hours("control plane", prices.control_plane)]
    if extended:
        note = f"Kubernetes {cluster.kubernetes} is past its standard support"
        lines.append(_hours("extended support", prices.extended_support, note=note))
    for group in cluster.node_groups:
        lines += _node_group(group, prices)
    lines += _addresses(cluster, prices)
    return Estimate(cluster.name, cluster.region, prices.source, tuple(lines), NOT_COUNTED)


def _node_group(group: NodeGroup, prices: Prices) -> Iterator[CostLine]:
    spot = group.capacity == "spot"
    kinds = group.instance_types if spot else group.instance_types[:1]
    item = f"node group {group.name}: {group.desired} x {' or '.join(kinds)}"
    missing = [kind for kind in kinds if kind not in prices.instances]
    if missing:
        yield CostLine(item, None, f"the price of {', '.join(missing)} in this region is not known here")
    else:
        note = "the on-demand price is the most that spot costs; usually it is far less" if spot else ""
        yield _hours(item, max(prices.instances[kind] for kind in kinds), group.desired, note=note)
    disks = None if prices.gp3 is None else group.desired * group.disk * prices.gp3
    yield _line(f"node group {group.name}: {group.desired} x {group.disk} GiB of disk", disks)


def _addresses(cluster: EksCluster, prices: Prices) -> Iterator[CostLine]:
    """NAT gateways of a VPC that is created, and public addresses of these and of nodes in public subnets."""
    zones = len(cluster.vpc.zones) or ZONES
    gateways = 0 if cluster.vpc.subnets else {"none": 0, "single": 1, "per-zone": zones}[cluster.vpc.nat]
    if gateways:
        yield _hours(f"{gateways} x NAT gateway", prices.nat, gateways)
    public = gateways + sum(group.desired for group in cluster.node_groups if group.subnets == "public")
    if public:
        yield _hours(f"{public} x public IPv4 address", prices.public_ipv4, public)


def _hours(item: str, hourly: float | None, count: int = 1, *, note: str = "") -> CostLine:
    return _line(item, None if hourly is None else count * hourly * HOURS, note)


def _line(item: str, monthly: float | None, note: str = "") -> CostLine:
    return CostLine(item, monthly, "the price in this region is not known here" if monthly is None else note)
