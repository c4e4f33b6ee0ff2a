"""The policy allows what the code calls, and nothing that it does not: compared with the code, and in whole runs."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import botocore.session
import pytest
from botocore import xform_name

import provision.providers.eks
from provision.cli import run
from provision.model.eks import NodeGroup, PodIdentity
from provision.providers.eks.iam.policy import grants, policy
from tests.unit.providers.eks.apply_runs import ADMIN, SMALL, apply
from tests.unit.providers.eks.reset_runs import reset

if TYPE_CHECKING:
    from tests.aws.account import AwsAccount

SERVICES = {
    "ec2": "ec2",
    "eks": "eks",
    "elb": "elasticloadbalancing",
    "elbv2": "elasticloadbalancing",
    "iam": "iam",
    "pricing": "pricing",
    "service-quotas": "servicequotas",
    "sts": "sts",
}
LONGEST = 6144  # characters of a managed policy, without white space
CHANGED = SMALL.model_copy(
    update={
        "kubernetes": "1.35",
        "logs": ("audit",),
        "tags": {"team": "platform"},
        "node_groups": (NodeGroup(name="workers", desired=2, labels={"a": "b"}), NodeGroup(name="more")),
        "fargate_profiles": (),
        "pod_identities": (),
    }
)
KEY = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd"
ROLE = "arn:aws:iam::123456789012:role/ebs"


def called() -> set[str]:
    return {action for grant in grants() for action in grant.actions}


def operations() -> dict[str, set[str]]:
    """Method of a client ("describe_tags"): the actions it may be, one a service that has such an operation."""
    found: dict[str, set[str]] = {}
    session = botocore.session.get_session()
    for service, prefix in SERVICES.items():
        for name in session.get_service_model(service).operation_names:
            found.setdefault(xform_name(name), set()).add(f"{prefix}:{name}")
    return found


def in_code() -> dict[str, set[str]]:
    """The methods that the code names: `client.create_vpc(`, `get_paginator("list_roles")`, `"describe_vpcs"`."""
    known = operations()
    text = "".join(path.read_text() for path in Path(provision.providers.eks.__path__[0]).rglob("*.py"))
    words = set(re.findall(r'[."]([a-z][a-z0-9_]+)\b', text))
    return {word: known[word] for word in words & set(known)}


def test_every_call_in_the_code_has_its_action() -> None:
    assert {word: actions for word, actions in in_code().items() if not actions & called()} == {}


def test_every_action_is_called_in_the_code() -> None:
    possible = {action for actions in in_code().values() for action in actions}

    assert called() - possible == set()


def test_an_action_that_is_not_called_has_a_reason_and_no_call_needs_none() -> None:
    for grant in grants(SMALL.model_copy(update={"encryption_key": KEY})):
        assert all(reason.startswith(("EC2", "EKS", "IAM")) for reason in grant.implied.values())


def test_what_whole_runs_call_is_allowed(aws: AwsAccount) -> None:
    document = '{"Statement": []}'
    aws.operator().client("iam").create_role(
        RoleName=ADMIN.rpartition("/")[2], AssumeRolePolicyDocument=document
    )
    assert apply().outcome.ok
    assert apply(CHANGED).outcome.ok
    aws.ghosts.load_balancer("demo")
    aws.ghosts.classic_load_balancer("demo")
    aws.ghosts.interface("demo")
    aws.ghosts.volume("demo")
    assert reset(CHANGED, delete_volumes=True).outcome.ok

    recorded = {call.action for call in aws.calls}

    assert recorded - called() == set()
    assert len({call.action for call in aws.mutating_calls}) > 30  # the runs were whole ones


@pytest.mark.parametrize("cluster", [None, SMALL])
def test_shorter_patterns_mean_reads_only_and_all_of_the_actions(cluster: object) -> None:
    for grant in grants(cluster):  # type: ignore[arg-type]
        patterns = [pattern for pattern in grant.written if "*" in pattern]
        assert all(re.fullmatch(r"\w+:(Describe|List)\*", pattern) for pattern in patterns)
        if grant.written:
            assert all(any(fnmatchcase(one, each) for each in grant.written) for one in grant.actions)


def test_every_changing_action_is_restricted_to_provisions_or_the_clusters_tags() -> None:
    unbound = {
        action
        for grant in grants(SMALL)
        if not re.search(
            r"aws:(Request|Resource)Tag/|iam:PassedToService|iam:AWSService", str(grant.condition)
        )
        for action in grant.actions
        if not re.match(r"\w+:(Describe|List|Get|Simulate)", action)
    }

    assert unbound == {"ec2:DeleteNetworkInterface"}  # whose reason is in the table


def test_the_policy_of_a_cluster_names_its_roles_key_and_pod_identities() -> None:
    cluster = SMALL.model_copy(
        update={
            "encryption_key": KEY,
            "pod_identities": (
                PodIdentity(namespace="a", service_account="a", role_arn=ROLE),
                PodIdentity(namespace="b", service_account="b", policy_arns=("arn:aws:iam::aws:policy/X",)),
            ),
        }
    )
    statements = {one["Sid"]: one for one in policy(cluster)["Statement"]}

    path = "arn:aws:iam::*:role/provision/eu-central-1/demo/*"
    assert statements["PassRolesToEks"]["Resource"] == [path, ROLE]
    assert (
        "arn:aws:iam::aws:policy/X"
        in statements["AttachPoliciesToOwnRoles"]["Condition"]["ArnEquals"]["iam:PolicyARN"]
    )
    assert statements["EncryptSecrets"]["Resource"] == KEY
    assert statements["ChangeOwnCluster"]["Resource"][0] == "arn:aws:eks:eu-central-1:*:cluster/demo"


def test_only_policies_that_provision_attaches_can_be_attached() -> None:
    statements = [one for one in policy()["Statement"] if "iam:AttachRolePolicy" in one["Action"]]

    (statement,) = statements
    given = statement["Condition"]["ArnEquals"]["iam:PolicyARN"]
    assert "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy" in given
    assert not [arn for arn in given if "*" in arn or "Administrator" in arn]


def test_other_partitions_have_their_own_arns() -> None:
    text = json.dumps(policy(None, "aws-cn"))

    assert "arn:aws:" not in text
    assert "arn:aws-cn:iam::aws:policy/AmazonEKSClusterPolicy" in text


def test_it_fits_into_a_managed_policy(capsys: pytest.CaptureFixture[str]) -> None:
    long = SMALL.model_copy(update={"name": "a" * 40})
    assert run(["eks", "policy"]) == 0

    printed = json.loads(capsys.readouterr().out)

    assert printed == policy()
    assert max(len(re.sub(r"\s", "", json.dumps(one))) for one in (printed, policy(long))) <= LONGEST


def test_a_file_of_another_provider_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    assert run(["init", "kubeadm", "--control-plane", "10.0.0.11", "-f", str(file)]) == 0
    capsys.readouterr()

    assert run(["eks", "policy", "-f", str(file)]) == 3
    assert "is of provider kubeadm" in capsys.readouterr().err
