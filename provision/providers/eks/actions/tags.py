"""Gives resources of ours the tags of the file that they lack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, cast

from provision.providers.eks.aws.calls import together
from provision.providers.eks.readers.tags import listing

if TYPE_CHECKING:
    from provision.providers.eks.work import Work

_MOST = 500  # resources of EC2 in one call; AWS takes 1000


def ensure_tags(work: Work) -> None:
    """Resources of EC2 in one call, the others one by one."""
    tags = dict(cast("Mapping[str, str]", work.step.variables["tags"]))
    ec2 = [host for host in work.step.hosts if work.spec(host)["kind"] == "ec2"]
    if ec2:
        ids = [str(work.spec(host)["id"]) for host in ec2]
        first, *others = ec2
        done = work.attempt(first, "tag", lambda: _tag_ec2(work, ids, tags))
        for host in others if done else ():
            work.attempt(host, "tag", lambda: ("tagged",))
    rest = [host for host in work.step.hosts if host not in ec2]
    if rest:
        work.attempt_all([(host, "tag", partial(_tag, work, host, tags)) for host in rest])


def _tag_ec2(work: Work, ids: list[str], tags: Mapping[str, str]) -> Iterator[str]:
    client = work.account.client("ec2")
    groups = [ids[start : start + _MOST] for start in range(0, len(ids), _MOST)]
    together([partial(client.create_tags, Resources=group, Tags=listing(tags)) for group in groups])
    yield "tagged"


def _tag(work: Work, resource: str, tags: Mapping[str, str]) -> Iterator[str]:
    spec = work.spec(resource)
    if spec["kind"] == "iam":
        work.account.client("iam").tag_role(RoleName=str(spec["id"]), Tags=listing(tags))
    else:
        work.account.client("eks").tag_resource(resourceArn=str(spec["id"]), tags=tags)
    yield "tagged"
