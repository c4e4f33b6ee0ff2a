"""What a cluster needs, made with plain calls, and a cluster with everything."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.aws.account import AwsAccount

ROLE = "arn:aws:iam::123456789012:role/"
TRUSTED = {
    "cluster": "eks.amazonaws.com",
    "node": "ec2.amazonaws.com",
    "fargate": "eks-fargate-pods.amazonaws.com",
    "pod": "pods.eks.amazonaws.com",
}


@dataclass(frozen=True)
class Ground:
    """A VPC with two private subnets in two zones; the roles are `ROLE + "cluster"` and so on."""

    vpc: str
    subnets: list[str]


def make_ground(aws: AwsAccount) -> Ground:
    operator = aws.operator()
    iam, ec2 = operator.client("iam"), operator.client("ec2")
    for name, service in TRUSTED.items():
        statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Statement": [statement]}))
    vpc = ec2.create_vpc(CidrBlock="192.168.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(
            VpcId=vpc, CidrBlock=f"192.168.{index}.0/24", AvailabilityZone=f"eu-central-1{zone}"
        )
        for index, zone in enumerate("ab")
    ]
    return Ground(vpc, [each["Subnet"]["SubnetId"] for each in subnets])


def asked_cluster(ground: Ground, **more: Any) -> dict[str, Any]:
    """Parameters of create_cluster."""
    return {
        "name": "demo",
        "version": "1.34",
        "roleArn": f"{ROLE}cluster",
        "resourcesVpcConfig": {"subnetIds": ground.subnets},
        "accessConfig": {"authenticationMode": "API"},
        **more,
    }


def asked_group(ground: Ground, **more: Any) -> dict[str, Any]:
    """Parameters of create_nodegroup."""
    return {
        "clusterName": "demo",
        "nodegroupName": "workers",
        "subnets": ground.subnets,
        "nodeRole": f"{ROLE}node",
        "scalingConfig": {"minSize": 1, "desiredSize": 2, "maxSize": 3},
        "instanceTypes": ["m7i.large"],
        **more,
    }


def settle(describe: Any, what: str, status: str = "ACTIVE", **given: Any) -> dict[str, Any]:
    """Describe until the status is there, ten times at most."""
    for _ in range(10):
        found: dict[str, Any] = describe(**given)[what]
        if found["status"] == status:
            return found
    raise AssertionError(found)


def make_cluster(aws: AwsAccount, ground: Ground, **more: Any) -> dict[str, Any]:
    """An ACTIVE cluster; returns what describe shows."""
    eks = aws.client("eks")
    eks.create_cluster(**asked_cluster(ground, **more))
    return settle(eks.describe_cluster, "cluster", name="demo")


def make_group(aws: AwsAccount, ground: Ground, **more: Any) -> dict[str, Any]:
    eks = aws.client("eks")
    eks.create_nodegroup(**asked_group(ground, **more))
    return settle(eks.describe_nodegroup, "nodegroup", clusterName="demo", nodegroupName="workers")
