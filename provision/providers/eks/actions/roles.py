"""Makes roles of IAM and gives them their policies; takes roles of ours away."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, cast

from provision.errors import StepFailedError
from provision.providers.eks import names
from provision.providers.eks.actions.making import make
from provision.providers.eks.aws.errors import is_missing
from provision.providers.eks.readers.roles import read_one
from provision.providers.eks.readers.tags import listing

if TYPE_CHECKING:
    from provision.providers.eks.facts import RoleFacts
    from provision.providers.eks.work import Work

_PODS = "pods.eks.amazonaws.com"


def ensure_roles(work: Work) -> None:
    work.attempt_all([(host, "create role", partial(_role, work, host)) for host in work.step.hosts])


def find_role(work: Work, part: str) -> RoleFacts:
    """The role of ours for that part, which an earlier step has made; StepFailedError if there is none."""
    name = names.role_name(work.account.region, work.cluster.name, part)
    found = read_one(name, work.cluster, work.account)
    if found is None or not found.owned:
        raise StepFailedError(
            f"role {name} is {'missing' if found is None else 'not ours'}", fix="run the same command again"
        )
    return found


def _role(work: Work, part: str) -> Iterator[str]:
    iam, spec = work.account.client("iam"), work.spec(part)
    name, wanted = str(spec["name"]), cast("list[str]", spec["policies"])
    found = read_one(name, work.cluster, work.account)
    if found is None:
        make(
            work,
            part,
            "create role",
            find=lambda: _ours(work, name),
            create=lambda: work.account.client("iam", once=True).create_role(
                RoleName=name,
                Path=names.role_path(work.account.region, work.cluster.name),
                AssumeRolePolicyDocument=json.dumps(_trust(str(spec["service"]))),
                Description=f"made by provision for EKS cluster {work.cluster.name}",
                Tags=listing(work.tags(part)),
            )["Role"]["Arn"],
        )
        yield f"made {name}"
    elif not found.owned:
        raise StepFailedError(
            f"the account has a role {name} that provision did not make ({found.arn})",
            fix="delete that role if nothing uses it, or write another `name`",
        )
    attached = found.policies if found else ()
    for policy in wanted:
        if policy not in attached:
            work.again(
                part,
                "attach a policy",
                partial(iam.attach_role_policy, RoleName=name, PolicyArn=policy),
                # Not where it is the policy that does not exist: that stays so.
                lambda error: is_missing(error) and name in str(error),
                "the new role",
            )
            yield f"attached {policy.rpartition('/')[2]}"
    for policy in attached if spec["exact"] else ():
        if policy not in wanted:
            work.heed()
            iam.detach_role_policy(RoleName=name, PolicyArn=policy)
            yield f"detached {policy.rpartition('/')[2]}"


def _ours(work: Work, name: str) -> str | None:
    found = read_one(name, work.cluster, work.account)
    return found.arn if found and found.owned else None


def _trust(service: str) -> dict[str, object]:
    actions = ["sts:AssumeRole", "sts:TagSession"] if service == _PODS else ["sts:AssumeRole"]
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": actions}],
    }
