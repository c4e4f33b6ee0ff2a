"""Reads the network: what carries the cluster's tags, or the subnets that its file names."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from provision.providers.eks import names
from provision.providers.eks.aws.calls import together
from provision.providers.eks.facts import (
    AddressFacts,
    InternetGatewayFacts,
    NatFacts,
    Network,
    RouteTableFacts,
    SubnetFacts,
    VpcFacts,
)
from provision.providers.eks.readers import zones
from provision.providers.eks.readers.tags import mapping

if TYPE_CHECKING:
    from provision.model.eks import EksCluster, Subnets
    from provision.providers.eks.aws.account import Account

_GONE = {"deleted"}


def read(cluster: EksCluster, account: Account) -> Network:
    """The network; `zones` are chosen where neither the VPC nor the file says them."""
    ours = read_ours(cluster.name, account)
    if cluster.vpc.subnets is not None:
        named = read_subnets(cluster.vpc.subnets, account)
        used = tuple(dict.fromkeys(one.zone for one in named))
        return replace(ours, zones=used, subnets=(*named, *ours.subnets))
    if ours.zones:
        return ours
    return replace(ours, zones=cluster.vpc.zones or zones.choose(cluster, account))


def read_ours(cluster: str, account: Account) -> Network:
    """Everything that carries the tags of the cluster of that name; its zones are those of the VPC's tag."""
    ec2 = account.client("ec2")
    ours: Any = [
        {"Name": f"tag:{names.CLUSTER}", "Values": [cluster]},
        {"Name": f"tag:{names.MANAGED_BY}", "Values": [names.TOOL]},
    ]

    def listed(operation: str, key: str, **arguments: Any) -> list[Any]:
        if ec2.can_paginate(operation):
            pages: Any = ec2.get_paginator(operation)  # type: ignore[call-overload]
            found = [one for page in pages.paginate(**arguments) for one in page[key]]
        else:
            found = getattr(ec2, operation)(**arguments)[key]
        # What is listed here may be deleted: no filter of a server is trusted with that.
        return [one for one in found if names.owned(cluster, mapping(one.get("Tags", ())))]

    answers = together(
        [
            lambda: listed("describe_vpcs", "Vpcs", Filters=ours),
            lambda: listed("describe_subnets", "Subnets", Filters=ours),
            lambda: listed("describe_internet_gateways", "InternetGateways", Filters=ours),
            lambda: listed("describe_addresses", "Addresses", Filters=ours),
            lambda: listed("describe_nat_gateways", "NatGateways", Filter=ours),
            lambda: listed("describe_route_tables", "RouteTables", Filters=ours),
        ]
    )
    vpcs, subnets, gateways, addresses, nats, tables = answers
    seen = tuple(sorted((_vpc(one, account) for one in vpcs), key=lambda vpc: vpc.id))
    return Network(
        zones=seen[0].zones if seen else (),
        vpcs=seen,
        subnets=tuple(map(_subnet, subnets)),
        internet_gateways=tuple(map(_gateway, gateways)),
        addresses=tuple(map(_address, addresses)),
        nats=tuple(_nat(one) for one in nats if one["State"] not in _GONE),
        route_tables=tuple(map(_route_table, tables)),
    )


def read_subnets(wanted: Subnets, account: Account) -> tuple[SubnetFacts, ...]:
    """The subnets of the file, in its order; those that are not there are left out."""
    ids = [*wanted.private, *wanted.public]
    # By filter and not by id: then a wrong id is a missing subnet, not a refused call.
    answer = account.client("ec2").describe_subnets(Filters=[{"Name": "subnet-id", "Values": ids}])
    found = {one["SubnetId"]: one for one in answer["Subnets"]}
    return tuple(_subnet(found[one], part="") for one in ids if one in found)


def _vpc(one: Any, account: Account) -> VpcFacts:
    ec2, found = account.client("ec2"), one["VpcId"]
    support, hostnames = together(
        [
            lambda: ec2.describe_vpc_attribute(VpcId=found, Attribute="enableDnsSupport")["EnableDnsSupport"],
            lambda: ec2.describe_vpc_attribute(VpcId=found, Attribute="enableDnsHostnames")[
                "EnableDnsHostnames"
            ],
        ]
    )
    tags = mapping(one.get("Tags", ()))
    return VpcFacts(
        id=found,
        cidr=one["CidrBlock"],
        zones=tuple(tags.get(names.ZONES, "").split()),
        dns_support=bool(support.get("Value")),
        dns_hostnames=bool(hostnames.get("Value")),
        tags=tags,
    )


def _subnet(one: Any, part: str | None = None) -> SubnetFacts:
    tags = mapping(one.get("Tags", ()))
    return SubnetFacts(
        id=one["SubnetId"],
        part=tags.get(names.ROLE, "") if part is None else part,
        vpc=one["VpcId"],
        zone=one["AvailabilityZone"],
        cidr=one["CidrBlock"],
        free_addresses=one["AvailableIpAddressCount"],
        public_addresses=one["MapPublicIpOnLaunch"],
        tags=tags,
    )


def _gateway(one: Any) -> InternetGatewayFacts:
    attached = [to["VpcId"] for to in one.get("Attachments", ()) if to.get("State") != "detached"]
    return InternetGatewayFacts(
        id=one["InternetGatewayId"],
        attached_to=attached[0] if attached else "",
        tags=mapping(one.get("Tags", ())),
    )


def _address(one: Any) -> AddressFacts:
    tags = mapping(one.get("Tags", ()))
    return AddressFacts(
        id=one["AllocationId"],
        part=tags.get(names.ROLE, ""),
        ip=one.get("PublicIp", ""),
        associated=bool(one.get("AssociationId")),
        tags=tags,
    )


def _nat(one: Any) -> NatFacts:
    tags = mapping(one.get("Tags", ()))
    addresses = [address.get("AllocationId", "") for address in one.get("NatGatewayAddresses", ())]
    return NatFacts(
        id=one["NatGatewayId"],
        part=tags.get(names.ROLE, ""),
        subnet=one["SubnetId"],
        address=addresses[0] if addresses else "",
        state=one["State"],
        failure=one.get("FailureMessage", ""),
        tags=tags,
    )


def _route_table(one: Any) -> RouteTableFacts:
    tags = mapping(one.get("Tags", ()))
    routes = {
        route["DestinationCidrBlock"]: route.get("NatGatewayId") or route.get("GatewayId") or "other"
        for route in one.get("Routes", ())
        if "DestinationCidrBlock" in route and route.get("GatewayId") != "local"
    }
    return RouteTableFacts(
        id=one["RouteTableId"],
        part=tags.get(names.ROLE, ""),
        routes=routes,
        associations={
            to["SubnetId"]: to["RouteTableAssociationId"]
            for to in one.get("Associations", ())
            if "SubnetId" in to
        },
        tags=tags,
    )
