from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from provision.errors import CheckError, UnreachableError
from provision.providers.eks.aws.errors import (
    as_error,
    describe,
    is_busy,
    is_missing,
    not_yet_known,
    valid_zones,
)


def refusal(code: str, message: str = "", operation: str = "CreateCluster", **members: Any) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": message}, **members}
    return ClientError(response, operation)


def test_a_denied_action_is_named_with_its_resource() -> None:
    said = "User: arn:aws:iam::1:user/ada is not authorized to perform: eks:CreateCluster on resource: arn:x because no"
    text = describe(refusal("AccessDeniedException", said))
    assert text.cause == "the credentials may not do eks:CreateCluster on arn:x"
    assert "provision eks policy" in text.fix


def test_a_policy_of_the_organisation_is_distinguished_from_a_missing_permission() -> None:
    said = "User: x is not authorized to perform: ec2:CreateVpc with an explicit deny in a service control policy"
    assert "forbids ec2:CreateVpc" in describe(refusal("UnauthorizedOperation", said)).cause


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("VpcLimitExceeded", "L-F678F1CE"),
        ("AddressLimitExceeded", "L-0263D0A3"),
        ("NatGatewayLimitExceeded", "L-FE5A380F"),
        ("ResourceLimitExceededException", "quota"),
        ("ExpiredToken", "log in again"),
        ("ThrottlingException", "wait a minute"),
        ("DependencyViolation", "network interfaces"),
        ("InvalidClientTokenId", "aws sts get-caller-identity"),
    ],
)
def test_a_frequent_refusal_has_a_fix(code: str, words: str) -> None:
    assert words in describe(refusal(code, "no")).fix


def test_zones_with_capacity_are_named() -> None:
    error = refusal(
        "UnsupportedAvailabilityZoneException", "no room", validZones=["us-east-1a", "us-east-1b"]
    )
    assert valid_zones(error) == ("us-east-1a", "us-east-1b")
    assert "us-east-1a, us-east-1b" in describe(error).fix


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (refusal("ExpiredToken"), UnreachableError),
        (NoCredentialsError(), UnreachableError),
        (EndpointConnectionError(endpoint_url="https://x"), UnreachableError),
        (refusal("AccessDenied"), CheckError),
    ],
)
def test_a_failed_read_has_the_exit_code_of_its_cause(error: Any, kind: type[Exception]) -> None:
    assert type(as_error(error)) is kind


def test_a_role_that_is_not_visible_yet_is_distinguished_from_a_wrong_one() -> None:
    late = "The role with name x could not be assumed because it does not exist or the trusted entity is not correct"
    assert not_yet_known(refusal("InvalidParameterException", late))
    assert not not_yet_known(refusal("InvalidParameterException", "subnets are in one zone"))
    assert not not_yet_known(refusal("ResourceInUseException", late))


def test_a_missing_resource_is_recognised_by_its_code() -> None:
    assert is_missing(refusal("InvalidSubnetID.NotFound"))
    assert is_missing(refusal("NoSuchEntity"))
    assert not is_missing(refusal("DependencyViolation"))


def test_a_name_that_is_taken_is_not_mistaken_for_a_change_in_progress() -> None:
    assert is_busy(refusal("ResourceInUseException", "Cannot create, another update is in progress"))
    assert not is_busy(refusal("ResourceInUseException", "Addon already exists."))
