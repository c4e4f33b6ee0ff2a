"""Prices of what a cluster needs, in US dollars: list prices of `prices.yaml`, or those of AWS's Pricing API."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import yaml
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, ConfigDict

from provision.providers.eks.aws.calls import together
from provision.providers.eks.aws.errors import as_error

if TYPE_CHECKING:
    from types_boto3_pricing import PricingClient
    from types_boto3_pricing.type_defs import FilterTypeDef

    from provision.model.eks import EksCluster
    from provision.providers.eks.aws.account import Account

HOURS = 730  # of a month, as in AWS's own calculator
_OTHER_CURRENCY = "cn-"  # regions of China have prices in yuan
_SHARES = {"nano": 1 / 16, "micro": 1 / 8, "small": 1 / 4, "medium": 1 / 2, "large": 1.0, "xlarge": 2.0}
_MULTIPLE = re.compile(r"(\d+)xlarge")
# Region of the Pricing API, which knows the prices of all regions.
_HOME = "us-east-1"
_SHARED_LINUX = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
}


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


def extended_support_monthly() -> float:
    """Dollars per month that extended support adds to the price of a control plane."""
    return table().extended_support * HOURS


def bundled(cluster: EksCluster) -> Prices:
    """List prices of this release for what the cluster needs, without contacting AWS."""
    known = table()
    source = f"list prices of {known.as_of}"
    if cluster.region.startswith(_OTHER_CURRENCY):
        return Prices(source=source)
    region = known.regions.get(cluster.region)
    hourly = {kind: _hourly(region, kind) for kind in cluster.instance_types} if region else {}
    return Prices(
        source=source,
        control_plane=known.control_plane,
        extended_support=known.extended_support,
        public_ipv4=known.public_ipv4,
        nat=region.nat if region else None,
        gp3=region.gp3 if region else None,
        instances={kind: price for kind, price in hourly.items() if price is not None},
    )


def live(cluster: EksCluster, account: Account) -> Prices:
    """Today's prices of what the cluster needs; a price that AWS does not name is the list price of this release.

    Raises CheckError if the credentials lack pricing:GetProducts, UnreachableError if AWS does not answer.
    """
    client = account.client("pricing", region=_HOME)
    kinds = cluster.instance_types
    queries: dict[str, tuple[str, Mapping[str, str], str]] = {
        "control_plane": ("AmazonEKS", {}, "AmazonEKS-Hours:perCluster"),
        "extended_support": ("AmazonEKS", {}, "AmazonEKS-Hours:extendedSupport"),
        "nat": ("AmazonEC2", {"productFamily": "NAT Gateway"}, "NatGateway-Hours"),
        "gp3": ("AmazonEC2", {"productFamily": "Storage", "volumeApiName": "gp3"}, "EBS:VolumeUsage.gp3"),
        **{
            kind: ("AmazonEC2", {**_SHARED_LINUX, "instanceType": kind}, f"BoxUsage:{kind}") for kind in kinds
        },
    }
    asked = [partial(_price, client, cluster.region, *query) for query in queries.values()]
    try:
        answers = dict(zip(queries, together(asked), strict=True))
    except (ClientError, BotoCoreError) as error:
        raise as_error(error) from error
    listed = bundled(cluster)
    instances = {
        **listed.instances,
        **{kind: found for kind in kinds if (found := answers[kind]) is not None},
    }
    parts = {
        part: found
        for part in ("control_plane", "extended_support", "nat", "gp3")
        if (found := answers[part]) is not None
    }
    return replace(listed, source="AWS's Pricing API, now", instances=instances, **parts)


class Region(BaseModel):
    """Prices that differ between regions; `large`: family -> dollars per hour of its size `large`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    nat: float
    gp3: float
    large: dict[str, float]


class Table(BaseModel):
    """The content of `prices.yaml`; `as_of`: the date of the prices."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    as_of: str
    control_plane: float
    extended_support: float
    public_ipv4: float
    regions: dict[str, Region]


@cache
def table() -> Table:
    text = files(__package__).joinpath("prices.yaml").read_text()
    return Table.model_validate(yaml.safe_load(text))


def _hourly(region: Region, kind: str) -> float | None:
    """`m7i.2xlarge` is four times `m7i.large`; None for what is not known (metal is priced apart)."""
    family, _, size = kind.partition(".")
    multiple = _MULTIPLE.fullmatch(size)
    share = 2.0 * int(multiple[1]) if multiple else _SHARES.get(size)
    large = region.large.get(family)
    return None if large is None or share is None else round(large * share, 5)


def _price(
    client: PricingClient, region: str, service: str, wanted: Mapping[str, str], usage: str
) -> float | None:
    """Dollars per unit of the product whose usage type ends with `usage` ("EUC1-BoxUsage:m7i.large")."""
    filters: list[FilterTypeDef] = [
        {"Type": "TERM_MATCH", "Field": name, "Value": value}
        for name, value in {"regionCode": region, **wanted}.items()
    ]
    pages = client.get_paginator("get_products").paginate(
        ServiceCode=service, Filters=filters, FormatVersion="aws_v1"
    )
    for page in pages:
        for text in page["PriceList"]:
            product = json.loads(text)
            kind = str(product["product"]["attributes"].get("usagetype", ""))
            if kind == usage or kind.endswith(f"-{usage}"):
                return next(_on_demand(product), None)
    return None


def _on_demand(product: Mapping[str, Any]) -> Iterator[float]:
    for term in product.get("terms", {}).get("OnDemand", {}).values():
        for dimension in term["priceDimensions"].values():
            dollars = float(dimension["pricePerUnit"].get("USD", 0))
            if dollars:
                yield dollars
