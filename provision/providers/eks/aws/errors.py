"""Errors of AWS in words: what happened, the likely cause, the way out. Pure.

One row a failure that users meet; what no row knows is told in AWS's own words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from botocore import exceptions as aws

from provision.errors import CheckError, ProvisionError, UnreachableError

EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"})
UNKNOWN_KEYS = frozenset(
    {
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
        "AuthFailure",
        "InvalidAccessKeyId",
        "MissingAuthenticationToken",
        "IncompleteSignature",
    }
)
DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "UnauthorizedAccess"})
THROTTLED = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestLimitExceeded",
        "TooManyRequestsException",
        "TooManyUpdates",
    }
)
UNAVAILABLE = frozenset(
    {"ServiceUnavailable", "ServiceUnavailableException", "InternalError", "InternalFailure"}
)
UNSUPPORTED_ZONE = "UnsupportedAvailabilityZoneException"
NOT_FOUND = frozenset({"ResourceNotFoundException", "NoSuchEntity"})

# Code of the error: the quota's name in Service Quotas, and its code where it can be raised by that.
_QUOTAS = {
    "VpcLimitExceeded": ("VPCs per Region", "vpc", "L-F678F1CE"),
    "AddressLimitExceeded": ("EC2-VPC Elastic IPs", "ec2", "L-0263D0A3"),
    "NatGatewayLimitExceeded": ("NAT gateways per Availability Zone", "vpc", "L-FE5A380F"),
    "InternetGatewayLimitExceeded": ("Internet gateways per Region", "vpc", "L-A4707A72"),
    "SubnetLimitExceeded": ("Subnets per VPC", "vpc", "L-407747CB"),
    "RouteTableLimitExceeded": ("Route tables per VPC", "vpc", "L-589F43AA"),
    "VcpuLimitExceeded": ("Running On-Demand Standard instances (vCPU)", "ec2", "L-1216C47A"),
    "ResourceLimitExceededException": ("", "eks", ""),
    "LimitExceeded": ("", "iam", ""),
    "LimitExceededException": ("", "", ""),
    "ServiceQuotaExceededException": ("", "", ""),
}
_AGAIN = "run the same command again: it goes on where it stopped"
_LOGIN = "log in again (`aws sso login`, or renew what your environment holds), then " + _AGAIN


@dataclass(frozen=True, slots=True)
class Told:
    """`message` is a fact, lower case, without a final period; `cause` and `fix` are "" where we do not know."""

    message: str
    cause: str = ""
    fix: str = ""


def code_of(error: BaseException) -> str:
    """The error's code ("ResourceNotFoundException"), "" if AWS did not answer."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, aws.ClientError) else ""


def is_missing(error: BaseException) -> bool:
    """Whether AWS says that the thing is not there ("InvalidSubnetID.NotFound", "NatGatewayNotFound" too)."""
    code = code_of(error)
    return code in NOT_FOUND or code.endswith(("NotFound", ".NotFound"))


def is_busy(error: BaseException) -> bool:
    """Whether EKS refuses a change because another one of the same cluster is going on, which ends by itself."""
    said = _said(error).lower() if isinstance(error, aws.ClientError) else ""
    return code_of(error) == "ResourceInUseException" and "already exists" not in said


def valid_zones(error: BaseException) -> tuple[str, ...]:
    """The zones that AWS names where it has no room in one of those asked for; () for any other error."""
    if not isinstance(error, aws.ClientError) or code_of(error) != UNSUPPORTED_ZONE:
        return ()
    named = error.response.get("validZones") or error.response.get("Error", {}).get("validZones")
    return tuple(str(zone) for zone in named) if isinstance(named, list) else ()


def not_yet_known(error: BaseException) -> bool:
    """Whether another service has not heard of a role that was made a moment ago; it will, within seconds."""
    if not isinstance(error, aws.ClientError):
        return False
    if code_of(error) not in {
        "InvalidParameterException",
        "InvalidRequestException",
        "AccessDeniedException",
    }:
        return False
    return bool(
        re.search(
            r"could not be assumed|not authorized to assume|trust (?:policy|relationship)|cannot be assumed"
            r"|role.*(?:does ?n.t exist|does not exist|not found|is not valid|invalid)"
            r"|trusted entity|principal.*(?:does not exist|is not valid|invalid)",
            _said(error),
            re.IGNORECASE,
        )
    )


def tell(error: BaseException) -> Told:
    """An error of boto3, or one of ours, in words."""
    if isinstance(error, ProvisionError):
        return Told(error.message, "", error.fix)
    if isinstance(error, aws.ClientError):
        return _client_error(error)
    for kind, told in _OF_BOTOCORE:
        if isinstance(error, kind):
            return Told(_lower(str(error)), *told)
    return Told(_lower(" ".join(str(error).split()) or type(error).__name__))


def as_error(error: aws.ClientError | aws.BotoCoreError) -> ProvisionError:
    """For reads, where nothing was changed: UnreachableError if AWS cannot be reached or does not know us."""
    told = tell(error)
    message = f"{told.message} ({told.cause})" if told.cause else told.message
    code = code_of(error)
    if not code or code in EXPIRED | UNKNOWN_KEYS | THROTTLED | UNAVAILABLE:
        return UnreachableError(message, fix=told.fix)
    return CheckError(message, fix=told.fix)


