from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.stub import Stubber

from provision.providers.eks.aws.account import account_of
from provision.providers.eks.facts import Identity
from provision.providers.eks.iam.permissions import Denied, _cases, _context, denied, principal
from provision.providers.eks.iam.policy import policy
from tests.unit.providers.eks import factories

if TYPE_CHECKING:
    from tests.aws.account import AwsAccount

POLICY: Any = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": ["eks:CreateCluster", "ec2:CreateVpc", "ec2:Describe*"],
            "Resource": "*",
        },
        {
            "Effect": "Allow",
            "Action": "iam:PassRole",
            "Resource": ["arn:aws:iam::123456789012:role/provision/*"],
            "Condition": {
                "StringEquals": {"iam:PassedToService": ["eks.amazonaws.com", "ec2.amazonaws.com"]}
            },
        },
    ],
}


def test_denied_actions_are_named_and_no_others(aws: AwsAccount) -> None:
    aws.states.deny("CreateVpc")
    aws.states.deny("PassRole")
    identity = Identity(account="123456789012", arn=aws.user_arn)
    found = denied(POLICY, account_of(factories.cluster()), identity, region="eu-central-1")
    assert found == (Denied("ec2:CreateVpc", certain=True), Denied("iam:PassRole", certain=True))
    assert [call.operation for call in aws.calls] == ["SimulatePrincipalPolicy"] * 2


def test_an_action_that_is_allowed_on_one_of_its_resources_is_allowed(aws: AwsAccount) -> None:
    """What AWS answers where there are several; the simulator of the tests says the same of all."""
    del aws
    account = account_of(factories.cluster())
    no = {"EvalResourceName": "arn:b", "EvalResourceDecision": "implicitDeny", "MatchedStatements": []}
    yes = {**no, "EvalResourceName": "arn:a", "EvalResourceDecision": "allowed"}
    lacking = {**no, "MissingContextValues": ["aws:MultiFactorAuthPresent"]}
    answer = {
        "EvaluationResults": [
            {"EvalActionName": name, "EvalDecision": "implicitDeny", "ResourceSpecificResults": parts}
            for name, parts in (("a:Some", [yes, no]), ("a:None", [no, no]), ("a:Perhaps", [no, lacking]))
        ]
    }
    statement = {
        "Effect": "Allow",
        "Action": ["a:Some", "a:None", "a:Perhaps"],
        "Resource": ["arn:a", "arn:b"],
    }
    identity = Identity(account="123456789012", arn="arn:aws:iam::123456789012:user/ada")
    with Stubber(account.client("iam")) as stub:
        stub.add_response("simulate_principal_policy", answer)
        found = denied({"Statement": [statement]}, account, identity, region="eu-central-1")
    assert found == (Denied("a:None", certain=True), Denied("a:Perhaps", certain=False))


def test_the_simulator_gets_the_conditions_of_the_real_calls() -> None:
    everywhere, roles = _cases(POLICY)
    assert everywhere.actions == ("eks:CreateCluster", "ec2:CreateVpc"), "patterns cannot be simulated"
    assert everywhere.resources == ("*",)
    assert roles.actions == ("iam:PassRole",)
    assert roles.resources == ("arn:aws:iam::123456789012:role/provision/x",)
    assert _context(POLICY) == {"iam:PassedToService": "eks.amazonaws.com"}


def test_the_whole_policy_takes_few_simulator_calls() -> None:
    asked = list(_cases(policy(factories.cluster())))
    assert len(asked) <= 12
    actions = {action for case in asked for action in case.actions}
    assert {"ec2:CreateVpc", "eks:CreateNodegroup", "iam:PassRole"} <= actions
    assert "pricing:GetProducts" not in actions, "nothing depends on it"


def test_a_session_is_simulated_as_its_role_with_its_path(aws: AwsAccount) -> None:
    aws.operator().client("iam").create_role(
        RoleName="Admin", Path="/aws-reserved/sso/", AssumeRolePolicyDocument="{}"
    )
    session = Identity(
        account="123456789012", arn="arn:aws:sts::123456789012:assumed-role/Admin/ada@example.com"
    )
    arn = principal(account_of(factories.cluster()), session)
    assert arn == "arn:aws:iam::123456789012:role/aws-reserved/sso/Admin"


@pytest.mark.parametrize("who", ["iam::123456789012:root", "sts::123456789012:federated-user/ada"])
def test_identities_that_cannot_be_simulated_are_skipped(aws: AwsAccount, who: str) -> None:
    identity = Identity(account="123456789012", arn=f"arn:aws:{who}")
    assert denied(POLICY, account_of(factories.cluster()), identity, region="eu-central-1") == ()
    assert aws.calls == ()
