"""Errors of EC2 that moto does not return, and states of its resources that moto skips."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from moto.ec2.models import ec2_backends

from tests.aws.eks.resources import ACCOUNT
from tests.aws.failures import AwsError
from tests.aws.states import States
from tests.aws.wire import Operation, Reply


def perform(states: States, operation: Operation, by_moto: Callable[[], Reply]) -> Reply:
    """moto's response, with what AWS does before and after; raises AwsError for a call that AWS would refuse."""
    form = operation.form
    if form.get("DryRun", "").lower() == "true":
        raise AwsError("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", status=412)
    ec2: Any = ec2_backends[ACCOUNT][operation.region]
    rule = _RULES.get(operation.name)
    if rule is not None:
        rule(states, ec2, form)
    answer = by_moto()
    after = _AFTER.get(operation.name)
    return answer if after is None or answer.status >= 300 else after(states, ec2, form, answer)


def release_balancer(states: States, operation: Operation) -> None:
    """Keep the interfaces of a deleted load balancer for some describe calls."""
    form = operation.form
    path = form.get("LoadBalancerArn", "").partition(":loadbalancer/")[2]
    name = path or form.get("LoadBalancerName", "")
    ec2: Any = ec2_backends[ACCOUNT][operation.region]
    for eni in ec2.enis.values():
        if eni.description == f"ELB {name}":
            eni.looks = states.looks("delete")


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
    living = [nat for nat in ec2.nat_gateways.values() if nat.state in {"pending", "available", "deleting"}]
    here = [nat for nat in living if ec2.get_subnet(nat.subnet_id).availability_zone == zone]
    most = states.quota_of("L-FE5A380F")
    if len(here) >= most:
        raise AwsError(
            "NatGatewayLimitExceeded",
            f"Performing this operation would exceed the limit of {most:.0f} NAT gateways",
        )


def _nat_pending(states: States, ec2: Any, _form: dict[str, str], answer: Reply) -> Reply:
    own = re.search(r"<natGatewayId>(nat-\w+)<", answer.body.decode())
    assert own is not None
    nat = ec2.nat_gateways[own[1]]
    nat.state, nat.looks = "pending", states.looks("nat")
    nat._eni.status, nat._eni.description = "in-use", f"Interface for NAT Gateway {nat.id}"
    body = answer.body.replace(b"<state>available</state>", b"<state>pending</state>")
    return Reply(answer.status, answer.headers, body)


def _nat_exists(_states: States, ec2: Any, form: dict[str, str]) -> None:
    nat = ec2.nat_gateways.get(form["NatGatewayId"])
    if nat is None or nat.state == "deleted":
        raise AwsError("NatGatewayNotFound", f"NAT gateway {form['NatGatewayId']} was not found")


def _nat_deleting(states: States, ec2: Any, form: dict[str, str], answer: Reply) -> Reply:
    nat = ec2.nat_gateways[form["NatGatewayId"]]
    nat.state, nat.looks = "deleting", states.looks("delete")
    return answer


def _look_at_nats(_states: States, ec2: Any, _form: dict[str, str]) -> None:
    for nat in ec2.nat_gateways.values():
        if nat.state not in {"pending", "deleting"}:
            continue
        if nat.looks > 0:
            nat.looks -= 1
        elif nat.state == "pending":
            nat.state = "available"
        else:
            nat.state = "deleted"
            for address in ec2.addresses:
                if address.eni is nat._eni:
                    ec2.disassociate_address(address=address.public_ip)
            ec2.enis.pop(nat._eni.id, None)


def _look_at_interfaces(_states: States, ec2: Any, _form: dict[str, str]) -> None:
    """Count a describe call of interfaces; those of deleted load balancers disappear after some."""
    for eni in list(ec2.enis.values()):
        looks = getattr(eni, "looks", None)
        if looks == 0:
            ec2.delete_network_interface(eni.id)
        elif looks is not None:
            eni.looks = looks - 1


def _offered(states: States, _ec2: Any, _form: dict[str, str], answer: Reply) -> Reply:
    """The offerings without those that `states.offer` excludes."""

    def kept(match: re.Match[str]) -> str:
        kind = re.search(r"<instanceType>([^<]+)<", match[0])
        place = re.search(r"<location>([^<]+)<", match[0])
        assert kind is not None
        assert place is not None
        zones = states.offers.get(kind[1])
        return match[0] if zones is None or place[1] in zones or not place[1][-1].isalpha() else ""

    body = re.sub(r"<item>.*?</item>", kept, answer.body.decode(), flags=re.DOTALL)
    return Reply(answer.status, answer.headers, body.encode())


def _group_in_use(_states: States, ec2: Any, form: dict[str, str]) -> None:
    own = form.get("GroupId", "")
    users = [eni for eni in ec2.enis.values() if own in [group.id for group in eni.group_set]]
    rules = [
        rule
        for groups in ec2.groups.values()
        for group in groups.values()
        for rule in (*group.ingress_rules, *group.egress_rules)
        if group.id != own and rule.source_group.get("GroupId") == own
    ]
    if users or rules:
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
    "DeleteNatGateway": _nat_exists,
    "DescribeNatGateways": _look_at_nats,
    "DescribeNetworkInterfaces": _look_at_interfaces,
    "DeleteSecurityGroup": _group_in_use,
    "DeleteSubnet": _subnet_in_use,
    "DeleteVpc": _vpc_in_use,
    "DetachInternetGateway": _gateway_in_use,
    "DeleteInternetGateway": _gateway_attached,
    "ReleaseAddress": _address_in_use,
    "DeleteNetworkInterface": _interface_in_use,
}

_AFTER = {
    "CreateNatGateway": _nat_pending,
    "DeleteNatGateway": _nat_deleting,
    "DescribeInstanceTypeOfferings": _offered,
}
