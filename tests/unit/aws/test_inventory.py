"""The inventory: equal for equal accounts, different for anything more or less."""

from __future__ import annotations

from typing import Any

from tests.aws.account import AwsAccount
from tests.unit.aws.factories import Ground, asked_cluster, make_cluster, make_ground, make_group


def everything(aws: AwsAccount) -> Ground:
    ground, eks = make_ground(aws), aws.client("eks")
    make_cluster(aws, ground, tags={"team": "a"})
    make_group(aws, ground)
    eks.create_addon(clusterName="demo", addonName="coredns")
    eks.create_pod_identity_association(
        clusterName="demo",
        namespace="apps",
        serviceAccount="web",
        roleArn="arn:aws:iam::123456789012:role/pod",
    )
    ec2 = aws.client("ec2")
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    ec2.create_nat_gateway(SubnetId=ground.subnets[0], AllocationId=address)
    for _ in range(3):
        eks.describe_addon(clusterName="demo", addonName="coredns")
        ec2.describe_nat_gateways()
    aws.ghosts.load_balancer("demo")
    aws.ghosts.volume("demo")
    return ground


def test_the_same_calls_make_the_same_inventory(aws: AwsAccount) -> None:
    everything(aws)
    first = aws.inventory()
    aws.reset()
    everything(aws)

    second = aws.inventory()

    assert second == first
    kinds = {
        "vpc",
        "subnet",
        "cluster",
        "node-group",
        "addon",
        "access-entry",
        "pod-identity",
        "role",
        "nat-gateway",
    }
    assert kinds <= set(first)


def test_anything_more_or_other_shows(aws: AwsAccount) -> None:
    ground = everything(aws)
    ec2, eks, iam = aws.client("ec2"), aws.client("eks"), aws.client("iam")
    before = aws.inventory()

    def changed(call: Any, **given: Any) -> set[str]:
        nonlocal before
        call(**given)
        after = aws.inventory()
        kinds = {kind for kind in {*after, *before} if after.get(kind) != before.get(kind)}
        before = after
        return kinds

    vpc = ground.vpc
    arn = eks.describe_cluster(name="demo")["cluster"]["arn"]
    assert changed(ec2.allocate_address, Domain="vpc") == {"address"}
    assert changed(ec2.create_security_group, GroupName="a", Description="a", VpcId=vpc) == {"security-group"}
    assert changed(ec2.create_tags, Resources=[vpc], Tags=[{"Key": "a", "Value": "b"}]) == {"vpc"}
    assert changed(iam.delete_role, RoleName="fargate") == {"role"}
    assert changed(eks.tag_resource, resourceArn=arn, tags={"a": "b"}) == {"cluster"}
    assert changed(eks.create_addon, clusterName="demo", addonName="vpc-cni") == {"addon"}


def test_a_resource_that_is_there_twice_is_listed_twice(aws: AwsAccount) -> None:
    ec2 = aws.client("ec2")
    tags = [{"ResourceType": "vpc", "Tags": [{"Key": "provision/role", "Value": "vpc"}]}]
    before = len(aws.inventory()["vpc"])
    for _ in range(2):
        ec2.create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=tags)

    assert len(aws.inventory()["vpc"]) == before + 2


def test_looking_is_not_counted_not_refused_and_moves_nothing(aws: AwsAccount) -> None:
    aws.client("eks").create_cluster(**asked_cluster(make_ground(aws)))
    aws.forget_calls()
    aws.states.expire_credentials(after=0)

    statuses = [aws.inventory()["cluster"][0]["status"] for _ in range(4)]

    assert (statuses, aws.calls) == (["CREATING"] * 4, ())


def test_a_load_balancer_holds_its_group_until_some_looks_after_it_is_gone(aws: AwsAccount) -> None:
    make_cluster(aws, make_ground(aws))
    ec2, elb, elbv2 = aws.client("ec2"), aws.client("elb"), aws.client("elbv2")
    arn, name = aws.ghosts.load_balancer("demo"), aws.ghosts.classic_load_balancer("demo")
    own = aws.ghosts.interface("demo")

    def held() -> list[str]:
        found = ec2.describe_network_interfaces()["NetworkInterfaces"]
        return [each["Description"] for each in found if each["Description"].startswith("ELB ")]

    elbv2.delete_load_balancer(LoadBalancerArn=arn)
    elb.delete_load_balancer(LoadBalancerName=name)

    assert [len(held()) for _ in range(3)] == [2, 0, 0]
    tags = [{"Name": "tag:kubernetes.io/cluster/demo", "Values": ["owned"]}]
    left = ec2.describe_network_interfaces(Filters=tags)["NetworkInterfaces"]
    assert [(each["NetworkInterfaceId"], each["Status"]) for each in left] == [(own, "available")]