def _client_error(error: aws.ClientError) -> Told:
    code, what = code_of(error), f"{_action(error)}: {code_of(error)}: {_said(error)}"
    if code in EXPIRED:
        return Told(what, "the AWS credentials have expired", _LOGIN)
    if code in DENIED:
        return _denied(error, what)
    if code in _QUOTAS:
        return _quota(error, what)
    if code == UNSUPPORTED_ZONE:
        return _zones(error, what)
    cause, fix = _OF_CODE.get(code, ("", ""))
    if "principalarn" in what.lower() and code == "InvalidParameterException":
        cause, fix = "no IAM user or role has that ARN", "mend it in `access.admins`"
    if code in UNKNOWN_KEYS:
        cause, fix = _UNKNOWN
    elif code in THROTTLED | UNAVAILABLE:
        cause, fix = _BUSY
    return Told(what, cause, fix)


def _denied(error: aws.ClientError, what: str) -> Told:
    found = re.search(r"not authorized to perform: ([\w-]+:\w+)(?: on resource: (\S+))?", _said(error))
    action, resource = (found[1], found[2]) if found else (_action(error), None)
    where = f" on {resource}" if resource else ""
    if "explicit deny" in _said(error):
        return Told(
            what,
            f"a policy (of the user, the role, or the organisation) forbids {action}{where}",
            "ask whoever keeps that policy; `provision eks policy` prints what provision needs",
        )
    return Told(
        what,
        f"the credentials may not do {action}{where}",
        f"allow {action}; `provision eks policy` prints everything that provision needs",
    )


def _quota(error: aws.ClientError, what: str) -> Told:
    quota, service, code = _QUOTAS[code_of(error)]
    named = f' "{quota}"' if quota else ""
    page = f" ({code} of {service})" if code else ""
    return Told(
        what,
        f"a quota{named} of the account is used up",
        f"delete what is not needed any more, or have the quota{named}{page} raised in Service Quotas; then {_AGAIN}",
    )


def _zones(error: aws.ClientError, what: str) -> Told:
    zones = ", ".join(valid_zones(error))
    return Told(
        what,
        "EKS has no room for control planes in one of the zones",
        f"take away what was made with `provision reset`, write `vpc.zones` with two or three of: {zones}"
        if zones
        else "take away what was made with `provision reset`, and write other zones to `vpc.zones`",
    )


def _action(error: aws.ClientError) -> str:
    """What was called: `CreateVpc`."""
    return error.operation_name


def _said(error: aws.ClientError) -> str:
    return " ".join(str(error.response.get("Error", {}).get("Message", "")).split()).rstrip(".")


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:].rstrip(".")


_UNKNOWN = (
    "AWS does not know these credentials, or the clock of this machine is wrong",
    "see what `aws sts get-caller-identity` says; mend `profile` in the cluster file, or AWS_PROFILE",
)
_BUSY = ("AWS takes no more requests of this account for now", f"wait a minute, then {_AGAIN}")
_NETWORK = (
    "AWS cannot be reached from here",
    "check the network, the proxy (HTTPS_PROXY) and AWS_ENDPOINT_URL",
)
_SSO = ("the SSO session has expired or was never begun", "log in: `aws sso login`, then " + _AGAIN)
_OF_BOTOCORE: tuple[tuple[type[Exception], tuple[str, str]], ...] = (
    (
        aws.NoCredentialsError,
        (
            "no AWS credentials were found",
            "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or log in: `aws sso login`",
        ),
    ),
    (
        aws.PartialCredentialsError,
        ("half of the AWS credentials are missing", "set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
    ),
    (aws.SSOError, _SSO),
    (aws.TokenRetrievalError, _SSO),
    (
        aws.CredentialRetrievalError,
        ("the AWS credentials cannot be had", "see what `aws sts get-caller-identity` says"),
    ),
    (
        aws.SSLError,
        ("the TLS certificate is not AWS's", "a proxy that opens TLS is in between: set AWS_CA_BUNDLE"),
    ),
    (aws.HTTPClientError, _NETWORK),
)
_OF_CODE: dict[str, tuple[str, str]] = {
    "DependencyViolation": (
        "something that provision did not make still uses it",
        "find it in the console (network interfaces, load balancers, security groups of that VPC), take it away, "
        "then " + _AGAIN,
    ),
    "ResourceInUseException": (
        "another change of the same resource is going on, or one of that name is there",
        "wait until it is done, then " + _AGAIN,
    ),
    "InvalidSubnet.Conflict": (
        "somebody made a subnet with that range in the VPC",
        "delete that subnet, then " + _AGAIN,
    ),
    "InsufficientInstanceCapacity": (
        "AWS has none of these instance types left in that zone",
        "write more `instance_types`, or other zones, to the node group",
    ),
    "OptInRequired": (
        "the account is not enabled for this",
        "finish the account's sign-up in the AWS console",
    ),
    "UnsupportedOperation": ("AWS does not offer this here", ""),
}
