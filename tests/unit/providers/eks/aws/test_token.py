"""The token that kubectl asks for: what is signed, with which credentials, and what is said without any."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.session import Session

from provision.providers.eks.aws.token import sts_host

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"  # noqa: S105  AWS's own example
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": SECRET}


def ask(
    home: Path, *options: str, cluster: str = "demo", region: str = "eu-central-1", **environment: str
) -> subprocess.CompletedProcess[str]:
    """`provision eks token` as kubectl runs it, with nothing of AWS in its environment but `environment`."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    argv = ["-m", "provision", "eks", "token", "--cluster", cluster, "--region", region, *options]
    return subprocess.run(
        [sys.executable, *argv],
        env={**clean, "HOME": str(home), "AWS_EC2_METADATA_DISABLED": "true", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def presigned(answer: str) -> str:
    """The URL within the token of an ExecCredential."""
    token = json.loads(answer)["status"]["token"]
    prefix, encoded = token.split(".", 1)
    assert prefix == "k8s-aws-v1"
    assert "=" not in encoded
    return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()


def signature(url: str, headers: Mapping[str, str], secret: str, region: str) -> str:
    """Signature version 4 of a presigned GET, computed here from AWS's description of it."""
    query = [pair for pair in urlsplit(url).query.split("&") if not pair.startswith("X-Amz-Signature=")]
    values = parse_qs(urlsplit(url).query)
    date = values["X-Amz-Date"][0]
    canonical = "\n".join(
        [
            "GET",
            "/",
            "&".join(sorted(query)),
            *(f"{name}:{headers[name]}" for name in sorted(headers)),
            "",
            ";".join(sorted(headers)),
            hashlib.sha256(b"").hexdigest(),
        ]
    )
    scope = f"{date[:8]}/{region}/sts/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{secret}".encode()
    for part in (date[:8], region, "sts", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.new(key, text.encode(), "sha256").hexdigest()


def test_the_answer_is_an_exec_credential_that_ends_in_fourteen_minutes(tmp_path: Path) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    said = ask(tmp_path, **KEYS)
    after = datetime.now(UTC)

    assert (said.returncode, said.stderr) == (0, "")
    answer = json.loads(said.stdout)
    assert answer["apiVersion"] == "client.authentication.k8s.io/v1"
    assert answer["kind"] == "ExecCredential"
    end = datetime.fromisoformat(answer["status"]["expirationTimestamp"])
    assert before + timedelta(minutes=14) <= end <= after + timedelta(minutes=14)


def test_the_token_is_a_request_to_sts_signed_for_this_cluster(tmp_path: Path) -> None:
    url = presigned(ask(tmp_path, **KEYS).stdout)

    place, query = urlsplit(url), parse_qs(urlsplit(url).query)
    assert (place.scheme, place.netloc, place.path) == ("https", "sts.eu-central-1.amazonaws.com", "/")
    assert (query["Action"], query["Version"]) == (["GetCallerIdentity"], ["2011-06-15"])
    assert query["X-Amz-Expires"] == ["60"]
    assert query["X-Amz-SignedHeaders"] == ["host;x-k8s-aws-id"]
    headers = {"host": place.netloc, "x-k8s-aws-id": "demo"}
    assert query["X-Amz-Signature"] == [signature(url, headers, SECRET, "eu-central-1")]


def test_a_custom_endpoint_is_never_signed_since_the_cluster_sends_the_request(tmp_path: Path) -> None:
    url = presigned(ask(tmp_path, **KEYS, AWS_ENDPOINT_URL="http://127.0.0.1:5000").stdout)

    assert urlsplit(url).netloc == "sts.eu-central-1.amazonaws.com"


def test_a_session_token_of_temporary_credentials_goes_into_the_request(tmp_path: Path) -> None:
    url = presigned(ask(tmp_path, **KEYS, AWS_SESSION_TOKEN="temporary").stdout)  # noqa: S106

    assert parse_qs(urlsplit(url).query)["X-Amz-Security-Token"] == ["temporary"]


@pytest.mark.parametrize("way", ["option", "environment"])
def test_the_credentials_are_those_of_the_profile(tmp_path: Path, way: str) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/credentials").write_text(
        "[work]\naws_access_key_id = AKIDWORK\naws_secret_access_key = s\n"
    )
    # As everywhere in AWS, keys in the environment win over AWS_PROFILE, but not over a profile that was asked for.
    said = (
        ask(tmp_path, "--profile", "work", **KEYS) if way == "option" else ask(tmp_path, AWS_PROFILE="work")
    )

    assert parse_qs(urlsplit(presigned(said.stdout)).query)["X-Amz-Credential"][0].startswith("AKIDWORK/")


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("us-east-1", "sts.us-east-1.amazonaws.com"),
        ("cn-north-1", "sts.cn-north-1.amazonaws.com.cn"),
        ("us-gov-west-1", "sts.us-gov-west-1.amazonaws.com"),
        ("eu-west-9", "sts.eu-west-9.amazonaws.com"),  # newer than our botocore
    ],
)
def test_the_host_has_the_domain_of_the_regions_partition(region: str, host: str) -> None:
    assert sts_host(region, Session()) == host


@pytest.mark.parametrize(
    ("options", "code", "fact", "fix"),
    [
        ({"region": "evil.example/"}, 3, "'evil.example/' is not an AWS region", "--region eu-central-1"),
        ({"cluster": "a/b"}, 3, "'a/b' is not the name of an EKS cluster", "--cluster demo"),
        ({}, 5, "no AWS credentials were found", "aws sso login"),
        ({"AWS_PROFILE": "gone"}, 3, "there is no AWS profile gone", "an existing one: sso"),
        (
            {"AWS_PROFILE": "sso"},
            5,
            "the SSO session of profile sso has expired or was never started",
            "log in: aws sso login --profile sso",
        ),
        (
            {"AWS_ACCESS_KEY_ID": "alone"},
            5,
            "the AWS credentials cannot be loaded: Partial",
            "get-caller-identity",
        ),
    ],
)
def test_missing_credentials_are_reported_with_the_fix_and_nothing_is_printed(
    tmp_path: Path, options: dict[str, str], code: int, fact: str, fix: str
) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/config").write_text(
        "[profile sso]\nsso_session = s\nsso_account_id = 123456789012\nsso_role_name = admin\n"
        "[sso-session s]\nsso_region = eu-central-1\nsso_start_url = https://sso.example.com/start\n"
    )
    said = ask(tmp_path, **options)

    assert (said.returncode, said.stdout) == (code, "")
    assert said.stderr.startswith(f"error: {fact}")
    assert fix in said.stderr.split("fix: ")[1]
    assert SECRET not in said.stderr


def test_a_failing_credential_process_is_reported_with_its_profile(tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/config").write_text("[profile helper]\ncredential_process = false\n")

    said = ask(tmp_path, AWS_PROFILE="helper")

    assert (said.returncode, said.stdout) == (5, "")
    assert said.stderr.startswith("error: the AWS credentials of profile helper cannot be loaded: ")


def test_nothing_is_written_and_boto3_is_not_loaded(tmp_path: Path) -> None:
    code = (
        "import sys; from provision.cli import run; "
        "run(['eks', 'token', '--cluster', 'demo', '--region', 'eu-central-1']); "
        "sys.exit('boto3' in sys.modules)"
    )
    before = sorted(tmp_path.rglob("*"))
    environment = {**os.environ, **KEYS, "HOME": str(tmp_path), "PROVISION_STATE": str(tmp_path)}

    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, timeout=60
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(tmp_path.rglob("*")) == before
