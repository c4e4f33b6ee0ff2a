"""EC2 as AWS has it: quotas, things in use, NAT gateways that take time."""

from __future__ import annotations

from typing import Any

import pytest

from tests.aws.account import AwsAccount
from tests.unit.aws.factories import make_cluster, make_ground
from tests.unit.aws.test_refusals import refusal


def make_nat(aws: AwsAccount, subnet: str, **more: Any) -> tuple[str, str]:
    """Ids of the gateway and of its address."""
    ec2 = aws.client("ec2")
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    made = ec2.create_nat_gateway(SubnetId=subnet, AllocationId=address, **more)["NatGateway"]
    assert made["State"] == "pending"
    return made["NatGatewayId"], address


def nat_state(aws: AwsAccount, own: str) -> str:
    return str(aws.client("ec2").describe_nat_gateways(NatGatewayIds=[own])["NatGateways"][0]["State"])


def test_a_nat_gateway_takes_time_and_holds_its_subnet_and_address(aws: AwsAccount) -> None:
    ground, ec2 = make_ground(aws), aws.client("ec2")
    aws.states.slow("nat", 2)
    own, address = make_nat(aws, ground.subnets[0])

    assert [nat_state(aws, own) for _ in range(3)] == ["pending", "pending", "available"]
    assert refusal(ec2.delete_subnet, SubnetId=ground.subnets[0])[0] == "DependencyViolation"
    assert refusal(ec2.release_address, AllocationId=address)[0] == "InvalidIPAddress.InUse"
    ec2.delete_nat_gateway(NatGatewayId=own)
    assert refusal(ec2.release_address, AllocationId=address)[0] == "InvalidIPAddress.InUse"
    assert [nat_state(aws, own) for _ in range(2)] == ["deleting", "deleted"]
    ec2.release_address(AllocationId=address)
    ec2.delete_subnet(SubnetId=ground.subnets[0])


def test_a_client_token_makes_one_nat_gateway(aws: AwsAccount) -> None:
    ground, ec2 = make_ground(aws), aws.client("ec2")
    own, address = make_nat(aws, ground.subnets[0], ClientToken="same")
    asked = {"SubnetId": ground.subnets[0], "ClientToken": "same"}

    again = ec2.create_nat_gateway(AllocationId=address, **asked)["NatGateway"]["NatGatewayId"]

    assert again == own
    assert len(ec2.describe_nat_gateways()["NatGateways"]) == 1
    other = {**asked, "SubnetId": ground.subnets[1]}
    assert refusal(ec2.create_nat_gateway, AllocationId=address, **other)[0] == "IdempotentParameterMismatch"


def test_a_dry_run_makes_nothing(aws: AwsAccount) -> None:
    ec2 = aws.client("ec2")
    before = len(ec2.describe_vpcs()["Vpcs"])

    code, _ = refusal(ec2.create_vpc, CidrBlock="10.0.0.0/16", DryRun=True)

    assert (code, len(ec2.describe_vpcs()["Vpcs"])) == ("DryRunOperation", before)


def test_a_vpc_with_things_inside_stays(aws: AwsAccount) -> None:
    ec2 = aws.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    assert refusal(ec2.delete_vpc, VpcId=vpc)[0] == "DependencyViolation"
    assert refusal(ec2.delete_internet_gateway, InternetGatewayId=gateway)[0] == "DependencyViolation"
    ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    group = ec2.create_security_group(GroupName="a", Description="a", VpcId=vpc)["GroupId"]
    assert refusal(ec2.delete_vpc, VpcId=vpc)[0] == "DependencyViolation"
    ec2.delete_security_group(GroupId=group)
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    assert refusal(ec2.delete_vpc, VpcId=vpc)[0] == "DependencyViolation"
    ec2.delete_route_table(RouteTableId=table)

    ec2.delete_vpc(VpcId=vpc)


