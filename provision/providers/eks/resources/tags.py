"""Tags of the file that resources made by provision lack: compare and add them.

A tag that was taken out of the file stays where it is: others may have come to rely on it, and provision's
tags of yesterday cannot be distinguished from theirs of today.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal, Protocol

from provision.providers.eks import names
from provision.providers.eks.aws.calls import together
from provision.providers.eks.steps.planning import Change

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from provision.providers.eks.steps.execution import Work
    from provision.providers.eks.steps.planning import PlanContext

_MOST = 500  # resources of EC2 in one call; AWS takes 1000
Service = Literal["ec2", "eks", "iam"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TagChange(Change):
    """`id`: what the service knows the resource by; an ARN for EKS."""

    service: Service
    id: str


class _OfEc2(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def tags(self) -> Mapping[str, str]: ...


def changes(context: PlanContext, leaving: Iterable[str]) -> Iterator[TagChange]:
    """`leaving` are resources that other steps delete, also to replace them: AWS takes no tags for them meanwhile."""
    deleted, wanted = set(leaving), context.cluster.tags
    for resource, service, key, tags in _tagged(context):
        if resource not in deleted:
            lacking = {name: value for name, value in wanted.items() if tags.get(name) != value}
            reasons = tuple(f"lacks the tag {name}={value}" for name, value in lacking.items())
            yield TagChange(resource, reasons, service=service, id=key)


def _tagged(context: PlanContext) -> Iterator[tuple[str, Service, str, Mapping[str, str]]]:
    """Every resource that provision made: its name in the plan, the service, its id there, its tags."""
    seen, network = context.observation, context.observation.network
    ec2: list[_OfEc2] = [
        *network.vpcs,
        *(one for one in network.subnets if one.part),
        *network.internet_gateways,
        *network.addresses,
        *network.nats,
        *network.route_tables,
    ]
    for one in ec2:
        yield one.tags.get(names.ROLE, one.id), "ec2", one.id, one.tags
    for role in seen.roles:
        if role.owned:
            yield role.part, "iam", role.name, role.tags
    if seen.cluster is None or not seen.cluster.owned:
        return
    yield names.CLUSTER_RESOURCE, "eks", seen.cluster.arn, seen.cluster.tags
    for resource, _, child in seen.children:
        if child.owned:
            yield resource, "eks", child.arn, child.tags


def ensure(work: Work) -> None:
    """Resources of EC2 in one call, the others one by one."""
    changes = work.changes(TagChange)
    ec2 = [one for one in changes if one.service == "ec2"]
    if ec2:
        ids = [one.id for one in ec2]
        first, *others = ec2
        done = work.attempt(first.resource, "tag", partial(_tag_ec2, work, ids))
        for one in others if done else ():
            work.attempt(one.resource, "tag", lambda: ("tagged",))
    rest = [one for one in changes if one.service != "ec2"]
    if rest:
        work.attempt_all([(one.resource, "tag", partial(_tag, work, one)) for one in rest])


def _tag_ec2(work: Work, ids: list[str]) -> Iterator[str]:
    client, tags = work.account.client("ec2"), names.tag_list(work.cluster.tags)
    groups = [ids[start : start + _MOST] for start in range(0, len(ids), _MOST)]
    together([partial(client.create_tags, Resources=group, Tags=tags) for group in groups])
    yield "tagged"


def _tag(work: Work, change: TagChange) -> Iterator[str]:
    tags = work.cluster.tags
    if change.service == "iam":
        work.account.client("iam").tag_role(RoleName=change.id, Tags=names.tag_list(tags))
    else:
        work.account.client("eks").tag_resource(resourceArn=change.id, tags=dict(tags))
    yield "tagged"
