"""Chooses the zones of a VPC that is to be made, where the file leaves it to us."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provision.model.eks import EksCluster
    from provision.providers.eks.aws.account import Account

_MOST = 3
# Zones, by id, where EKS never puts control planes: https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
NEVER = frozenset({"use1-az3", "usw1-az2", "cac1-az3"})


def choose(cluster: EksCluster, account: Account) -> tuple[str, ...]:
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
