"""The API server of a cluster: who gets in, and its nodes."""

from __future__ import annotations

import base64
import json
import ssl
import time
from contextlib import closing
from http.client import HTTPSConnection
from socket import create_connection
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.signers import RequestSigner

from tests.aws.account import AwsAccount
from tests.unit.aws.factories import make_cluster, make_ground, make_group


def token(session: boto3.Session, cluster: str, *, expires: int = 60, signed: bool = True) -> str:
    """As field notes have it, and as aws-iam-authenticator makes it."""
    client, credentials = session.client("sts", region_name="eu-central-1"), session.get_credentials()
    assert credentials is not None
    name = client.meta.service_model.service_id
    signer = RequestSigner(name, "eu-central-1", "sts", "v4", credentials, session.events)
    url = signer.generate_presigned_url(
        {
            "method": "GET",
            "url": "https://sts.eu-central-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15",
            "body": {},
            "headers": {"x-k8s-aws-id": cluster} if signed else {},
            "context": {},
        },
        region_name="eu-central-1",
        expires_in=expires,
        operation_name="",
    )
    return "k8s-aws-v1." + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


def get(cluster: dict[str, Any], path: str, bearer: str = "") -> tuple[int, Any]:
    authority = base64.b64decode(cluster["certificateAuthority"]["data"]).decode()
    context = ssl.create_default_context(cadata=authority)
    place = urlsplit(cluster["endpoint"]).netloc
    with closing(HTTPSConnection(place, context=context, timeout=10)) as connection:
        connection.request("GET", path, headers={"Authorization": f"Bearer {bearer}"})
        answer = connection.getresponse()
        body = answer.read()
        return answer.status, json.loads(body) if body.startswith(b"{") else body.decode()


def test_nodes_of_a_group_become_ready_some_looks_later(aws: AwsAccount) -> None:
    ground = make_ground(aws)
    cluster = make_cluster(aws, ground)
    bearer = token(aws.session(), "demo")
    assert get(cluster, "/api/v1/nodes", bearer)[1]["items"] == []
    aws.states.slow("nodes", 2)
    make_group(aws, ground, labels={"disk": "ssd"})

    looks = [get(cluster, "/api/v1/nodes", bearer)[1]["items"] for _ in range(3)]

    ready = [[node["status"]["conditions"][0]["status"] for node in nodes] for nodes in looks]
    assert ready == [["False", "False"], ["False", "False"], ["True", "True"]]
    names = {node["metadata"]["name"] for node in looks[2]}
    assert len(names) == 2
    assert looks[2][0]["metadata"]["labels"]["disk"] == "ssd"
    assert looks[2][0]["status"]["nodeInfo"]["kubeletVersion"].startswith("v1.34.")


def test_version_and_health_need_no_token(aws: AwsAccount) -> None:
    cluster = make_cluster(aws, make_ground(aws))

    assert get(cluster, "/readyz") == (200, "ok")
    assert get(cluster, "/version")[1]["minor"] == "34"


def test_only_a_good_token_gets_in(aws: AwsAccount) -> None:
    cluster = make_cluster(aws, make_ground(aws))
    session = aws.session()
    good = token(session, "demo")
    url = base64.urlsafe_b64decode(good.removeprefix("k8s-aws-v1.") + "==").decode()
    forged = url.replace("X-Amz-Signature=", "X-Amz-Signature=0")
    stranger = boto3.Session("AKIANOBODYSKEY000000", "x", region_name="eu-central-1")

    assert get(cluster, "/api/v1/nodes", good)[0] == 200
    for bad, why in (
        ("", "no bearer token"),
        ("abc", "no bearer token"),
        (token(session, "other"), "signature is not"),
        (token(session, "demo", signed=False), "x-k8s-aws-id is not signed"),
        (token(session, "demo", expires=3600), "X-Amz-Expires"),
        (token(stranger, "demo"), "is not known"),
        ("k8s-aws-v1." + base64.urlsafe_b64encode(forged.encode()).decode().rstrip("="), "signature is not"),
        (good + "=", "padded"),
    ):
        status, body = get(cluster, "/api/v1/nodes", bad)
        assert (status, why in body["message"]) == (401, True), body["message"]


def test_a_creator_without_an_entry_is_locked_out(aws: AwsAccount) -> None:
    access = {"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": False}
    cluster = make_cluster(aws, make_ground(aws), accessConfig=access)

    status, body = get(cluster, "/api/v1/nodes", token(aws.session(), "demo"))

    assert (status, "no access entry" in body["message"]) == (401, True)


def test_the_endpoint_is_gone_with_the_cluster(aws: AwsAccount) -> None:
    cluster = make_cluster(aws, make_ground(aws))
    eks = aws.client("eks")
    eks.delete_cluster(name="demo")
    while eks.list_clusters()["clusters"]:
        pass

    place = urlsplit(cluster["endpoint"])
    assert place.hostname
    address = (place.hostname, place.port)

    def closed() -> bool:
        # Without TLS: Python 3.11 leaves the socket open where the server goes away before the handshake.
        try:
            create_connection(address, timeout=10).close()
        except OSError:
            return True
        return False

    end = time.monotonic() + 10  # the server ends in a thread of its own
    while not closed() and time.monotonic() < end:
        time.sleep(0.05)
    assert closed()


def test_a_private_endpoint_does_not_answer_from_outside(aws: AwsAccount) -> None:
    ground = make_ground(aws)
    private = {"subnetIds": ground.subnets, "endpointPublicAccess": False, "endpointPrivateAccess": True}
    cluster = make_cluster(aws, ground, resourcesVpcConfig=private)

    with pytest.raises(OSError, match="closed connection"):
        get(cluster, "/readyz")
