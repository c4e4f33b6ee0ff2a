"""AWS tokens, verified as by EKS: a presigned GetCallerIdentity, bound to a cluster, not older than 15 minutes.

The signature is verified with the secret of the key that signed.
"""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.iam.models import iam_backends

from tests.aws.eks.resources import ACCOUNT

_LIVES = timedelta(minutes=15)


def caller_of(encoded: str, cluster: str) -> str:
    """ARN of the signer; raises ValueError with the problem of the token."""
    url = _decoded(encoded)
    asked = {key: values[0] for key, values in parse_qs(urlsplit(url).query).items()}
    _require_call(url, asked)
    made = datetime.strptime(asked["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    if not -timedelta(minutes=5) <= datetime.now(UTC) - made <= _LIVES:
        raise ValueError("the token is expired")
    key, _, region, service, _ = asked["X-Amz-Credential"].split("/")
    user = iam_backends[ACCOUNT]["aws"].get_user_from_access_key_id(key)
    if user is None or service != "sts":
        raise ValueError(f"the access key {key} is not known, or it signed for {service} instead of sts")
    secret = next(each.secret_access_key for each in user.access_keys if each.access_key_id == key)
    if (
        _signature(url, Credentials(key, secret), region, asked["X-Amz-Date"], cluster)
        != asked["X-Amz-Signature"]
    ):
        raise ValueError(f"the signature is not that of {key} for the cluster {cluster}")
    return str(user.arn)


def _decoded(encoded: str) -> str:
    if "=" in encoded:
        raise ValueError("the token is padded")
    try:
        return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise ValueError("the token is no base64url") from None


def _require_call(url: str, asked: dict[str, str]) -> None:
    """The presigned call is GetCallerIdentity of STS, bound to a cluster, and short-lived."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if (
        parts.scheme != "https"
        or not host.startswith("sts.")
        or ".amazonaws.com" not in host
        or parts.path != "/"
    ):
        raise ValueError(f"{parts.scheme}://{host}{parts.path} is not STS")
    if asked.get("Action") != "GetCallerIdentity":
        raise ValueError("the presigned call is not GetCallerIdentity")
    absent = {"X-Amz-Date", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-Expires"} - set(asked)
    if absent:
        raise ValueError(f"{', '.join(sorted(absent))} is missing")
    if "x-k8s-aws-id" not in asked.get("X-Amz-SignedHeaders", "").split(";"):
        raise ValueError("x-k8s-aws-id is not signed")
    if not 0 < int(asked["X-Amz-Expires"]) <= _LIVES.total_seconds():
        raise ValueError("X-Amz-Expires is not within 15 minutes")


def _signature(url: str, credentials: Credentials, region: str, stamp: str, cluster: str) -> str:
    bare = url.partition("&X-Amz-Signature=")[0]
    request = AWSRequest("GET", bare, headers={"x-k8s-aws-id": cluster})
    request.context["timestamp"] = stamp
    signer = SigV4QueryAuth(credentials, "sts", region)
    return str(signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request))
