"""Lets administrators into the cluster, and takes that away again: access entries of EKS."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from provision.errors import StepFailedError
from provision.providers.eks.aws.errors import is_missing
from provision.providers.eks.readers.parts import read_access_entry

if TYPE_CHECKING:
    from provision.providers.eks.work import Work


def ensure_access(work: Work) -> None:
    work.attempt_all([(host, "let in", partial(_entry, work, host)) for host in work.step.hosts])


def remove_access(work: Work) -> None:
    work.attempt_all([(host, "take away", partial(_removal, work, host)) for host in work.step.hosts])


def _entry(work: Work, resource: str) -> Iterator[str]:
    eks, spec = work.account.client("eks"), work.spec(resource)
    principal, policy = str(spec["principal"]), str(spec["policy"])
    found = read_access_entry(work.cluster.name, principal, work.account)
    if found is not None and policy in found.policies:
        return
    if found is not None and not found.owned:
        raise StepFailedError(
            f"the cluster has an access entry of {principal} that provision did not make",
            fix="take it out of `access.admins`, or delete the entry",
        )
    if found is None:
        work.heed()
        eks.create_access_entry(
            clusterName=work.cluster.name, principalArn=principal, type="STANDARD", tags=work.tags(resource)
        )
        yield f"made an access entry for {principal}"
    work.once_there(
        resource,
        "associate the policy",
        lambda: eks.associate_access_policy(
            clusterName=work.cluster.name,
            principalArn=principal,
            policyArn=policy,
            accessScope={"type": "cluster"},
        ),
    )
    yield "is administrator of the cluster"


def _removal(work: Work, resource: str) -> Iterator[str]:
    principal = str(work.spec(resource)["principal"])
    try:
        work.account.client("eks").delete_access_entry(clusterName=work.cluster.name, principalArn=principal)
    except ClientError as error:
        if not is_missing(error):
            raise
    else:
        yield f"deleted the access entry of {principal}"
