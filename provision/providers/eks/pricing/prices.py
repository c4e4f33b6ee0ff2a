"""What a cluster costs per month, from the dated list prices of `prices.yaml` or from AWS's Pricing API.

An estimate, and it says of what: traffic, load balancers, volumes and logs are not known beforehand. US dollars.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import yaml
from pydantic import BaseModel, ConfigDict

from provision.model.costs import CostLine, Estimate

if TYPE_CHECKING:
    from provision.model.eks import EksCluster, NodeGroup

HOURS = 730  # of a month, as AWS's own calculator counts
ZONES = 3  # that are used if the file names none
_OTHER_CURRENCY = "cn-"  # regions of China have prices in yuan

NOT_COUNTED = (
    "traffic (also through NAT gateways)",
    "load balancers",
    "volumes of the pods",
    "logs in CloudWatch",
    "pods on Fargate",
    "taxes and discounts",
)

_SHARES = {"nano": 1 / 16, "micro": 1 / 8, "small": 1 / 4, "medium": 1 / 2, "large": 1.0, "xlarge": 2.0}
_MULTIPLE = re.compile(r"(\d+)xlarge")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Dollars in one region: per hour, `gp3` per GiB and month. None and missing instance types are unknown."""

    source: str  # "list prices of 2026-01-19"
    control_plane: float | None = None
    extended_support: float | None = None  # on top of the control plane's
    public_ipv4: float | None = None
    nat: float | None = None
    gp3: float | None = None
    instances: Mapping[str, float] = field(default_factory=dict)


def estimate(cluster: EksCluster, prices: Prices, *, extended: bool = False) -> Estimate:
    """Every position of the cluster; `extended`: its Kubernetes minor is in extended support."""
    lines = [_hours("control plane", prices.control_plane)]
    if extended:
        note = f"Kubernetes {cluster.kubernetes} is past its standard support"
        lines.append(_hours("extended support", prices.extended_support, note=note))
    for group in cluster.node_groups:
        lines += _node_group(group, prices)
    lines += _addresses(cluster, prices)
    return Estimate(cluster.name, cluster.region, prices.source, tuple(lines), NOT_COUNTED)


def extended_support_monthly() -> float:
    """Dollars a month that extended support adds to the price of a control plane."""
    return table().extended_support * HOURS


def bundled(cluster: EksCluster) -> Prices:
    """The list prices of this release for what the cluster needs; nothing is contacted."""
    known = table()
    source = f"list prices of {known.as_of}"
    if cluster.region.startswith(_OTHER_CURRENCY):
        return Prices(source=source)
    region = known.regions.get(cluster.region)
    hourly = {kind: _hourly(region, kind) for kind in instance_types(cluster)} if region else {}
    return Prices(
        source=source,
        control_plane=known.control_plane,
        extended_support=known.extended_support,
        public_ipv4=known.public_ipv4,
        nat=region.nat if region else None,
        gp3=region.gp3 if region else None,
        instances={kind: price for kind, price in hourly.items() if price is not None},
    )


def instance_types(cluster: EksCluster) -> tuple[str, ...]:
    """Every instance type of the file, once."""
    return tuple(dict.fromkeys(kind for group in cluster.node_groups for kind in group.instance_types))


class Region(BaseModel):
    """Prices that differ between regions; `large`: family -> dollars per hour of its size `large`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    nat: float
    gp3: float
    large: dict[str, float]


class Table(BaseModel):
    """The content of `prices.yaml`; `as_of` is the date for which it holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    as_of: str
    control_plane: float
    extended_support: float
    public_ipv4: float
    regions: dict[str, Region]


@cache
def table() -> Table:
    """The parsed `prices.yaml` of this release."""
    text = files(__package__).joinpath("prices.yaml").read_text()
    return Table.model_validate(yaml.safe_load(text))


def _hourly(region: Region, kind: str) -> float | None:
    """`m7i.2xlarge` is four times `m7i.large`; None for what is not known (metal is priced apart)."""
    family, _, size = kind.partition(".")
    multiple = _MULTIPLE.fullmatch(size)
    share = 2.0 * int(multiple[1]) if multiple else _SHARES.get(size)
    large = region.large.get(family)
    return None if large is None or share is None else round(large * share, 5)


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
    """NAT gateways of a VPC of our own, and the public addresses of both them and nodes in public subnets."""
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
