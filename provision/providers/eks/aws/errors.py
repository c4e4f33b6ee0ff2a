"""Describe errors of AWS: what happened, the likely cause and the fix. Pure.

The tables have one row per failure that users meet; any other error keeps AWS's own text.
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
_RERUN = "run the same command again: it continues where it stopped"
_LOGIN = "log in again (`aws sso login`, or renew the credentials in the environment), then " + _RERUN


@dataclass(frozen=True, slots=True)
class Description:
    """`message` is a fact, lower case, without a final period; `cause` and `fix` are "" where they are not known."""

    message: str
    cause: str = ""
    fix: str = ""


def code_of(error: BaseException) -> str:
    """Error code ("ResourceNotFoundException"), "" if AWS did not answer."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, aws.ClientError) else ""


def is_missing(error: BaseException) -> bool:
    """Whether the resource does not exist ("InvalidSubnetID.NotFound" and "NatGatewayNotFound" included)."""
    code = code_of(error)
    return code in NOT_FOUND or code.endswith(("NotFound", ".NotFound"))


def is_busy(error: BaseException) -> bool:
    """Whether EKS refuses a change because another change of the same cluster is in progress."""
    said = _said(error).lower() if isinstance(error, aws.ClientError) else ""
    return code_of(error) == "ResourceInUseException" and "already exists" not in said


def valid_zones(error: BaseException) -> tuple[str, ...]:
    """Zones that AWS offers instead where one of the requested ones has no capacity; () for any other error."""
    if not isinstance(error, aws.ClientError) or code_of(error) != UNSUPPORTED_ZONE:
        return ()
    named = error.response.get("validZones") or error.response.get("Error", {}).get("validZones")
    return tuple(str(zone) for zone in named) if isinstance(named, list) else ()


def not_yet_known(error: BaseException) -> bool:
    """Whether a service does not see a new IAM role yet, which usually takes some seconds."""
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


def describe(error: BaseException) -> Description:
    """Describe an error of boto3 or a ProvisionError."""
    if isinstance(error, ProvisionError):
        return Description(error.message, "", error.fix)
    if isinstance(error, aws.ClientError):
        return _client_error(error)
    for kind, (cause, fix) in _OF_BOTOCORE:
        if isinstance(error, kind):
            return Description(_lower(str(error)), cause, fix)
    return Description(_lower(" ".join(str(error).split()) or type(error).__name__))


def as_error(error: aws.ClientError | aws.BotoCoreError) -> ProvisionError:
    """The error of a read, which changed nothing.

    UnreachableError if AWS cannot be reached, throttles or does not accept the credentials, else CheckError.
    """
    found = describe(error)
    message = f"{found.message} ({found.cause})" if found.cause else found.message
    code = code_of(error)
    if not code or code in EXPIRED | UNKNOWN_KEYS | THROTTLED | UNAVAILABLE:
        return UnreachableError(message, fix=found.fix)
    return CheckError(message, fix=found.fix)


def _client_error(error: aws.ClientError) -> Description:
    code, what = code_of(error), f"{error.operation_name}: {code_of(error)}: {_said(error)}"
    if code in EXPIRED:
        return Description(what, "the AWS credentials have expired", _LOGIN)
    if code in DENIED:
        return _denied(error, what)
    if code in _QUOTAS:
        return _quota(error, what)
    if code == UNSUPPORTED_ZONE:
        return _zones(error, what)
    cause, fix = _OF_CODE.get(code, ("", ""))
    if "principalarn" in what.lower() and code == "InvalidParameterException":
        cause, fix = "no IAM user or role has that ARN", "correct it in `access.admins`"
    if code in UNKNOWN_KEYS:
        cause, fix = _UNKNOWN
    elif code in THROTTLED | UNAVAILABLE:
        cause, fix = _BUSY
    return Description(what, cause, fix)


def _denied(error: aws.ClientError, what: str) -> Description:
    found = re.search(r"not authorized to perform: ([\w-]+:\w+)(?: on resource: (\S+))?", _said(error))
    action, resource = (found[1], found[2]) if found else (error.operation_name, None)
    where = f" on {resource}" if resource else ""
    if "explicit deny" in _said(error):
        return Description(
            what,
            f"a policy (of the user, the role, or the organisation) forbids {action}{where}",
            "ask the owner of that policy; `provision eks policy` prints what provision needs",
        )
    return Description(
        what,
        f"the credentials may not do {action}{where}",
        f"allow {action}; `provision eks policy` prints everything that provision needs",
    )


def _quota(error: aws.ClientError, what: str) -> Description:
    quota, service, code = _QUOTAS[code_of(error)]
    named = f' "{quota}"' if quota else ""
    page = f" ({code} of {service})" if code else ""
    return Description(
        what,
        f"a quota{named} of the account is used up",
        f"delete unused resources, or have the quota{named}{page} raised in Service Quotas; then {_RERUN}",
    )


def _zones(error: aws.ClientError, what: str) -> Description:
    zones = ", ".join(valid_zones(error))
    return Description(
        what,
        "EKS has no capacity for control planes in one of the zones",
        f"delete what was created with `provision reset`, write `vpc.zones` with two or three of: {zones}"
        if zones
        else "delete what was created with `provision reset`, and write other zones to `vpc.zones`",
    )


def _said(error: aws.ClientError) -> str:
    return " ".join(str(error.response.get("Error", {}).get("Message", "")).split()).rstrip(".")


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:].rstrip(".")


_UNKNOWN = (
    "AWS does not accept these credentials, or the clock of this machine is wrong",
    "check the output of `aws sts get-caller-identity`; correct `profile` in the cluster file, or AWS_PROFILE",
)
_BUSY = ("AWS throttles the requests of this account", f"wait a minute, then {_RERUN}")
_NETWORK = (
    "AWS cannot be reached from this machine",
    "check the network, the proxy (HTTPS_PROXY) and AWS_ENDPOINT_URL",
)
_SSO = ("the SSO session has expired or was never started", "log in: `aws sso login`, then " + _RERUN)
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
        ("the AWS credentials cannot be loaded", "check the output of `aws sts get-caller-identity`"),
    ),
    (
        aws.SSLError,
        (
            "the TLS certificate is not AWS's",
            "a proxy intercepts TLS: set AWS_CA_BUNDLE to its CA certificate",
        ),
    ),
    (aws.HTTPClientError, _NETWORK),
)
_OF_CODE: dict[str, tuple[str, str]] = {
    "DependencyViolation": (
        "a resource that provision did not create still uses it",
        "find it in the console (network interfaces, load balancers, security groups of that VPC), delete it, "
        "then " + _RERUN,
    ),
    "ResourceInUseException": (
        "another change of the same resource is in progress, or the name is taken",
        "wait until it has ended, then " + _RERUN,
    ),
    "InvalidSubnet.Conflict": (
        "another subnet of the VPC has that range",
        "delete that subnet, then " + _RERUN,
    ),
    "InsufficientInstanceCapacity": (
        "AWS has no capacity for these instance types in that zone",
        "add other `instance_types` or zones to the node group",
    ),
    "OptInRequired": (
        "the account is not enabled for this",
        "finish the account's sign-up in the AWS console",
    ),
    "UnsupportedOperation": ("AWS does not offer this here", ""),
}
