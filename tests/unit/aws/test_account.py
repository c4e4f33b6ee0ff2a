"""The fixture itself."""

from __future__ import annotations

from tests.aws.account import AwsAccount


def test_the_account_knows_its_user(aws: AwsAccount) -> None:
    assert aws.client("sts").get_caller_identity()["Arn"] == aws.user_arn
    assert [call.action for call in aws.calls] == ["sts:GetCallerIdentity"]