def test_a_gateway_with_mapped_addresses_stays_attached(aws: AwsAccount) -> None:
    ground, ec2 = make_ground(aws), aws.client("ec2")
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=ground.vpc)
    make_nat(aws, ground.subnets[0])

    code, message = refusal(ec2.detach_internet_gateway, InternetGatewayId=gateway, VpcId=ground.vpc)

    assert (code, "mapped public address" in message) == ("DependencyViolation", True)


def test_a_security_group_that_another_refers_to_stays(aws: AwsAccount) -> None:
    ground, ec2 = make_ground(aws), aws.client("ec2")
    one, two = (
        ec2.create_security_group(GroupName=name, Description=name, VpcId=ground.vpc)["GroupId"]
        for name in "ab"
    )
    rule = [{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": one}]}]
    ec2.authorize_security_group_ingress(GroupId=two, IpPermissions=rule)
    assert refusal(ec2.delete_security_group, GroupId=one)[0] == "DependencyViolation"

    ec2.revoke_security_group_ingress(GroupId=two, IpPermissions=rule)
    ec2.delete_security_group(GroupId=one)


def test_a_cluster_holds_its_subnets_until_it_is_gone(aws: AwsAccount) -> None:
    ground, ec2, eks = make_ground(aws), aws.client("ec2"), aws.client("eks")
    config = make_cluster(aws, ground)["resourcesVpcConfig"]
    group = config["clusterSecurityGroupId"]
    assert refusal(ec2.delete_subnet, SubnetId=ground.subnets[0])[0] == "DependencyViolation"
    assert refusal(ec2.delete_security_group, GroupId=group)[0] == "DependencyViolation"
    tags = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["Tags"]
    assert {"Key": "kubernetes.io/cluster/demo", "Value": "owned"} in tags

    eks.delete_cluster(name="demo")
    while eks.list_clusters()["clusters"]:
        pass

    assert refusal(ec2.describe_security_groups, GroupIds=[group])[0] == "InvalidGroup.NotFound"
    for subnet in ground.subnets:
        ec2.delete_subnet(SubnetId=subnet)
    ec2.delete_vpc(VpcId=ground.vpc)


@pytest.mark.parametrize(
    ("code", "operation", "given", "expected"),
    [
        ("L-F678F1CE", "create_vpc", {"CidrBlock": "10.0.0.0/16"}, "VpcLimitExceeded"),
        ("L-0263D0A3", "allocate_address", {"Domain": "vpc"}, "AddressLimitExceeded"),
        ("L-A4707A72", "create_internet_gateway", {}, "InternetGatewayLimitExceeded"),
    ],
)
def test_a_quota_is_reached(
    aws: AwsAccount, code: str, operation: str, given: dict[str, str], expected: str
) -> None:
    aws.states.quota(code, 0)

    assert refusal(getattr(aws.client("ec2"), operation), **given)[0] == expected


def test_the_quota_of_nat_gateways_counts_those_of_the_zone(aws: AwsAccount) -> None:
    ground = make_ground(aws)
    aws.states.quota("L-FE5A380F", 1)
    _, address = make_nat(aws, ground.subnets[0])
    make_nat(aws, ground.subnets[1])

    more = {"SubnetId": ground.subnets[0], "AllocationId": address}
    assert refusal(aws.client("ec2").create_nat_gateway, **more)[0] == "NatGatewayLimitExceeded"


def test_an_instance_type_is_offered_where_it_is_said_to_be(aws: AwsAccount) -> None:
    aws.states.offer("m7i.large", ["eu-central-1b"])
    ec2 = aws.client("ec2")
    filters = [{"Name": "instance-type", "Values": ["m7i.large", "m5.large"]}]

    offered = ec2.describe_instance_type_offerings(LocationType="availability-zone", Filters=filters)

    zones = [
        each["Location"] for each in offered["InstanceTypeOfferings"] if each["InstanceType"] == "m7i.large"
    ]
    others = [
        each["Location"] for each in offered["InstanceTypeOfferings"] if each["InstanceType"] == "m5.large"
    ]
    assert (zones, len(others)) == (["eu-central-1b"], 3)
