"""Bearer token for the API server of an EKS cluster: a presigned GetCallerIdentity request, never stored.

kubectl waits for it, so neither boto3 nor API models are loaded: botocore only signs. The signed host is STS's own
whatever AWS_ENDPOINT_URL says, because the cluster sends the request, not this program.
"""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore import exceptions as aws
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.session import Session

from provision.errors import FileError, ProvisionError, UnreachableError

if TYPE_CHECKING:
    from botocore.credentials import ReadOnlyCredentials

# The cluster accepts a token for 15 minutes after it was signed; like aws-cli, leave a minute for clock skew.
_USABLE = timedelta(minutes=14)
_PRESIGNED = 60  # seconds, as every client of EKS signs
_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,99}")


def token(cluster: str, region: str, session: Session) -> str:
    """Return `k8s-aws-v1.…`, signed with the session's credentials; uses the network only to fetch those.

    Raises FileError for an invalid region or cluster name, UnreachableError if there are no credentials or they have
    expired.
    """
    if not _NAME.fullmatch(cluster):
        raise FileError(f"{cluster!r} is not the name of an EKS cluster", fix="give its name: --cluster demo")
    try:
        request = AWSRequest(
            method="GET",
            url=f"https://{sts_host(region, session)}/?Action=GetCallerIdentity&Version=2011-06-15",
            headers={"x-k8s-aws-id": cluster},
        )
        SigV4QueryAuth(_credentials(session), "sts", region, expires=_PRESIGNED).add_auth(request)
    except (aws.BotoCoreError, aws.ClientError) as error:
        raise _credentials_error(error, session) from error
    return "k8s-aws-v1." + base64.urlsafe_b64encode(str(request.url).encode()).decode().rstrip("=")


def exec_credential(cluster: str, region: str, profile: str | None) -> dict[str, Any]:
    """Return the ExecCredential (client.authentication.k8s.io/v1) for kubectl. Raises what `token` raises."""
    usable = datetime.now(UTC) + _USABLE
    return {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {
            "expirationTimestamp": usable.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "token": token(cluster, region, Session(profile=profile)),
        },
    }


def sts_host(region: str, session: Session) -> str:
    """Host of STS in the region, in the domain of its partition (`sts.cn-north-1.amazonaws.com.cn`).

    Raises FileError for an unknown region.
    """
    for partition in session.get_component("data_loader").load_data("partitions")["partitions"]:
        if region in partition["regions"] or re.fullmatch(partition["regionRegex"], region):
            return f"sts.{region}.{partition['outputs']['dnsSuffix']}"
    raise FileError(f"{region!r} is not an AWS region", fix="give one such as --region eu-central-1")


def _credentials(session: Session) -> ReadOnlyCredentials:
    """Load the credentials; those of a role or an SSO session are fetched. Raises NoCredentialsError if none."""
    found = session.get_credentials()
    if found is None:
        raise aws.NoCredentialsError
    return found.get_frozen_credentials()


def _credentials_error(error: Exception, session: Session) -> ProvisionError:
    profile = session.profile
    option = f" --profile {profile}" if profile else ""
    whose = f"of profile {profile} " if profile else ""
    if isinstance(error, aws.ProfileNotFound):
        known = ", ".join(session.available_profiles) or "none"
        return FileError(
            f"there is no AWS profile {profile} in ~/.aws/config",
            fix=f"set AWS_PROFILE or --profile to an existing one: {known}",
        )
    if isinstance(error, aws.NoCredentialsError):
        return UnreachableError(
            "no AWS credentials were found",
            fix="set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or log in: aws sso login",
        )
    if isinstance(error, (aws.SSOError, aws.TokenRetrievalError)):
        return UnreachableError(
            f"the SSO session {whose}has expired or was never started", fix=f"log in: aws sso login{option}"
        )
    return UnreachableError(
        f"the AWS credentials {whose}cannot be loaded: {' '.join(str(error).split())}",
        fix=f"check the output of `aws sts get-caller-identity{option}`",
    )
