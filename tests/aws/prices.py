"""A few products of the price list, in the form of the Pricing API: one JSON document per product."""

from __future__ import annotations

import json
from typing import Any

from tests.aws.states import States
from tests.aws.wire import Operation

# US dollars an hour (of storage: a GiB and month) on demand, in every region.
_INSTANCES = {
    "m7i.large": 0.1197,
    "m5.large": 0.115,
    "t3.medium": 0.048,
    "m7g.large": 0.0978,
    "c7i.xlarge": 0.2037,
}


def _products(region: str) -> list[tuple[dict[str, str], str, float]]:
    """Attributes, unit and price of each."""
    rows = [
        (
            {
                "servicecode": "AmazonEC2",
                "regionCode": region,
                "instanceType": kind,
                "operatingSystem": "Linux",
                "tenancy": "Shared",
                "preInstalledSw": "NA",
                "capacitystatus": "Used",
                "licenseModel": "No License required",
                "marketoption": "OnDemand",
                "usagetype": f"BoxUsage:{kind}",
            },
            "Hrs",
            price,
        )
        for kind, price in _INSTANCES.items()
    ]
    eks = {"servicecode": "AmazonEKS", "regionCode": region}
    rows.append(
        ({**eks, "usagetype": "AmazonEKS-Hours:perCluster", "operation": "CreateOperation"}, "Hours", 0.10)
    )
    rows.append(
        (
            {**eks, "usagetype": "AmazonEKS-Hours:extendedSupport", "operation": "ExtendedSupport"},
            "Hours",
            0.50,
        )
    )
    nat = {
        "servicecode": "AmazonEC2",
        "regionCode": region,
        "group": "NGW:NatGateway",
        "usagetype": "NatGateway-Hours",
    }
    rows.append((nat, "Hrs", 0.052))
    disk = {
        "servicecode": "AmazonEC2",
        "regionCode": region,
        "volumeApiName": "gp3",
        "usagetype": "EBS:VolumeUsage.gp3",
    }
    rows.append((disk, "GB-Mo", 0.0952))
    return rows


def get_products(_states: States, _operation: Operation, params: dict[str, Any]) -> dict[str, Any]:
    filters = {each["Field"]: each["Value"] for each in params.get("Filters", [])}
    region = filters.get("regionCode", "eu-central-1")
    found = [
        _document(attributes, unit, price)
        for attributes, unit, price in _products(region)
        if attributes["servicecode"] == params["ServiceCode"]
        and all(attributes.get(key) == value for key, value in filters.items())
    ]
    return {"FormatVersion": "aws_v1", "PriceList": found[: params.get("MaxResults", 100)]}


def _document(attributes: dict[str, str], unit: str, price: float) -> str:
    sku = f"{abs(hash(attributes['usagetype'])) % 10**12:012d}"
    dimension = {"unit": unit, "pricePerUnit": {"USD": f"{price:.10f}"}, "beginRange": "0", "endRange": "Inf"}
    terms = {
        "OnDemand": {f"{sku}.JRTCKXETXF": {"priceDimensions": {f"{sku}.JRTCKXETXF.6YS6EN2CT7": dimension}}}
    }
    product = {
        "product": {"sku": sku, "attributes": attributes},
        "serviceCode": attributes["servicecode"],
        "terms": terms,
    }
    return json.dumps(product)
