"""EC2's refusals that moto does not make, and states of its resources that moto skips."""

from __future__ import annotations

from typing import Any

from moto.ec2.models import ec2_backends

from tests.aws.eks.resources import ACCOUNT
from tests.aws.failures import AwsError
from tests.aws.states import States
from tests.aws.wire import Operation, Reply


def refuse(states: States, operation: Operation) -> None:
    """Raises AwsError for a call that AWS would refuse."""
    form = operation.form
    if form.get("DryRun", "").lower() == "true":
        raise AwsError("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", status=412)
    rule = _RULES.get(operation.name)
    if rule is not None:
        rule(states, ec2_backends[ACCOUNT][operation.region], form)


def settle(_states: States, _operation: Operation, answer: Reply) -> Reply:
    return answer


def _vpc_quota(states: States, ec2: Any, _form: dict[str, str]) -> None:
    if len(ec2.vpcs) >= states.quota_of("L-F678F1CE"):
        raise AwsError("VpcLimitExceeded", "The maximum number of VPCs has been reached.")


def _gateway_quota(states: States, ec2: Any, _form: dict[str, str]) -> None:
    if len(ec2.internet_gateways) >= states.quota_of("L-A4707A72"):
        raise AwsError(
            "InternetGatewayLimitExceeded", "The maximum number of internet gateways has been reached."
        )


def _address_quota(states: States, ec2: Any, _form: dict[str, str]) -> None:
    if len(ec2.addresses) >= states.quota_of("L-0263D0A3"):
        raise AwsError("AddressLimitExceeded", "The maximum number of addresses has been reached.")


def _nat_rules(states: States, ec2: Any, form: dict[str, str]) -> None:
    zone = ec2.get_subnet(form["SubnetId"]).availability_zone
    here = [
        nat
        for nat in ec2.nat_gateways.values()
        if nat.state != "deleted" and ec2.get_subnet(nat.subnet_id).availability_zone == zone
    ]
    if len(here) >= states.quota_of("L-FE5A380F"):
        raise AwsError(
            "NatGatewayLimitExceeded",
            f"Performing this operation would exceed the limit of {states.quota_of('L-FE5A380F'):.0f} NAT gateways",
        )


def _group_in_use(_states: States, ec2: Any, form: dict[str, str]) -> None:
    own = form.get("GroupId", "")
    holders = [eni.id for eni in ec2.enis.values() if own in [group.id for group in eni.group_set]]
    for groups in ec2.groups.values():
        for group in groups.values():
            rules = [*group.ingress_rules, *group.egress_rules]
            named = {each.get("GroupId") for rule in rules for each in rule.source_groups}
            if group.id != own and own in named:
                holders.append(group.id)
    if holders:
        raise AwsError("DependencyViolation", f"resource {own} has a dependent object")


def _subnet_in_use(_states: States, ec2: Any, form: dict[str, str]) -> None:
    own = form["SubnetId"]
    if any(eni.subnet.id == own for eni in ec2.enis.values()):
        raise AwsError("DependencyViolation", f"The subnet '{own}' has dependencies and cannot be deleted.")


def _vpc_in_use(_states: States, ec2: Any, form: dict[str, str]) -> None:
    own = form["VpcId"]
    gateways = [
        gateway for gateway in ec2.internet_gateways.values() if gateway.vpc and gateway.vpc.id == own
    ]
    groups = [group for group in ec2.groups.get(own, {}).values() if group.name != "default"]
    tables = [
        table for table in ec2.route_tables.values() if table.vpc_id == own and not table.main_association_id
    ]
    enis = [eni for eni in ec2.enis.values() if eni.subnet.vpc_id == own]
    if gateways or groups or tables or enis:
        raise AwsError("DependencyViolation", f"The vpc '{own}' has dependencies and cannot be deleted.")


def _gateway_in_use(_states: States, ec2: Any, form: dict[str, str]) -> None:
    vpc = form["VpcId"]
    mapped = [a for a in ec2.addresses if a.eni is not None and a.eni.subnet.vpc_id == vpc]
    if mapped:
        raise AwsError(
            "DependencyViolation",
            f"Network {vpc} has some mapped public address(es). Please unmap those public address(es) before detaching "
            "the gateway.",
        )


def _address_in_use(_states: States, ec2: Any, form: dict[str, str]) -> None:
    for address in ec2.addresses:
        if address.allocation_id == form.get("AllocationId") and address.eni is not None:
            raise AwsError("InvalidIPAddress.InUse", f"Address {address.public_ip} is in use.")


def _interface_in_use(_states: States, ec2: Any, form: dict[str, str]) -> None:
    own = form["NetworkInterfaceId"]
    eni = ec2.enis.get(own)
    if eni is not None and eni.status == "in-use":
        raise AwsError("InvalidParameterValue", f"Network interface '{own}' is currently in use.")


def _gateway_attached(_states: States, ec2: Any, form: dict[str, str]) -> None:
    gateway = ec2.internet_gateways.get(form["InternetGatewayId"])
    if gateway is not None and gateway.vpc is not None:
        raise AwsError(
            "DependencyViolation",
            f"The internetGateway '{gateway.id}' has dependencies and cannot be deleted.",
        )


_RULES = {
    "CreateVpc": _vpc_quota,
    "CreateInternetGateway": _gateway_quota,
    "AllocateAddress": _address_quota,
    "CreateNatGateway": _nat_rules,
    "DeleteSecurityGroup": _group_in_use,
    "DeleteSubnet": _subnet_in_use,
    "DeleteVpc": _vpc_in_use,
    "DetachInternetGateway": _gateway_in_use,
    "DeleteInternetGateway": _gateway_attached,
    "ReleaseAddress": _address_in_use,
    "DeleteNetworkInterface": _interface_in_use,
}
