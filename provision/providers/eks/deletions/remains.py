"""Deletes what the cluster made by itself and left: looked for by its tags, again and again until nothing is found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from provision.providers.eks import leftovers
from provision.providers.eks.aws.errors import is_missing
from provision.providers.eks.deletions import holders
from provision.providers.eks.deletions.load_balancers import (
    delete_classic_load_balancer,
    delete_load_balancer,
    delete_target_group,
)
from provision.providers.eks.deletions.removing import delete_once_free

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from provision.providers.eks.deletions.holders import Holder
    from provision.providers.eks.leftovers import Leftovers
    from provision.providers.eks.work import Work


def delete_leftovers(work: Work, resource: str, name: str, vpcs: Sequence[str]) -> Iterator[str]:
    """In the order in which AWS lets them go; yields a sentence for each thing that was deleted."""
    found = leftovers.look(name, work.account, vpcs)
    for balancer in found.load_balancers:
        if balancer.arn:
            deleted = delete_load_balancer(work, resource, balancer.arn)
        else:
            deleted = delete_classic_load_balancer(work, resource, balancer.name)
        if deleted:
            yield f"deleted load balancer {balancer.name}"
    for group in found.target_groups:
        if delete_target_group(work, resource, group.arn):
            yield f"deleted target group {group.name}"
    for interface in found.interfaces:
        work.heed()
        if holders.delete_interface(work.account, interface):
            yield f"deleted network interface {interface}"
    yield from _delete_groups(work, name, vpcs, found)


def _delete_groups(work: Work, name: str, vpcs: Sequence[str], found: Leftovers) -> Iterator[str]:
    """Rules by which they name each other go first: no order of deletion would do."""
    ids = frozenset(group.id for group in found.security_groups)
    for group in found.security_groups:
        _revoke(work, group.id, ids)
    for group in found.security_groups:
        what = f"security group {group.name} ({group.id})"
        if _delete_group(work, what, group.id, lambda: leftovers.look(name, work.account, vpcs).interfaces):
            yield f"deleted {what}"


def _delete_group(work: Work, what: str, group: str, idle: Callable[[], Sequence[str]]) -> bool:
    """`idle`: ids of interfaces of the cluster that nothing uses any more; there may be new ones at every look."""

    def users() -> tuple[Holder, ...]:
        for interface in idle():
            holders.delete_interface(work.account, interface)
        return holders.of_group(work.account, group)

    client = work.account.client("ec2")
    return delete_once_free(work, what, lambda: client.delete_security_group(GroupId=group), users)


def _revoke(work: Work, group: str, others: frozenset[str]) -> None:
    client = work.account.client("ec2")
    try:
        (present,) = client.describe_security_groups(GroupIds=[group])["SecurityGroups"]
        ingress: Any = _naming(present.get("IpPermissions", ()), others)
        egress: Any = _naming(present.get("IpPermissionsEgress", ()), others)
        work.heed()
        if ingress:
            client.revoke_security_group_ingress(GroupId=group, IpPermissions=ingress)
        if egress:
            client.revoke_security_group_egress(GroupId=group, IpPermissions=egress)
    except ClientError as error:
        if not is_missing(error):
            raise


def _naming(rules: Any, groups: frozenset[str]) -> list[dict[str, Any]]:
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
