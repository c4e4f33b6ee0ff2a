"""Validation by EKS of roles, subnets, security groups and keys, which are in moto's backends."""

from __future__ import annotations

import json
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from moto.ec2.models import ec2_backends
from moto.iam.models import iam_backends
from moto.kms.models import kms_backends

from tests.aws.eks.resources import ACCOUNT, Eks, invalid
from tests.aws.failures import AwsError

if TYPE_CHECKING:
    from moto.ec2.models import EC2Backend


def ec2_of(eks: Eks) -> EC2Backend:
    return ec2_backends[ACCOUNT][eks.region]


def require_role(eks: Eks, arn: str, service: str, kind: str) -> None:
    """Require that the role exists, trusts the service, and has propagated."""
    late = eks.states.role_refusals > 0
    if late:
        eks.states.role_refusals -= 1
    role = _role(arn)
    if late or role is None:
        raise invalid(
            f"Role with arn: {arn}, could not be assumed because it does not exist or the trusted entity is not correct"
        )
    trust = role.assume_role_policy_document
    trusted: set[str] = set()
    for statement in json.loads(unquote(trust))["Statement"]:
        named = statement.get("Principal", {}).get("Service", [])
        trusted.update([named] if isinstance(named, str) else named)
    if service not in trusted:
        raise invalid(
            f"Following required service principals [{service}] were not found in the trust relationships of "
            f"{kind} {arn}"
        )


def require_role_exists(arn: str) -> None:
    if _role(arn) is None:
        raise invalid(f"Role {arn} does not exist")


def _role(arn: str) -> Any:
    """moto's role, or None."""
    return next((role for role in iam_backends[ACCOUNT]["aws"].roles.values() if role.arn == arn), None)


def subnets_of(eks: Eks, ids: list[str]) -> list[Any]:
    """moto's subnets with these ids; they must exist and be in one VPC."""
    known = {subnet.id: subnet for zone in ec2_of(eks).subnets.values() for subnet in zone.values()}
    unknown = [each for each in ids if each not in known]
    if unknown:
        raise invalid(
            f"The subnet ID '{unknown[0]}' does not exist (Service: AmazonEC2; Error Code: InvalidSubnetID.NotFound)"
        )
    found = [known[each] for each in ids]
    if len({subnet.vpc_id for subnet in found}) > 1:
        raise invalid("Provided subnets belong to different VPCs")
    return found


def require_zones(eks: Eks, name: str, subnets: list[Any]) -> None:
    """Require at least two zones, each with capacity."""
    zones = {subnet.availability_zone for subnet in subnets}
    full = sorted(zones & eks.states.zones_full)
    if full:
        every = [zone.name for zone in ec2_of(eks).describe_availability_zones()]
        valid = [zone for zone in every if zone not in eks.states.zones_full]
        raise AwsError(
            "UnsupportedAvailabilityZoneException",
            f"Cannot create cluster '{name}' because {full[0]}, the targeted availability zone, does not currently "
            "have sufficient capacity to support the cluster. Retry and choose from these availability zones: "
            f"{', '.join(valid)}",
            clusterName=name,
            validZones=valid,
        )
    if len(zones) < 2:
        raise invalid("Subnets specified must be in at least two different AZs")


def require_security_groups(eks: Eks, ids: list[str]) -> None:
    known = {each for groups in ec2_of(eks).groups.values() for each in groups}
    for each in ids:
        if each not in known:
            raise invalid(f"The security group ID '{each}' does not exist")


def require_key(eks: Eks, arn: str) -> None:
    keys = {key.arn: key for key in kms_backends[ACCOUNT][eks.region].keys.values()}
    if arn not in keys:
        raise invalid(f"The keyArn in encryptionConfig provider is invalid: {arn}")
    if not keys[arn].enabled:
        raise invalid(f"The KMS key {arn} is disabled")


def require_cidrs(texts: list[str]) -> None:
    for text in texts:
        try:
            ip_network(text)
        except ValueError:
            raise invalid(f"The following CIDRs are invalid in publicAccessCidrs: [{text}]") from None


def service_cidr(eks: Eks, vpc_id: str, asked: str | None) -> str:
    """The service CIDR; EKS chooses the one of two that does not overlap the VPC."""
    vpc = ip_network(ec2_of(eks).get_vpc(vpc_id).cidr_block)
    if asked is None:
        return "172.20.0.0/16" if vpc.overlaps(ip_network("10.100.0.0/16")) else "10.100.0.0/16"
    wanted = ip_network(asked)
    if not wanted.is_private or not 12 <= wanted.prefixlen <= 24:
        raise invalid(
            f"serviceIpv4Cidr {asked} is not a /12 to /24 of 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16"
        )
    if vpc.overlaps(wanted):
        raise invalid(f"serviceIpv4Cidr {asked} overlaps with the CIDR {vpc} of the VPC")
    return asked


def is_public(eks: Eks, subnet: Any) -> bool:
    """Whether the subnet's route table, its own or the VPC's main one, leads to an internet gateway."""
    tables = [table for table in ec2_of(eks).route_tables.values() if table.vpc_id == subnet.vpc_id]
    own = [table for table in tables if subnet.id in [each.get("SubnetId") for each in table.associations]]
    chosen = own or [table for table in tables if table.main_association_id]
    return any(route.gateway is not None for table in chosen for route in table.routes)
