"""What AWS refuses and moto lets pass."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.aws.account import AwsAccount
from tests.unit.aws.factories import (
    ROLE,
    Ground,
    asked_cluster,
    asked_group,
    make_cluster,
    make_ground,
    make_group,
    settle,
)


def refusal(call: Callable[..., Any], **given: Any) -> tuple[str, str]:
    """Code and message of the error."""
    with pytest.raises(ClientError) as caught:
        call(**given)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": "9.99"}, "unsupported Kubernetes version 9.99"),
        ({"roleArn": f"{ROLE}nobody"}, "could not be assumed"),
        ({"roleArn": f"{ROLE}node"}, r"principals \[eks.amazonaws.com\] were not found"),
        (
            {"resourcesVpcConfig": {"subnetIds": ["subnet-0", "subnet-1"]}},
            "subnet ID 'subnet-0' does not exist",
        ),
        ({"kubernetesNetworkConfig": {"serviceIpv4Cidr": "192.168.0.0/18"}}, "overlaps with the CIDR"),
        ({"kubernetesNetworkConfig": {"serviceIpv4Cidr": "8.8.0.0/16"}}, "is not a /12 to /24"),
        (
            {"encryptionConfig": [{"resources": ["secrets"], "provider": {"keyArn": "arn:aws:kms:x"}}]},
            "keyArn in encryptionConfig provider is invalid",
        ),
    ],
)
def test_a_cluster_is_refused_for_what_it_refers_to(
    aws: AwsAccount, change: dict[str, Any], words: str
) -> None:
    ground = make_ground(aws)

    code, message = refusal(aws.client("eks").create_cluster, **{**asked_cluster(ground), **change})

    assert code == "InvalidParameterException"
    assert re.search(words, message)


def test_a_cluster_needs_two_zones_and_a_way_to_its_endpoint(aws: AwsAccount) -> None:
    ground, create = make_ground(aws), aws.client("eks").create_cluster
    one_zone = {"subnetIds": ground.subnets[:1]}
    closed = {"subnetIds": ground.subnets, "endpointPublicAccess": False, "endpointPrivateAccess": False}

    assert "two different AZs" in refusal(create, **asked_cluster(ground, resourcesVpcConfig=one_zone))[1]
    assert (
        "cannot be disabled at the same time"
        in refusal(create, **asked_cluster(ground, resourcesVpcConfig=closed))[1]
    )


def test_nothing_is_added_to_a_cluster_that_is_being_created(aws: AwsAccount) -> None:
    ground, eks = make_ground(aws), aws.client("eks")
    eks.create_cluster(**asked_cluster(ground))

    assert refusal(eks.create_nodegroup, **asked_group(ground))[0] == "InvalidRequestException"
    assert refusal(eks.create_addon, clusterName="demo", addonName="coredns")[0] == "InvalidRequestException"


def test_a_cluster_with_node_groups_or_fargate_profiles_stays(aws: AwsAccount) -> None:
    ground, eks = make_ground(aws), aws.client("eks")
    make_cluster(aws, ground)
    make_group(aws, ground)
    assert refusal(eks.delete_cluster, name="demo") == (
        "ResourceInUseException",
        "Cluster has nodegroups attached",
    )
    eks.delete_nodegroup(clusterName="demo", nodegroupName="workers")
    while eks.list_nodegroups(clusterName="demo")["nodegroups"]:
        pass
    eks.create_fargate_profile(**asked_profile(ground, "one"))

    assert "Fargate" in refusal(eks.delete_cluster, name="demo")[1]


def asked_profile(ground: Ground, name: str) -> dict[str, Any]:
    return {
        "clusterName": "demo",
        "fargateProfileName": name,
        "podExecutionRoleArn": f"{ROLE}fargate",
        "subnets": ground.subnets,
        "selectors": [{"namespace": "batch"}],
    }


def test_fargate_profiles_come_and_go_one_by_one(aws: AwsAccount) -> None:
    ground, eks = make_ground(aws), aws.client("eks")
    make_cluster(aws, ground)
    first, second = asked_profile(ground, "one"), asked_profile(ground, "two")
    eks.create_fargate_profile(**first)
    assert "one in status CREATING" in refusal(eks.create_fargate_profile, **second)[1]
    for asked in (first, second):
        own = {"clusterName": "demo", "fargateProfileName": asked["fargateProfileName"]}
        if asked is second:
            eks.create_fargate_profile(**second)
        settle(eks.describe_fargate_profile, "fargateProfile", **own)

    eks.delete_fargate_profile(clusterName="demo", fargateProfileName="one")

    code, message = refusal(eks.delete_fargate_profile, clusterName="demo", fargateProfileName="two")
    assert (code, "one in status DELETING" in message) == ("InvalidParameterException", True)


def test_a_fargate_profile_is_refused_in_a_public_subnet(aws: AwsAccount) -> None:
    ground, ec2 = make_ground(aws), aws.operator().client("ec2")
    make_cluster(aws, ground)
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=ground.vpc)
    table = ec2.create_route_table(VpcId=ground.vpc)["RouteTable"]["RouteTableId"]
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    ec2.associate_route_table(RouteTableId=table, SubnetId=ground.subnets[0])

    message = refusal(aws.client("eks").create_fargate_profile, **asked_profile(ground, "one"))[1]

    assert "not a private subnet" in message


def test_a_minor_version_goes_up_by_one(aws: AwsAccount) -> None:
    ground, eks = make_ground(aws), aws.client("eks")
    make_cluster(aws, ground)

    for version in ("1.33", "1.34", "1.36"):
        assert (
            refusal(eks.update_cluster_version, name="demo", version=version)[0]
            == "InvalidParameterException"
        )
    newer = asked_group(ground, version="1.35")
    assert "1.35 is not supported by cluster 1.34" in refusal(eks.create_nodegroup, **newer)[1]


def test_one_update_at_a_time(aws: AwsAccount) -> None:
    eks = aws.client("eks")
    make_cluster(aws, make_ground(aws))
    eks.update_cluster_version(name="demo", version="1.35")

    busy = refusal(eks.update_cluster_config, name="demo", accessConfig={"authenticationMode": "API"})

    assert busy[0] == "ResourceInUseException"


def test_an_update_that_changes_nothing_is_refused(aws: AwsAccount) -> None:
    make_cluster(aws, make_ground(aws))
    update = aws.client("eks").update_cluster_config

    assert "already at" in refusal(update, name="demo", accessConfig={"authenticationMode": "API"})[1]
    assert "already at" in refusal(update, name="demo", resourcesVpcConfig={"endpointPublicAccess": True})[1]
    both = {"upgradePolicy": {"supportType": "STANDARD"}, "deletionProtection": True}
    assert "Only one type" in refusal(update, name="demo", **both)[1]


def test_a_principal_of_an_access_entry_must_be_known_to_iam(aws: AwsAccount) -> None:
    make_cluster(aws, make_ground(aws))
    create = aws.client("eks").create_access_entry

    assert "invalid principal" in refusal(create, clusterName="demo", principalArn=f"{ROLE}nobody")[1]
    assert create(clusterName="demo", principalArn=f"{ROLE}node")["accessEntry"]["type"] == "STANDARD"
    assert refusal(create, clusterName="demo", principalArn=f"{ROLE}node")[0] == "ResourceInUseException"


def test_an_addon_version_must_go_with_the_cluster(aws: AwsAccount) -> None:
    make_cluster(aws, make_ground(aws))
    asked = {"clusterName": "demo", "addonName": "coredns", "addonVersion": "v1.13.2-eksbuild.1"}

    assert "not supported" in refusal(aws.client("eks").create_addon, **asked)[1]


def test_what_is_not_there_is_not_found(aws: AwsAccount) -> None:
    eks = aws.client("eks")
    assert refusal(eks.describe_cluster, name="demo")[0] == "ResourceNotFoundException"
    assert refusal(eks.list_nodegroups, clusterName="demo")[0] == "ResourceNotFoundException"
    arn = "arn:aws:eks:eu-central-1:123456789012:cluster/demo"
    assert refusal(eks.tag_resource, resourceArn=arn, tags={"a": "b"})[0] == "NotFoundException"


def test_keys_that_nobody_has_are_refused_by_every_service(aws: AwsAccount) -> None:
    session = boto3.Session("AKIANOBODYSKEY000000", "x", region_name="eu-central-1")
    names: tuple[Any, ...] = ("ec2", "sts", "eks")
    made = {name: session.client(name, endpoint_url=aws.endpoint) for name in names}

    assert refusal(made["ec2"].describe_vpcs)[0] == "AuthFailure"
    assert refusal(made["sts"].get_caller_identity)[0] == "InvalidClientTokenId"
    assert refusal(made["eks"].list_clusters)[0] == "UnrecognizedClientException"
