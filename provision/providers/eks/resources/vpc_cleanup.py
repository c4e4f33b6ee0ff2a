"""Delete the network: its parts in the order in which AWS lets them go, and what keeps each of them from going.

Existing subnets of the file and their VPC are never deleted. Network interfaces that nothing uses any more are freed on
the way; everything else that uses a part is named as its dependent.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from provision.providers.eks import names
from provision.providers.eks.aws.errors import code_of, is_missing
from provision.providers.eks.facts import Dependent, HealthIssue
from provision.providers.eks.resources.orphans import tagged_by_others
from provision.providers.eks.steps.planning import Deletion
from provision.providers.eks.steps.waiting import unless_missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from types_boto3_ec2.type_defs import FilterTypeDef, NetworkInterfaceTypeDef

    from provision.providers.eks.aws.account import Account
    from provision.providers.eks.steps.execution import Work
    from provision.providers.eks.steps.planning import PlanContext

_NAT = 900.0  # seconds
_MADE = "provision made it"
# Descriptions of interfaces that go some minutes after their owners, which were deleted before: of load balancers,
# control planes, NAT gateways, and of pods on machines that are being stopped.
_VANISHING = ("ELB ", "Amazon EKS ", "Interface for NAT Gateway ", "aws-K8S-")
_IN_USE = frozenset({"InvalidNetworkInterface.InUse", "InvalidParameterValue"})


@dataclass(frozen=True, slots=True)
class InterfacesDeletion(Deletion):
    """Unattached network interfaces of the VPC `id`."""


@dataclass(frozen=True, slots=True)
class RouteTableDeletion(Deletion):
    """`associations` are those with subnets that provision made."""

    associations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SubnetDeletion(Deletion):
    vpc: str


@dataclass(frozen=True, slots=True)
class InternetGatewayDeletion(Deletion):
    vpc: str  # that it is attached to, "" if none


@dataclass(frozen=True, slots=True)
class VpcDeletion(Deletion):
    pass


@dataclass(frozen=True, slots=True)
class Present:
    """The state of something that is there: DELETING, or "" where that is not known or of no interest."""

    status: str = ""
    health: tuple[HealthIssue, ...] = ()


def nat_removals(context: PlanContext) -> Iterator[Deletion]:
    for one in context.observation.network.nats:
        yield Deletion(one.part or f"nat {one.id}", (f"{_MADE} ({one.id})",), one.id)


def address_removals(context: PlanContext) -> Iterator[Deletion]:
    for one in context.observation.network.addresses:
        yield Deletion(one.part or f"address {one.id}", (f"{_MADE} ({one.ip})",), one.id)


def network_removals(context: PlanContext) -> Iterator[Deletion]:
    """In the order in which AWS lets them go."""
    network = context.observation.network
    for vpc in network.vpcs:
        why = "network interfaces that nothing uses any more would hold on to the subnets"
        yield InterfacesDeletion("network-interfaces", (why,), vpc.id)
    own = {subnet.id for subnet in network.subnets if subnet.part}
    for table in network.route_tables:
        links = tuple(link for subnet, link in table.associations.items() if subnet in own)
        name = table.part or f"routes {table.id}"
        yield RouteTableDeletion(name, (f"{_MADE} ({table.id})",), table.id, links)
    for subnet in network.subnets:
        if subnet.part:
            yield SubnetDeletion(subnet.part, (f"{_MADE} ({subnet.id})",), subnet.id, subnet.vpc)
    for gateway in network.internet_gateways:
        why = f"{_MADE} ({gateway.id})"
        yield InternetGatewayDeletion(names.INTERNET_GATEWAY, (why,), gateway.id, gateway.attached_to)
    for vpc in network.vpcs:
        yield VpcDeletion(names.VPC, (f"{_MADE} ({vpc.id}, {vpc.cidr})",), vpc.id)


def delete_nats(work: Work) -> None:
    work.delete_all(Deletion, lambda one: delete_nat(work, one.resource, one.id))


def release_addresses(work: Work) -> None:
    work.delete_all(Deletion, lambda one: release_address(work, one.resource, one.id))


def delete_network(work: Work) -> None:
    work.delete_all(Deletion, partial(_delete_part, work), in_order=True)


def _delete_part(work: Work, part: Deletion) -> bool:
    """Delete a part of the network once its dependents are gone; False if it was gone, as everywhere here."""
    ec2, account, name = work.account.client("ec2"), work.account, part.resource
    match part:
        case InterfacesDeletion():
            work.check_cancelled()
            freed = free_interfaces(account, part.id)
            if freed:
                work.note(name, f"deleted {', '.join(freed)}")
            return bool(freed)
        case RouteTableDeletion():
            for link in part.associations:
                work.check_cancelled()
                unless_missing(partial(ec2.disassociate_route_table, AssociationId=link))
            delete: Callable[[], object] = partial(ec2.delete_route_table, RouteTableId=part.id)
            return work.delete_when_unused(name, delete, lambda: _subnets_of(account, part.id))
        case SubnetDeletion():
            delete = partial(ec2.delete_subnet, SubnetId=part.id)
            return work.delete_when_unused(
                name,
                delete,
                lambda: _freed(account, part.vpc, lambda: interfaces(account, "subnet-id", part.id)),
            )
        case InternetGatewayDeletion():
            return _delete_internet_gateway(work, part)
        case _:
            delete = partial(ec2.delete_vpc, VpcId=part.id)
            return work.delete_when_unused(
                name, delete, lambda: _freed(account, part.id, lambda: _in_vpc(account, part.id))
            )


def _delete_internet_gateway(work: Work, part: InternetGatewayDeletion) -> bool:
    """Detach it first; AWS refuses that as long as something in the VPC has a public address."""
    ec2 = work.account.client("ec2")

    def users() -> tuple[Dependent, ...]:
        return interfaces(work.account, "vpc-id", part.vpc)

    def detach() -> None:
        try:
            ec2.detach_internet_gateway(InternetGatewayId=part.id, VpcId=part.vpc)
        except ClientError as error:
            if code_of(error) != "Gateway.NotAttached":
                raise

    if part.vpc:
        work.delete_when_unused(part.resource, detach, users)
    delete = partial(ec2.delete_internet_gateway, InternetGatewayId=part.id)
    return work.delete_when_unused(part.resource, delete, users)


def delete_nat(work: Work, resource: str, nat: str) -> bool:
    """One that is pending can be deleted, too; a deleted one is shown for an hour."""
    ec2 = work.account.client("ec2")

    def read() -> Present | None:
        found = ec2.describe_nat_gateways(Filters=_only("nat-gateway-id", nat))["NatGateways"]
        states = [one["State"] for one in found if one["State"] != "deleted"]
        return Present("DELETING" if states[0] == "deleting" else "") if states else None

    delete = partial(ec2.delete_nat_gateway, NatGatewayId=nat)
    return work.delete_and_wait(resource, read=read, delete=delete, limit=_NAT)


def release_address(work: Work, resource: str, address: str) -> bool:
    ec2 = work.account.client("ec2")

    def dependents() -> tuple[Dependent, ...]:
        found = ec2.describe_addresses(AllocationIds=[address])["Addresses"]
        ids = [one["NetworkInterfaceId"] for one in found if one.get("NetworkInterfaceId")]
        return tuple(one for id_ in ids for one in interfaces(work.account, "network-interface-id", id_))

    return work.delete_when_unused(resource, partial(ec2.release_address, AllocationId=address), dependents)


def interfaces(account: Account, by: str, value: str) -> tuple[Dependent, ...]:
    """Network interfaces with `by` ("subnet-id", "vpc-id", "group-id") equal to `value`."""
    return tuple(_interface(one) for one in _listed(account, by, value))


def free_interfaces(account: Account, vpc: str) -> tuple[str, ...]:
    """Delete the unattached network interfaces of a VPC, but those that others tagged; returns their ids."""
    deleted = []
    for one in _listed(account, "vpc-id", vpc):
        if one.get("Status") != "available" or tagged_by_others(names.tag_mapping(one.get("TagSet", ()))):
            continue
        if delete_interface(account, one["NetworkInterfaceId"]):
            deleted.append(one["NetworkInterfaceId"])
    return tuple(deleted)


def delete_interface(account: Account, interface: str) -> bool:
    """False if it is gone, or was attached meanwhile: then it is named as a dependent."""
    try:
        account.client("ec2").delete_network_interface(NetworkInterfaceId=interface)
    except ClientError as error:
        if is_missing(error) or code_of(error) in _IN_USE:
            return False
        raise
    return True


def _freed(
    account: Account, vpc: str, dependents: Callable[[], tuple[Dependent, ...]]
) -> tuple[Dependent, ...]:
    """The dependents that are left when unattached interfaces of the VPC were deleted."""
    free_interfaces(account, vpc)
    return dependents()


def _subnets_of(account: Account, table: str) -> tuple[Dependent, ...]:
    found: Any = account.client("ec2").describe_route_tables(RouteTableIds=[table])["RouteTables"]
    links = [link.get("SubnetId", "") for one in found for link in one.get("Associations", ())]
    return tuple(staying(link, "subnet") for link in links if link)


def _in_vpc(account: Account, vpc: str) -> tuple[Dependent, ...]:
    """Interfaces, subnets, security groups and route tables of the VPC, but for those that come and go with it."""
    client, here = account.client("ec2"), _only("vpc-id", vpc)
    found = list(interfaces(account, "vpc-id", vpc))
    found += [
        staying(one["SubnetId"], "subnet", one.get("Tags", ()))
        for one in client.describe_subnets(Filters=here)["Subnets"]
    ]
    found += [
        staying(one["GroupId"], f"security group {one['GroupName']}")
        for one in client.describe_security_groups(Filters=here)["SecurityGroups"]
        if one["GroupName"] != "default"
    ]
    found += [
        staying(one["RouteTableId"], "route table", one.get("Tags", ()))
        for one in client.describe_route_tables(Filters=here)["RouteTables"]
        if not any(link.get("Main") for link in one.get("Associations", ()))
    ]
    return tuple(found)


def _listed(account: Account, by: str, value: str) -> Iterator[NetworkInterfaceTypeDef]:
    pages = account.client("ec2").get_paginator("describe_network_interfaces")
    for page in pages.paginate(Filters=_only(by, value)):
        yield from page["NetworkInterfaces"]


def _only(by: str, value: str) -> list[FilterTypeDef]:
    return [{"Name": by, "Values": [value]}]


def _interface(one: NetworkInterfaceTypeDef) -> Dependent:
    attachment = one.get("Attachment", {})
    machine = attachment.get("InstanceId", "")
    purpose = "; ".join(part for part in (one.get("Description", ""), machine) if part)
    vanishing = purpose.startswith(_VANISHING) or attachment.get("Status") == "detaching"
    named = f"{one['NetworkInterfaceId']} ({purpose})" if purpose else f"{one['NetworkInterfaceId']}"
    return Dependent(f"network interface {named}", vanishing)


def staying(id_: str, what: str, tags: Any = ()) -> Dependent:
    """A dependent that does not vanish by itself."""
    name = names.tag_mapping(tags).get("Name", "")
    return Dependent(f"{what} {id_} ({name})" if name else f"{what} {id_}", vanishing=False)
