"""Quotas of an account and what is used of them. Reads only; limits come from Service Quotas, use from EC2 itself."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from provision.providers.eks.checks.preflight_facts import ADDRESSES, NATS, ON_DEMAND, QUOTAS, SPOT, VPCS

if TYPE_CHECKING:
    from provision.model.eks import EksCluster
    from provision.providers.eks.aws.account import Account
    from provision.providers.eks.facts import Observation
    from provision.providers.eks.pending import Pending

# First letters of the instance types that share the two quotas of standard instances.
_STANDARD = frozenset({"a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z"})
# AWS's default of NAT gateways per zone, below which no account is set: fewer in the whole region need no closer look.
_FEWEST_GATEWAYS = 5


def needed(cluster: EksCluster, missing: Pending) -> tuple[str, ...]:
    """Codes of the quotas that may be in the way of what is still to be made."""
    growing = [group for group in cluster.node_groups if group.name in missing.growth]
    capacities = {group.capacity for group in growing if standard(group.instance_types)}
    asked = {
        VPCS: missing.vpc,
        ADDRESSES: missing.addresses > 0,
        NATS: missing.gateways > 0,
        ON_DEMAND: "on-demand" in capacities,
        SPOT: "spot" in capacities,
    }
    return tuple(code for code, wanted in asked.items() if wanted)


def standard(kinds: Iterable[str]) -> bool:
    """Whether all of these types share the quotas of standard instances (GPUs and the like have their own)."""
    return all(_family(kind) in _STANDARD for kind in kinds)


def limit(account: Account, code: str) -> int:
    """The account's limit in the region. Raises what botocore raises."""
    found = account.client("service-quotas").get_service_quota(ServiceCode=QUOTAS[code][0], QuotaCode=code)
    return int(found["Quota"]["Value"])


def addresses(account: Account) -> int:
    """Elastic IPs of the region."""
    return len(account.client("ec2").describe_addresses()["Addresses"])


def gateways(account: Account, observation: Observation) -> int:
    """NAT gateways of that zone of the cluster which has the most; of all zones together if that is few already."""
    ec2 = account.client("ec2")
    pages = ec2.get_paginator("describe_nat_gateways").paginate(
        Filters=[{"Name": "state", "Values": ["pending", "available"]}]
    )
    subnets = [gateway["SubnetId"] for page in pages for gateway in page["NatGateways"]]
    if len(subnets) < _FEWEST_GATEWAYS:
        return len(subnets)
    described = ec2.describe_subnets(SubnetIds=sorted(set(subnets)))["Subnets"]
    zones = {subnet["SubnetId"]: subnet["AvailabilityZone"] for subnet in described}
    count = Counter(zones[subnet] for subnet in subnets if subnet in zones)
    return max((count[zone] for zone in observation.network.zones), default=0)


def vcpus(account: Account) -> Mapping[str, int]:
    """Count vCPUs of running standard instances, under the codes of the two quotas: on demand and spot."""
    pages = (
        account.client("ec2")
        .get_paginator("describe_instances")
        .paginate(
            Filters=[{"Name": "instance-state-name", "Values": ["pending", "running"]}],
            PaginationConfig={"PageSize": 1000},
        )
    )
    used = {ON_DEMAND: 0, SPOT: 0}
    for one in (one for page in pages for group in page["Reservations"] for one in group["Instances"]):
        if _family(one["InstanceType"]) in _STANDARD:
            processor = one.get("CpuOptions", {})
            code = SPOT if one.get("InstanceLifecycle") == "spot" else ON_DEMAND
            used[code] += processor.get("CoreCount", 1) * processor.get("ThreadsPerCore", 1)
    return used


def _family(kind: str) -> str:
    """`m7i-flex.large` -> `m`, `im4gn.large` -> `im`."""
    found = re.match(r"[a-z]+", kind)
    return found[0] if found else ""
