"""Delete orphans: those known when the reset was planned, and those found when the cluster is gone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from provision.errors import ProvisionError
from provision.providers.eks.aws.errors import code_of
from provision.providers.eks.facts import Dependent, Orphans
from provision.providers.eks.resources.orphans import cluster_vpcs, read_orphans, was_made_by_provision
from provision.providers.eks.resources.vpc_cleanup import Present, delete_interface, interfaces, staying
from provision.providers.eks.steps.planning import Deletion
from provision.providers.eks.steps.waiting import unless_missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from provision.providers.eks.steps.execution import Work
    from provision.providers.eks.steps.planning import PlanContext

_LIMIT = 900.0  # seconds, of a load balancer
_PROTECTED = "OperationNotPermitted"
_BY_CLUSTER = ("the cluster made it",)


@dataclass(frozen=True, slots=True)
class LoadBalancerDeletion(Deletion):
    """`id` is an ARN, the name of a classic one."""

    classic: bool


@dataclass(frozen=True, slots=True)
class OrphansDeletion(Deletion):
    """All orphans of the cluster `id` in its VPCs."""

    vpcs: tuple[str, ...]


def load_balancer_removals(context: PlanContext) -> Iterator[Deletion]:
    for one in _planned(context).load_balancers:
        name = f"load-balancer {one.name}"
        yield LoadBalancerDeletion(name, _BY_CLUSTER, one.arn or one.name, classic=not one.arn)


def target_group_removals(context: PlanContext) -> Iterator[Deletion]:
    for one in _planned(context).target_groups:
        yield Deletion(f"target-group {one.name}", _BY_CLUSTER, one.arn)


def orphan_removals(context: PlanContext) -> Iterator[Deletion]:
    """Found again once the cluster is gone: its controllers may have made more by then."""
    vpcs = cluster_vpcs(context.observation)
    if vpcs and was_made_by_provision(context.observation):
        why = "load balancers, security groups and network interfaces of its own may be left"
        yield OrphansDeletion("leftovers", (why,), context.cluster.name, vpcs)


def volume_removals(context: PlanContext) -> Iterator[Deletion]:
    for one in _planned(context).volumes if context.delete_volumes else ():
        why = f"{one.size} GiB of claim {one.claim or 'unknown'}, with everything on it"
        yield Deletion(f"volume {one.id}", (why,), one.id)


def _planned(context: PlanContext) -> Orphans:
    return context.orphans or Orphans()


def delete_load_balancers(work: Work) -> None:
    work.delete_all(
        LoadBalancerDeletion,
        lambda one: _delete_load_balancer(work, one.resource, one.id, classic=one.classic),
    )


def delete_target_groups(work: Work) -> None:
    work.delete_all(Deletion, lambda one: _delete_target_group(work, one.resource, one.id))


def delete_orphans(work: Work) -> None:
    work.attempt_each(OrphansDeletion, "delete leftovers", _delete_orphans)


def delete_volumes(work: Work) -> None:
    """With everything on them."""
    ec2 = work.account.client("ec2")

    def machines(volume: str) -> tuple[Dependent, ...]:
        found: Any = ec2.describe_volumes(VolumeIds=[volume])["Volumes"]
        return tuple(
            Dependent(f"machine {link['InstanceId']}", vanishing=link.get("State") == "detaching")
            for one in found
            for link in one.get("Attachments", ())
        )

    def delete(one: Deletion) -> bool:
        request = partial(ec2.delete_volume, VolumeId=one.id)
        return work.delete_when_unused(one.resource, request, partial(machines, one.id))

    work.delete_all(Deletion, delete)


def _delete_load_balancer(work: Work, resource: str, id_: str, *, classic: bool) -> bool:
    """False if it was gone, as everywhere here."""
    first, second = work.account.client("elb"), work.account.client("elbv2")
    describe: Callable[[], object] = partial(second.describe_load_balancers, LoadBalancerArns=[id_])
    request: Callable[[], object] = partial(second.delete_load_balancer, LoadBalancerArn=id_)
    if classic:
        describe = partial(first.describe_load_balancers, LoadBalancerNames=[id_])
        request = partial(first.delete_load_balancer, LoadBalancerName=id_)

    def delete() -> None:
        try:
            request()
        except ClientError as error:
            if code_of(error) != _PROTECTED:
                raise
            raise ProvisionError(
                f"{resource} is protected against deletion",
                fix="turn its attribute deletion_protection.enabled off, then run `provision reset` again",
            ) from error

    return work.delete_and_wait(
        resource,
        read=lambda: Present() if unless_missing(describe) else None,
        delete=delete,
        limit=_LIMIT,
    )


def _delete_target_group(work: Work, resource: str, arn: str) -> bool:
    request = partial(work.account.client("elbv2").delete_target_group, TargetGroupArn=arn)
    return work.delete_when_unused(resource, request)


def _delete_orphans(work: Work, deletion: OrphansDeletion) -> Iterator[str]:
    """In the order in which AWS lets them go; yields a sentence for each thing that was deleted."""
    resource, name, vpcs = deletion.resource, deletion.id, deletion.vpcs
    found = read_orphans(name, work.account, vpcs)
    for balancer in found.load_balancers:
        id_ = balancer.arn or balancer.name
        if _delete_load_balancer(work, resource, id_, classic=not balancer.arn):
            yield f"deleted load balancer {balancer.name}"
    for group in found.target_groups:
        if _delete_target_group(work, resource, group.arn):
            yield f"deleted target group {group.name}"
    for interface in found.interfaces:
        work.check_cancelled()
        if delete_interface(work.account, interface):
            yield f"deleted network interface {interface}"
    yield from _delete_groups(work, name, vpcs, found)


def _delete_groups(work: Work, name: str, vpcs: Sequence[str], found: Orphans) -> Iterator[str]:
    """Rules by which they name each other go first: no order of deletion would do."""
    ids = frozenset(group.id for group in found.security_groups)
    for group in found.security_groups:
        _revoke(work, group.id, ids)
    for group in found.security_groups:
        what = f"security group {group.name} ({group.id})"
        if _delete_group(work, what, group.id, lambda: read_orphans(name, work.account, vpcs).interfaces):
            yield f"deleted {what}"


def _delete_group(work: Work, what: str, group: str, idle: Callable[[], Sequence[str]]) -> bool:
    """`idle`: ids of interfaces of the cluster that nothing uses any more; there may be new ones at every look."""

    def users() -> tuple[Dependent, ...]:
        for interface in idle():
            delete_interface(work.account, interface)
        return (*interfaces(work.account, "group-id", group), *_naming(work, group))

    client = work.account.client("ec2")
    return work.delete_when_unused(what, partial(client.delete_security_group, GroupId=group), users)


def _naming(work: Work, group: str) -> Iterator[Dependent]:
    """Security groups whose rules name the group."""
    pages = work.account.client("ec2").get_paginator("describe_security_groups")
    for direction in ("ip-permission.group-id", "egress.ip-permission.group-id"):
        for page in pages.paginate(Filters=[{"Name": direction, "Values": [group]}]):
            for one in page["SecurityGroups"]:
                if one["GroupId"] != group:
                    yield staying(one["GroupId"], f"a rule of security group {one['GroupName']}")


def _revoke(work: Work, group: str, others: frozenset[str]) -> None:
    client = work.account.client("ec2")

    def revoke() -> None:
        (present,) = client.describe_security_groups(GroupIds=[group])["SecurityGroups"]
        ingress: Any = _rules_naming(present.get("IpPermissions", ()), others)
        egress: Any = _rules_naming(present.get("IpPermissionsEgress", ()), others)
        work.check_cancelled()
        if ingress:
            client.revoke_security_group_ingress(GroupId=group, IpPermissions=ingress)
        if egress:
            client.revoke_security_group_egress(GroupId=group, IpPermissions=egress)

    unless_missing(revoke)


def _rules_naming(rules: Any, groups: frozenset[str]) -> list[dict[str, Any]]:
    """The rules that name one of the groups, cut to that, as AWS takes them to revoke."""
    named = []
    for rule in rules:
        pairs = [
            {"GroupId": one["GroupId"]}
            for one in rule.get("UserIdGroupPairs", ())
            if one.get("GroupId") in groups
        ]
        if pairs:
            ports = {key: rule[key] for key in ("IpProtocol", "FromPort", "ToPort") if key in rule}
            named.append({**ports, "UserIdGroupPairs": pairs})
    return named
