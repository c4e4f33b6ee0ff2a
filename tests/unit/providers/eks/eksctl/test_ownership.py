"""Whose a cluster is, as an account says it over HTTP."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from provision.providers.eks.aws.account import account_of
from provision.providers.eks.checks import check
from provision.providers.eks.eksctl import ownership
from provision.providers.eks.eksctl.plan import delete_plan, plan
from provision.providers.eks.operations.observe import observe
from tests.unit.providers.eks import factories

if TYPE_CHECKING:
    from provision.model.eks import EksCluster
    from provision.providers.eks.facts import Observation
    from tests.aws.account import AwsAccount

BY_EKSCTL = {ownership.CLUSTER_TAG: "demo", "alpha.eksctl.io/eksctl-version": "0.215.0"}
OURS = {**BY_EKSCTL, **ownership.tags({})}


def make_cluster(aws: AwsAccount, tags: Mapping[str, str]) -> None:
    """A cluster with one node group, as its stacks leave it."""
    operator = aws.operator()
    iam, eks = operator.client("iam"), aws.client("eks")
    arns = {}
    for name, service in (("control", "eks.amazonaws.com"), ("nodes", "ec2.amazonaws.com")):
        statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
        trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        arns[name] = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    for name, policy in (
        ("control", "AmazonEKSClusterPolicy"),
        ("nodes", "AmazonEKSWorkerNodePolicy"),
        ("nodes", "AmazonEC2ContainerRegistryPullOnly"),
        ("nodes", "AmazonEKS_CNI_Policy"),
    ):
        iam.attach_role_policy(RoleName=name, PolicyArn=f"arn:aws:iam::aws:policy/{policy}")
    subnets = [one["SubnetId"] for one in operator.client("ec2").describe_subnets()["Subnets"]][:2]
    eks.create_cluster(
        name="demo",
        version="1.35",
        roleArn=arns["control"],
        resourcesVpcConfig={"subnetIds": subnets, "endpointPrivateAccess": True},
        accessConfig={"authenticationMode": "API"},
        tags=dict(tags),
    )
    soon = {"Delay": 0, "MaxAttempts": 9}
    eks.get_waiter("cluster_active").wait(name="demo", WaiterConfig=soon)
    eks.create_nodegroup(
        clusterName="demo",
        nodegroupName="workers",
        nodeRole=arns["nodes"],
        subnets=subnets,
        instanceTypes=["m7i.large"],
        amiType="AL2023_x86_64_STANDARD",
        scalingConfig={"minSize": 1, "desiredSize": 2, "maxSize": 3},
        diskSize=80,
        labels={"alpha.eksctl.io/cluster-name": "demo"},
        tags=dict(tags),
    )
    eks.get_waiter("nodegroup_active").wait(clusterName="demo", nodegroupName="workers", WaiterConfig=soon)
    aws.forget_calls()


def look(asked: EksCluster) -> Observation:
    return observe(asked, account_of(asked), lambda _: None)


def test_a_cluster_that_eksctl_created_for_provision_is_read_whole_and_continued(aws: AwsAccount) -> None:
    make_cluster(aws, OURS)
    asked = factories.cluster(backend="eksctl")
    observed = look(asked)
    assert observed.cluster
    assert observed.cluster.owned
    assert [(group.name, group.owned, group.labels) for group in observed.node_groups] == [
        ("workers", True, {})
    ]
    assert check(asked, observed, factories.fit()) == ()
    assert [step.commands[0][0] for step in plan(asked, observed)] == ["create", "create"], "add-ons"
    assert len(delete_plan(asked, observed)) == 1


def test_provisions_own_backend_does_not_change_it(aws: AwsAccount) -> None:
    make_cluster(aws, OURS)
    observed = look(factories.cluster())
    assert observed.cluster
    assert not observed.cluster.owned
    assert observed.node_groups == ()
    assert [one.check for one in check(factories.cluster(), observed, factories.fit())] == ["another-owner"]
    assert aws.mutating_calls == ()


def test_what_a_person_created_with_eksctl_is_changed_by_neither(aws: AwsAccount) -> None:
    make_cluster(aws, BY_EKSCTL)
    asked = factories.cluster(backend="eksctl")
    observed = look(asked)
    assert delete_plan(asked, observed) == ()
    assert [one.check for one in check(asked, observed, factories.fit())] == ["another-owner"]
