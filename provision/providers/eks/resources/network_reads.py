"""Read the network: what carries the cluster's tags, or the subnets that its file names. Choose zones for a new VPC."""

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

if TYPE_CHECKING:
    from provision.model.eks import EksCluster, Subnets
    from provision.providers.eks.aws.account import Account

_MOST = 3
# Zones, by id, where EKS never puts control planes: https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
NEVER = frozenset({"use1-az3", "usw1-az2", "cac1-az3"})


def read_network(cluster: EksCluster, account: Account) -> Network:
    """The network; `zones` are chosen where neither the VPC nor the file says them."""
    own = read_own_network(cluster.name, account)
    if cluster.vpc.subnets is not None:
        named = read_subnets(cluster.vpc.subnets, account)
        used = tuple(dict.fromkeys(one.zone for one in named))
        return replace(own, zones=used, subnets=(*named, *own.subnets))
    if own.zones:
        return own
    return replace(own, zones=cluster.vpc.zones or choose_zones(cluster, account))


def read_own_network(cluster: str, account: Account) -> Network:
    """Everything that carries the tags of the cluster of that name; its zones are those of the VPC's tag."""
    ec2 = account.client("ec2")
    filters: Any = [
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
        return [one for one in found if names.owned(cluster, names.tag_mapping(one.get("Tags", ())))]

    answers = together(
        [
            lambda: listed("describe_vpcs", "Vpcs", Filters=filters),
            lambda: listed("describe_subnets", "Subnets", Filters=filters),
            lambda: listed("describe_internet_gateways", "InternetGateways", Filters=filters),
            lambda: listed("describe_addresses", "Addresses", Filters=filters),
            lambda: listed("describe_nat_gateways", "NatGateways", Filter=filters),
            lambda: listed("describe_route_tables", "RouteTables", Filters=filters),
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
        nats=tuple(_nat(one) for one in nats if one["State"] != "deleted"),
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
    tags = names.tag_mapping(one.get("Tags", ()))
    return VpcFacts(
        id=found,
        cidr=one["CidrBlock"],
        zones=tuple(tags.get(names.ZONES, "").split()),
        dns_support=bool(support.get("Value")),
        dns_hostnames=bool(hostnames.get("Value")),
        tags=tags,
    )


def _subnet(one: Any, part: str | None = None) -> SubnetFacts:
    tags = names.tag_mapping(one.get("Tags", ()))
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
        tags=names.tag_mapping(one.get("Tags", ())),
    )


def _address(one: Any) -> AddressFacts:
    tags = names.tag_mapping(one.get("Tags", ()))
    return AddressFacts(
        id=one["AllocationId"],
        part=tags.get(names.ROLE, ""),
        ip=one.get("PublicIp", ""),
        associated=bool(one.get("AssociationId")),
        tags=tags,
    )


def _nat(one: Any) -> NatFacts:
    tags = names.tag_mapping(one.get("Tags", ()))
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
    tags = names.tag_mapping(one.get("Tags", ()))
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


def choose_zones(cluster: EksCluster, account: Account) -> tuple[str, ...]:
    """The first three zones of the region where each node group finds one of its instance types.

    If too few do, zones that offer less fill up to two: the checks then say what is missing where.
    """
    zones, offered = _available(account), _offerings(cluster, account)
    types = {zone: {kind for where, kind in offered if where == zone} for zone in zones}

    def serves(zone: str) -> bool:
        return all(types[zone] & set(group.instance_types) for group in cluster.node_groups)

    good = [zone for zone in zones if serves(zone)][:_MOST]
    if len(good) > 1:
        return tuple(good)
    return tuple(sorted([*good, *[zone for zone in zones if zone not in good]][:2]))


def _available(account: Account) -> list[str]:
    answer = account.client("ec2").describe_availability_zones(
        Filters=[
            {"Name": "state", "Values": ["available"]},
            {"Name": "zone-type", "Values": ["availability-zone"]},
        ]
    )
    return sorted(one["ZoneName"] for one in answer["AvailabilityZones"] if one.get("ZoneId") not in NEVER)


def _offerings(cluster: EksCluster, account: Account) -> set[tuple[str, str]]:
    """Pairs of zone and instance type, of the types that the file names."""
    wanted = sorted({kind for group in cluster.node_groups for kind in group.instance_types})
    if not wanted:
        return set()
    pages = account.client("ec2").get_paginator("describe_instance_type_offerings")
    found = pages.paginate(
        LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": wanted}]
    )
    return {(one["Location"], one["InstanceType"]) for page in found for one in page["InstanceTypeOfferings"]}
