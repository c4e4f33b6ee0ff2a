"""Requests and answers are held against the service's model: what does not fit, fails."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.aws.failures import AwsError, ShimError
from tests.aws.wire import Operation, Request, declared, parameters, recognise, reply

SIGNED = "AWS4-HMAC-SHA256 Credential=AKIAKEY/20261121/eu-central-1/{}/aws4_request, SignedHeaders=host, Signature=0"


def request(method: str, path: str, body: object = None, query: str = "", service: str = "eks") -> Operation:
    content = b"" if body is None else json.dumps(body).encode()
    made = recognise(Request(method, path, query, {"authorization": SIGNED.format(service)}, content))
    assert made is not None
    return made


def test_an_operation_is_known_by_its_path() -> None:
    path = "/clusters/demo/access-entries/arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fa%2Fb/access-policies"

    made = request("GET", path, query="maxResults=5")

    assert (made.service, made.name, made.region, made.mutating) == (
        "eks",
        "ListAssociatedAccessPolicies",
        "eu-central-1",
        False,
    )
    assert parameters(made) == {
        "clusterName": "demo",
        "principalArn": "arn:aws:iam::1:role/a/b",
        "maxResults": 5,
    }


def test_an_operation_of_the_query_protocol_is_known_by_its_form() -> None:
    body = b"Action=DescribeLoadBalancers&Version=2012-06-01"

    made = recognise(Request("POST", "/", "", {"authorization": SIGNED.format("elasticloadbalancing")}, body))

    assert made is not None
    assert (made.service, made.name) == ("elb", "DescribeLoadBalancers")


def test_a_request_without_a_signature_is_no_call() -> None:
    assert recognise(Request("GET", "/moto-api/", "", {}, b"")) is None


def test_a_path_of_no_operation_fails_loudly() -> None:
    with pytest.raises(ShimError, match="no operation at GET /cluster"):
        request("GET", "/cluster/demo")


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({"addonName": "a", "adonVersion": "1"}, "adonVersion: CreateAddonRequest has no such member"),
        ({}, "addonName: is missing"),
        ({"addonName": "a", "tags": ["b"]}, "is no map"),
        ({"addonName": "a", "resolveConflicts": "MAYBE"}, "'MAYBE' is none of OVERWRITE, NONE, PRESERVE"),
        ({"addonName": 3}, "3 is no string"),
    ],
)
def test_a_request_that_does_not_fit_is_refused_with_what_is_wrong(
    body: dict[str, object], wrong: str
) -> None:
    with pytest.raises(AwsError, match=wrong):
        parameters(request("POST", "/clusters/demo/addons", body))


@pytest.mark.parametrize(
    ("result", "wrong"),
    [
        ({"addons": "coredns"}, "is no list"),
        ({"addon": []}, "addon: ListAddonsResponse has no such member"),
        ({"addons": [None]}, "None is no string"),
    ],
)
def test_an_answer_that_does_not_fit_fails_loudly(result: dict[str, object], wrong: str) -> None:
    with pytest.raises(ShimError, match=wrong):
        reply(request("GET", "/clusters/demo/addons"), result)


def test_an_error_that_the_operation_never_has_fails_loudly() -> None:
    operation = request("GET", "/clusters/demo/addons")
    with pytest.raises(ShimError, match="never fails with ResourceInUseException"):
        declared(operation, AwsError("ResourceInUseException", "no"))
    with pytest.raises(ShimError, match="has no such member"):
        declared(operation, AwsError("ResourceNotFoundException", "no", zones=["a"]))


def test_an_error_has_the_status_of_its_shape() -> None:
    assert (
        declared(request("GET", "/clusters/demo"), AwsError("ResourceNotFoundException", "no")).status == 404
    )


def test_what_describes_is_no_mutation() -> None:
    get = request("GET", "/clusters/demo")
    names = ("DescribeVpcs", "GetRole", "ListRoles", "SimulatePrincipalPolicy", "CreateVpc", "TagResource")
    assert [replace(get, name=name).mutating for name in names] == [False, False, False, False, True, True]
