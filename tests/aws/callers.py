"""Identity of callers, and errors common to all services."""

from __future__ import annotations

from moto.iam.models import iam_backends
from moto.sts.models import sts_backends
from moto.utilities.utils import get_partition

from tests.aws.calls import Call
from tests.aws.eks.resources import ACCOUNT
from tests.aws.failures import AwsError
from tests.aws.wire import Operation, Reply


def caller_arn(operation: Operation) -> str:
    """IAM ARN of the caller; for a session of a role, the role; the operator is root."""
    user = iam_backends[ACCOUNT]["aws"].get_user_from_access_key_id(operation.access_key)
    if user is not None:
        return str(user.arn)
    role = sts_backends[ACCOUNT]["aws"].get_assumed_role_from_access_key(operation.access_key)
    return str(role.role_arn) if role is not None else f"arn:aws:iam::{ACCOUNT}:root"


def known(operation: Operation) -> bool:
    if iam_backends[ACCOUNT]["aws"].get_user_from_access_key_id(operation.access_key) is not None:
        return True
    partition = get_partition(operation.region)
    return sts_backends[ACCOUNT][partition].get_assumed_role_from_access_key(operation.access_key) is not None


def refusal(operation: Operation, reason: str) -> AwsError:
    """The error of any call, with the code that the service has for it."""
    ec2, query = operation.service == "ec2", operation.service in {"iam", "sts", "elb", "elbv2"}
    call = Call(operation.service, operation.name, operation.region, operation.mutating)
    if reason == "expired":
        code = "RequestExpired" if ec2 else "ExpiredToken" if query else "ExpiredTokenException"
        return AwsError(
            code, "The security token included in the request is expired", status=400 if ec2 else 403
        )
    if reason == "throttled":
        code = "RequestLimitExceeded" if ec2 else "Throttling" if query else "ThrottlingException"
        return AwsError(code, "Rate exceeded", status=503 if ec2 else 400)
    if reason == "unknown":
        code = "AuthFailure" if ec2 else "InvalidClientTokenId" if query else "UnrecognizedClientException"
        return AwsError(
            code, "The security token included in the request is invalid.", status=401 if ec2 else 403
        )
    code = "UnauthorizedOperation" if ec2 else "AccessDenied" if query else "AccessDeniedException"
    message = (
        f"User: {caller_arn(operation)} is not authorized to perform: {call.action} because no identity-based policy "
        f"allows the {call.action} action"
    )
    return AwsError(code, message, status=403)


def error_in(answer: Reply) -> str:
    if answer.status < 400:
        return ""
    for key, value in answer.headers.items():
        if key.lower() == "x-amzn-errortype":
            return str(value).partition(":")[0]
    text = answer.body.decode("utf-8", "replace")
    if "<Code>" in text:
        return text.partition("<Code>")[2].partition("</Code>")[0]
    return str(answer.status)
