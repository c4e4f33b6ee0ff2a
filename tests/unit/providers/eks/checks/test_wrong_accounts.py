"""Ten wrong accounts and the findings about each, as one page to review."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provision.errors import ProvisionError
from provision.model.eks import Subnets, Vpc
from provision.providers.eks.aws import account as accounts
from provision.providers.eks.aws.account import account_of
from provision.providers.eks.checks import check
from provision.providers.eks.checks.context import VPCS
from provision.providers.eks.checks.preflight import observe_preflight
from provision.providers.eks.operations.observe import observe
from provision.report.text import error_text, findings_text
from tests.aws.eks.versions import CALENDAR, support_of
from tests.unit.providers.eks import factories

if TYPE_CHECKING:
    import pytest

    from tests.aws.account import AwsAccount


_TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "eks.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)


def said(**changes: Any) -> str:
    """What `provision check` says about the account."""
    asked = factories.cluster(**changes)
    account = account_of(asked)
    try:
        observed = observe(asked, account, lambda _: None)
        found = check(asked, observed, observe_preflight(asked, account, observed, lambda _: None))
    except ProvisionError as error:
        return error_text(error)
    assert found
    return findings_text(found)


def no_credentials(aws: AwsAccount, patch: pytest.MonkeyPatch) -> str:
    del aws
    patch.delenv("AWS_ACCESS_KEY_ID")
    patch.delenv("AWS_SECRET_ACCESS_KEY")
    return said()


def expired_credentials(aws: AwsAccount, patch: pytest.MonkeyPatch) -> str:
    del patch
    aws.states.expire_credentials(after=0)
    return said()


def wrong_region(aws: AwsAccount, patch: pytest.MonkeyPatch) -> str:
    del aws
    patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")  # as its name, which no DNS knows
    patch.setattr(accounts, "_TRIES", 1)
    return said(region="eu-central-9")


def quota_used_up(aws: AwsAccount, patch: pytest.MonkeyPatch) -> str:
    del patch
    aws.states.quota(VPCS, 1)
    return said()


def instance_type_not_offered(aws: AwsAccount, patch: pytest.MonkeyPatch) -> str:
    del patch
    aws.states.offer("m7i.large", ["eu-central-1a", "eu-central-1b"])
    return said(vpc=Vpc(zones=("eu-central-1b", "eu-central-1c")))


def zone_without_room(aws: AwsAccount, patch: pytest.MonkeyPatch) -> str:
    del aws, patch
    return said(region="us-east-1", vpc=Vpc(zones=("us-east-1a", "us-east-1e")), node_groups=())


def missing_permission(aws: AwsAccount, patch: pytest.MonkeyPatch) -> str:
    del patch
    aws.states.deny("CreateVpc")
    aws.states.deny("CreateRole")
    return said()


def missing_subnet(aws: AwsAccount, patch: pytest.MonkeyPatch) -> str:
    del patch
    ec2 = aws.operator().client("ec2")
    (default,) = ec2.describe_vpcs()["Vpcs"]
    subnet = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [default["VpcId"]]}])["Subnets"][0]
    tag = {"Key": "kubernetes.io/role/internal-elb", "Value": "1"}
    ec2.create_tags(Resources=[subnet["SubnetId"]], Tags=[tag])
    text = said(vpc=Vpc(subnets=Subnets(private=(subnet["SubnetId"], "subnet-0123456789abcdef0"))))
    return text.replace(subnet["SubnetId"], "subnet-of-this-account")


def foreign_cluster(aws: AwsAccount, patch: pytest.MonkeyPatch) -> str:
    del patch
    operator = aws.operator()
    iam = operator.client("iam")
    role = iam.create_role(RoleName="theirs", AssumeRolePolicyDocument=_TRUST)["Role"]["Arn"]
    iam.attach_role_policy(RoleName="theirs", PolicyArn="arn:aws:iam::aws:policy/AmazonEKSClusterPolicy")
    subnets = operator.client("ec2").describe_subnets()["Subnets"]
    operator.client("eks").create_cluster(
        name="demo",
        version="1.35",
        roleArn=role,
        resourcesVpcConfig={"subnetIds": [subnet["SubnetId"] for subnet in subnets[:2]]},
        tags={"alpha.eksctl.io/cluster-name": "demo"},
    )
    return said()


def unsupported_version(aws: AwsAccount, patch: pytest.MonkeyPatch) -> str:
    """Which minors EKS offers depends on the day."""
    del aws, patch
    text = said(kubernetes="1.24", addons=())
    offered = ", ".join(minor for minor in reversed(CALENDAR) if support_of(minor) != "UNSUPPORTED")
    assert f"it offers {offered}\n" in text
    return text.replace(offered, "1.36, 1.35 ...")


WRONG: tuple[Callable[[AwsAccount, pytest.MonkeyPatch], str], ...] = (
    no_credentials,
    expired_credentials,
    wrong_region,
    quota_used_up,
    instance_type_not_offered,
    zone_without_room,
    missing_permission,
    missing_subnet,
    foreign_cluster,
    unsupported_version,
)


def test_ten_wrong_accounts_and_their_messages(
    aws: AwsAccount, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, golden: Callable[[str, str], None]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    parts = []
    for wrong in WRONG:
        aws.reset()
        with monkeypatch.context() as patch:
            text = wrong(aws, patch)
        assert text.startswith("error: "), wrong.__name__
        assert "\n  fix: " in text, wrong.__name__
        parts.append(f"{wrong.__name__.replace('_', ' ')}:\n{text}")
    golden("eks/ten-wrong-accounts.txt", "\n".join(parts))
