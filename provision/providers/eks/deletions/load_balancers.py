"""Deletes load balancers that the cluster made, and their target groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from provision.errors import ProvisionError
from provision.providers.eks.aws.errors import code_of, is_missing
from provision.providers.eks.deletions.removing import delete_once_free, remove

if TYPE_CHECKING:
    from collections.abc import Callable

    from provision.providers.eks.facts import HealthIssue
    from provision.providers.eks.work import Work

_LIMIT = 900.0  # seconds
_PROTECTED = "OperationNotPermitted"


@dataclass(frozen=True, slots=True)
class _There:
    status: str = ""
    health: tuple[HealthIssue, ...] = ()


def delete_load_balancer(work: Work, resource: str, arn: str) -> bool:
    """An application or network load balancer; False if it was gone, as everywhere here."""
    client = work.account.client("elbv2")

    def delete() -> None:
        try:
            client.delete_load_balancer(LoadBalancerArn=arn)
        except ClientError as error:
            if code_of(error) != _PROTECTED:
                raise
            raise ProvisionError(
                f"{resource} is protected against deletion",
                fix="turn its attribute deletion_protection.enabled off, then run `provision reset` again",
            ) from error

    look = _there(lambda: client.describe_load_balancers(LoadBalancerArns=[arn]))
    return remove(work, resource, state=look, delete=delete, limit=_LIMIT)


def delete_classic_load_balancer(work: Work, resource: str, name: str) -> bool:
    client = work.account.client("elb")
    look = _there(lambda: client.describe_load_balancers(LoadBalancerNames=[name]))

    def delete() -> None:
        client.delete_load_balancer(LoadBalancerName=name)

    return remove(work, resource, state=look, delete=delete, limit=_LIMIT)


def delete_target_group(work: Work, resource: str, arn: str) -> bool:
    client = work.account.client("elbv2")
    return delete_once_free(work, resource, lambda: client.delete_target_group(TargetGroupArn=arn))


def _there(describe: Callable[[], object]) -> Callable[[], _There | None]:
    """The state of something that only is there or is not."""

    def look() -> _There | None:
        try:
            describe()
        except ClientError as error:
            if is_missing(error):
                return None
            raise
        return _There()

    return look
