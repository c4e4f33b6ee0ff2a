"""What the account does on demand."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ConnectionError as LostError

from tests.aws.account import AwsAccount
from tests.unit.aws.factories import (
    ROLE,
    asked_cluster,
    asked_group,
    make_cluster,
    make_ground,
    make_group,
    settle,
)
from tests.unit.aws.test_refusals import refusal


def test_a_cluster_is_creating_for_so_many_looks(aws: AwsAccount) -> None:
    aws.states.slow("cluster", 3)
    eks = aws.client("eks")
    eks.create_cluster(**asked_cluster(make_ground(aws)))

    seen = [eks.describe_cluster(name="demo")["cluster"]["status"] for _ in range(4)]

    assert seen == ["CREATING", "CREATING", "CREATING", "ACTIVE"]


@pytest.mark.parametrize(
    "code",
    ["AsgInstanceLaunchFailures", "NodeCreationFailure", "InsufficientFreeAddresses", "Ec2SubnetNotFound"],
)
def test_a_node_group_fails_with_its_health_issue(aws: AwsAccount, code: str) -> None:
    ground, eks = make_ground(aws), aws.client("eks")
    make_cluster(aws, ground)
    aws.states.fail_nodegroup("workers", code, "could not launch")
    eks.create_nodegroup(**asked_group(ground))

    found = settle(
        eks.describe_nodegroup, "nodegroup", "CREATE_FAILED", clusterName="demo", nodegroupName="workers"
    )

    assert [(issue["code"], issue["message"]) for issue in found["health"]["issues"]] == [
        (code, "could not launch")
    ]


def test_a_code_that_aws_does_not_have_fails_loudly(aws: AwsAccount) -> None:
    ground, eks = make_ground(aws), aws.client("eks")
    make_cluster(aws, ground)
    aws.states.fail_nodegroup("workers", "NoSuchCode")
    eks.create_nodegroup(**asked_group(ground))
    group = {"clusterName": "demo", "nodegroupName": "workers"}
    eks.describe_nodegroup(**group)

    assert refusal(eks.describe_nodegroup, **group)[0] == "ShimError"

    assert "NoSuchCode" in aws.shim_errors[0]
    aws.forgive()


def test_nodes_cannot_join_without_a_network_addon(aws: AwsAccount) -> None:
    ground, eks = make_ground(aws), aws.client("eks")
    make_cluster(aws, ground, bootstrapSelfManagedAddons=False)
    eks.create_nodegroup(**asked_group(ground))

    group = {"clusterName": "demo", "nodegroupName": "workers"}
    found = settle(eks.describe_nodegroup, "nodegroup", "CREATE_FAILED", **group)

    assert found["health"]["issues"][0]["code"] == "NodeCreationFailure"


def test_coredns_is_degraded_until_there_are_nodes(aws: AwsAccount) -> None:
    ground, eks = make_ground(aws), aws.client("eks")
    make_cluster(aws, ground)
    eks.create_addon(clusterName="demo", addonName="coredns")
    coredns = {"clusterName": "demo", "addonName": "coredns"}
    found = settle(eks.describe_addon, "addon", "DEGRADED", **coredns)
    assert found["health"]["issues"][0]["code"] == "InsufficientNumberOfReplicas"

    make_group(aws, ground)

    assert eks.describe_addon(**coredns)["addon"]["status"] == "ACTIVE"


def test_the_next_calls_are_throttled(aws: AwsAccount) -> None:
    ec2, eks = aws.client("ec2"), aws.client("eks")
    aws.states.throttle("CreateVpc", 2)
    aws.states.throttle("ListClusters", 1)

    codes = [refusal(ec2.create_vpc, CidrBlock="10.0.0.0/16")[0] for _ in range(2)]

    assert codes == ["RequestLimitExceeded"] * 2
    assert refusal(eks.list_clusters)[0] == "ThrottlingException"
    ec2.create_vpc(CidrBlock="10.0.0.0/16")
    eks.list_clusters()


def test_an_action_is_denied_by_name(aws: AwsAccount) -> None:
    aws.states.deny("CreateVpc")

    code, message = refusal(aws.client("ec2").create_vpc, CidrBlock="10.0.0.0/16")
    simulated = aws.client("iam").simulate_principal_policy(
        PolicySourceArn=aws.user_arn, ActionNames=["ec2:CreateVpc", "ec2:CreateSubnet"]
    )

    assert (code, "ec2:CreateVpc" in message) == ("UnauthorizedOperation", True)
    decisions = [each["EvalDecision"] for each in simulated["EvaluationResults"]]
    assert decisions == ["implicitDeny", "allowed"]


def test_credentials_expire_after_so_many_calls(aws: AwsAccount) -> None:
    aws.states.expire_credentials(after=1)
    aws.client("ec2").describe_vpcs()

    assert refusal(aws.client("ec2").describe_vpcs)[0] == "RequestExpired"
    assert refusal(aws.client("sts").get_caller_identity)[0] == "ExpiredToken"
    assert refusal(aws.client("eks").list_clusters)[0] == "ExpiredTokenException"
    aws.states.renew_credentials()
    aws.client("ec2").describe_vpcs()


def test_a_request_is_lost_before_it_is_done_and_a_reply_after(aws: AwsAccount) -> None:
    ec2 = aws.client("ec2")
    vpcs = len(ec2.describe_vpcs()["Vpcs"])
    aws.states.lose_requests("CreateVpc", 1)
    with pytest.raises((LostError, ConnectionClosedError)):
        ec2.create_vpc(CidrBlock="10.0.0.0/16")
    assert len(ec2.describe_vpcs()["Vpcs"]) == vpcs

    aws.states.lose_replies("CreateVpc", 1)
    with pytest.raises((LostError, ConnectionClosedError)):
        ec2.create_vpc(CidrBlock="10.0.0.0/16")
    assert len(ec2.describe_vpcs()["Vpcs"]) == vpcs + 1


def test_a_zone_without_capacity_names_those_that_have_some(aws: AwsAccount) -> None:
    aws.states.fill_zone("eu-central-1b")
    with pytest.raises(ClientError) as caught:
        aws.client("eks").create_cluster(**asked_cluster(make_ground(aws)))

    assert caught.value.response["Error"]["Code"] == "UnsupportedAvailabilityZoneException"
    answer: dict[str, Any] = {**caught.value.response}
    assert answer["validZones"] == ["eu-central-1a", "eu-central-1c"]


def test_a_role_is_not_known_everywhere_at_once(aws: AwsAccount) -> None:
    ground, create = make_ground(aws), aws.client("eks").create_cluster
    aws.states.propagate_roles_late(2)

    messages = [refusal(create, **asked_cluster(ground))[1] for _ in range(2)]

    assert all(f"Role with arn: {ROLE}cluster, could not be assumed" in each for each in messages)
    create(**asked_cluster(ground))


def test_quotas_are_those_of_a_new_account_or_what_was_set(aws: AwsAccount) -> None:
    quotas = aws.client("service-quotas")
    aws.states.quota("L-0263D0A3", 12)

    for code, service, value in (
        ("L-F678F1CE", "vpc", 5.0),
        ("L-FE5A380F", "vpc", 5.0),
        ("L-0263D0A3", "ec2", 12.0),
    ):
        assert quotas.get_service_quota(ServiceCode=service, QuotaCode=code)["Quota"]["Value"] == value
    assert (
        quotas.get_aws_default_service_quota(ServiceCode="ec2", QuotaCode="L-0263D0A3")["Quota"]["Value"]
        == 5.0
    )
    unknown = refusal(quotas.get_service_quota, ServiceCode="vpc", QuotaCode="L-00000000")
    assert unknown[0] == "NoSuchResourceException"


def test_the_price_of_an_instance_is_listed(aws: AwsAccount) -> None:
    filters = [{"Type": "TERM_MATCH", "Field": "instanceType", "Value": "m7i.large"}]

    found = aws.client("pricing").get_products(ServiceCode="AmazonEC2", Filters=filters)["PriceList"]

    assert len(found) == 1
    assert '"USD": "0.1197000000"' in found[0]


def test_a_reset_account_is_empty_and_its_keys_stay(aws: AwsAccount) -> None:
    empty = aws.inventory()
    make_cluster(aws, make_ground(aws))
    aws.states.deny("DescribeVpcs")

    aws.reset()

    assert (aws.inventory(), aws.calls) == (empty, ())
    assert aws.client("ec2").describe_vpcs()["Vpcs"]
