"""Deletes the parts of a VPC of ours, and volumes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from provision.providers.eks.aws.errors import code_of, is_missing
from provision.providers.eks.deletions import holders
from provision.providers.eks.deletions.removing import delete_once_free, remove

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provision.providers.eks.deletions.holders import Holder
    from provision.providers.eks.facts import HealthIssue
    from provision.providers.eks.work import Work

_NAT = 900.0  # seconds
_STATES = {"deleting": "DELETING"}


@dataclass(frozen=True, slots=True)
class _Nat:
    status: str
    health: tuple[HealthIssue, ...] = ()


def delete_nat(work: Work, resource: str, nat: str) -> bool:
    """One that is pending can be deleted, too; a deleted one is shown for an hour."""
    ec2 = work.account.client("ec2")

    def state() -> _Nat | None:
        found = ec2.describe_nat_gateways(Filters=holders.only("nat-gateway-id", nat))["NatGateways"]
        states = [one["State"] for one in found if one["State"] != "deleted"]
        return _Nat(_STATES.get(states[0], "")) if states else None

    return remove(
        work, resource, state=state, delete=lambda: ec2.delete_nat_gateway(NatGatewayId=nat), limit=_NAT
    )


def release_address(work: Work, resource: str, address: str) -> bool:
    ec2 = work.account.client("ec2")

    def users() -> tuple[Holder, ...]:
        return holders.of_address(work.account, address)

    return delete_once_free(work, resource, lambda: ec2.release_address(AllocationId=address), users)


def free_interfaces(work: Work, resource: str, vpc: str) -> bool:
    """Those that nothing uses any more, but for those that somebody tagged; False if there were none."""
    work.heed()
    freed = holders.free(work.account, vpc)
    if freed:
        work.note(resource, f"deleted {', '.join(freed)}")
    return bool(freed)


def delete_subnet(work: Work, resource: str, subnet: str, vpc: str) -> bool:
    ec2 = work.account.client("ec2")

    def users() -> tuple[Holder, ...]:
        holders.free(work.account, vpc)
        return holders.interfaces(work.account, "subnet-id", subnet)

    return delete_once_free(work, resource, lambda: ec2.delete_subnet(SubnetId=subnet), users)


def delete_route_table(work: Work, resource: str, table: str, associations: Sequence[str]) -> bool:
    """`associations` are those with subnets of ours; another subnet that somebody gave it is what holds on."""
    ec2 = work.account.client("ec2")
    for association in associations:
        work.heed()
        try:
            ec2.disassociate_route_table(AssociationId=association)
        except ClientError as error:
            if not is_missing(error):
                raise
    return delete_once_free(
        work,
        resource,
        lambda: ec2.delete_route_table(RouteTableId=table),
        lambda: holders.of_route_table(work.account, table),
    )


def delete_internet_gateway(work: Work, resource: str, gateway: str, vpc: str) -> bool:
    """Detached first; AWS refuses that as long as something in the VPC has a public address."""
    ec2 = work.account.client("ec2")

    def users() -> tuple[Holder, ...]:
        return holders.interfaces(work.account, "vpc-id", vpc)

    def detach() -> None:
        try:
            ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
        except ClientError as error:
            if code_of(error) != "Gateway.NotAttached":
                raise

    if vpc:
        delete_once_free(work, resource, detach, users)
    return delete_once_free(
        work, resource, lambda: ec2.delete_internet_gateway(InternetGatewayId=gateway), users
    )


def delete_vpc(work: Work, resource: str, vpc: str) -> bool:
    ec2 = work.account.client("ec2")

    def users() -> tuple[Holder, ...]:
        holders.free(work.account, vpc)
        return holders.of_vpc(work.account, vpc)

    return delete_once_free(work, resource, lambda: ec2.delete_vpc(VpcId=vpc), users)


def delete_volume(work: Work, resource: str, volume: str) -> bool:
    """With everything on it."""
    ec2 = work.account.client("ec2")

    def users() -> tuple[Holder, ...]:
        return holders.of_volume(work.account, volume)

    return delete_once_free(work, resource, lambda: ec2.delete_volume(VolumeId=volume), users)
