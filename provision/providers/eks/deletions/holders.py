"""Who keeps a part of the network from being deleted: network interfaces, and security groups that name each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from provision.providers.eks.aws.errors import code_of, is_missing
from provision.providers.eks.leftovers import as_mapping, tagged_by_somebody

if TYPE_CHECKING:
    from collections.abc import Iterator

    from types_boto3_ec2.type_defs import FilterTypeDef, NetworkInterfaceTypeDef

    from provision.providers.eks.aws.account import Account

# Descriptions of interfaces that go some minutes after their owners, which were deleted before: of load balancers,
# control planes, NAT gateways, and of pods on machines that are being stopped.
_VANISHING = ("ELB ", "Amazon EKS ", "Interface for NAT Gateway ", "aws-K8S-")
_IN_USE = frozenset({"InvalidNetworkInterface.InUse", "InvalidParameterValue"})


@dataclass(frozen=True, slots=True)
class Holder:
    """`name` is what a person can find: id, purpose, machine. `vanishing`: AWS takes it away by itself."""

    name: str
    vanishing: bool


def interfaces(account: Account, by: str, value: str) -> tuple[Holder, ...]:
    """Network interfaces with `by` ("subnet-id", "vpc-id", "group-id") equal to `value`."""
    return tuple(_interface(one) for one in _listed(account, by, value))


def of_address(account: Account, address: str) -> tuple[Holder, ...]:
    """The interface that the address is associated with."""
    found = account.client("ec2").describe_addresses(AllocationIds=[address])["Addresses"]
    held = [one["NetworkInterfaceId"] for one in found if one.get("NetworkInterfaceId")]
    return tuple(holder for id_ in held for holder in interfaces(account, "network-interface-id", id_))


def of_group(account: Account, group: str) -> tuple[Holder, ...]:
    """Interfaces that are in the security group, and groups whose rules name it."""
    return (*interfaces(account, "group-id", group), *_naming(account, group))


def of_vpc(account: Account, vpc: str) -> tuple[Holder, ...]:
    """Interfaces, subnets, security groups and route tables of the VPC, but for those that come and go with it."""
    client, here = account.client("ec2"), only("vpc-id", vpc)
    found = list(interfaces(account, "vpc-id", vpc))
    found += [
        _staying(one["SubnetId"], "subnet", one.get("Tags", ()))
        for one in client.describe_subnets(Filters=here)["Subnets"]
    ]
    found += [
        _staying(one["GroupId"], f"security group {one['GroupName']}", ())
        for one in client.describe_security_groups(Filters=here)["SecurityGroups"]
        if one["GroupName"] != "default"
    ]
    found += [
        _staying(one["RouteTableId"], "route table", one.get("Tags", ()))
        for one in client.describe_route_tables(Filters=here)["RouteTables"]
        if not any(link.get("Main") for link in one.get("Associations", ()))
    ]
    return tuple(found)


def of_route_table(account: Account, table: str) -> tuple[Holder, ...]:
    """Subnets that the route table is associated with."""
    found: Any = account.client("ec2").describe_route_tables(RouteTableIds=[table])["RouteTables"]
    links = [link.get("SubnetId", "") for one in found for link in one.get("Associations", ())]
    return tuple(_staying(link, "subnet", ()) for link in links if link)


def of_volume(account: Account, volume: str) -> tuple[Holder, ...]:
    """Machines that the volume is attached to; one that is being detached is vanishing."""
    found: Any = account.client("ec2").describe_volumes(VolumeIds=[volume])["Volumes"]
    return tuple(
        Holder(f"machine {link['InstanceId']}", vanishing=link.get("State") == "detaching")
        for one in found
        for link in one.get("Attachments", ())
    )


def free(account: Account, vpc: str) -> tuple[str, ...]:
    """Delete the unattached network interfaces of a VPC of ours that nobody tagged; returns their ids."""
    deleted = []
    for one in _listed(account, "vpc-id", vpc):
        if one.get("Status") != "available" or tagged_by_somebody(as_mapping(one.get("TagSet", ()))):
            continue
        if delete_interface(account, one["NetworkInterfaceId"]):
            deleted.append(one["NetworkInterfaceId"])
    return tuple(deleted)


def delete_interface(account: Account, interface: str) -> bool:
    """False if it is gone, or was attached meanwhile: then it holds on, and is named as the holder."""
    try:
        account.client("ec2").delete_network_interface(NetworkInterfaceId=interface)
    except ClientError as error:
        if is_missing(error) or code_of(error) in _IN_USE:
            return False
        raise
    return True


def _listed(account: Account, by: str, value: str) -> Iterator[NetworkInterfaceTypeDef]:
    pages = account.client("ec2").get_paginator("describe_network_interfaces")
    for page in pages.paginate(Filters=only(by, value)):
        yield from page["NetworkInterfaces"]


def only(by: str, value: str) -> list[FilterTypeDef]:
    """A filter of EC2."""
    return [{"Name": by, "Values": [value]}]


def _interface(one: NetworkInterfaceTypeDef) -> Holder:
    attachment = one.get("Attachment", {})
    machine = attachment.get("InstanceId", "")
    purpose = "; ".join(part for part in (one.get("Description", ""), machine) if part)
    vanishing = purpose.startswith(_VANISHING) or attachment.get("Status") == "detaching"
    named = f"{one['NetworkInterfaceId']} ({purpose})" if purpose else f"{one['NetworkInterfaceId']}"
    return Holder(f"network interface {named}", vanishing)


def _naming(account: Account, group: str) -> Iterator[Holder]:
    for direction in ("ip-permission.group-id", "egress.ip-permission.group-id"):
        pages = account.client("ec2").get_paginator("describe_security_groups")
        for page in pages.paginate(Filters=only(direction, group)):
            for one in page["SecurityGroups"]:
                if one["GroupId"] != group:
                    yield _staying(one["GroupId"], f"a rule of security group {one['GroupName']}", ())


def _staying(id_: str, what: str, tags: Any) -> Holder:
    name = as_mapping(tags).get("Name", "")
    return Holder(f"{what} {id_} ({name})" if name else f"{what} {id_}", vanishing=False)
