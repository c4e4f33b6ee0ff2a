"""What AWS's Pricing API says today, for `--live-prices`. Reads only; the API exists in few regions and knows all."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from provision.providers.eks.aws.calls import together
from provision.providers.eks.aws.errors import as_error
from provision.providers.eks.pricing import prices

if TYPE_CHECKING:
    from types_boto3_pricing import PricingClient
    from types_boto3_pricing.type_defs import FilterTypeDef

    from provision.model.eks import EksCluster
    from provision.providers.eks.aws.account import Account
    from provision.providers.eks.pricing.prices import Prices

# Where the API is; the region asked about is a filter.
_HOME = "us-east-1"
_SHARED_LINUX = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
}


def live(cluster: EksCluster, account: Account) -> Prices:
    """Today's prices of what the cluster needs; what AWS does not name keeps the list price of this release.

    Raises CheckError if the credentials may not ask (pricing:GetProducts), UnreachableError if there is no answer.
    """
    client = account.client("pricing", region=_HOME)
    kinds = prices.instance_types(cluster)
    questions: dict[str, tuple[str, Mapping[str, str], str]] = {
        "control_plane": ("AmazonEKS", {}, "AmazonEKS-Hours:perCluster"),
        "extended_support": ("AmazonEKS", {}, "AmazonEKS-Hours:extendedSupport"),
        "nat": ("AmazonEC2", {"productFamily": "NAT Gateway"}, "NatGateway-Hours"),
        "gp3": ("AmazonEC2", {"productFamily": "Storage", "volumeApiName": "gp3"}, "EBS:VolumeUsage.gp3"),
        **{
            kind: ("AmazonEC2", {**_SHARED_LINUX, "instanceType": kind}, f"BoxUsage:{kind}") for kind in kinds
        },
    }
    asked = [partial(_price, client, cluster.region, *question) for question in questions.values()]
    try:
        answers = dict(zip(questions, together(asked), strict=True))
    except (ClientError, BotoCoreError) as error:
        raise as_error(error) from error
    listed = prices.bundled(cluster)
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
