"""Fargate profiles, one after the other: EKS takes no second one while one is made or deleted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from provision.providers.eks import names
from provision.providers.eks.facts import FargateFacts, health_issues
from provision.providers.eks.resources.network import subnet_zones
from provision.providers.eks.resources.roles import find_role
from provision.providers.eks.steps.planning import FAILED, Change, Deletion, in_transition, unusable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from provision.providers.eks.aws.account import Account
    from provision.providers.eks.steps.execution import Work
    from provision.providers.eks.steps.planning import PlanContext

_LIMIT = 1800.0  # seconds
_USUAL = "usually 1 to 2 minutes"


@dataclass(frozen=True, slots=True, kw_only=True)
class FargateChange(Change):
    """`selectors` as CreateFargateProfile takes them; `recreate`: it never worked and is replaced."""

    name: str
    selectors: tuple[Mapping[str, Any], ...]
    recreate: bool = False


def read_fargate_profile(cluster: str, name: str, account: Account) -> FargateFacts | None:
    eks = account.client("eks")
    try:
        answer = eks.describe_fargate_profile(clusterName=cluster, fargateProfileName=name)
    except eks.exceptions.ResourceNotFoundException:
        return None
    found: Any = answer["fargateProfile"]
    tags = found.get("tags", {})
    return FargateFacts(
        name=name,
        arn=found["fargateProfileArn"],
        status=found["status"],
        created=found.get("createdAt"),
        owned=names.owned(cluster, tags),
        role_arn=found.get("podExecutionRoleArn", ""),
        subnets=tuple(found.get("subnets") or ()),
        selectors=tuple((one["namespace"], one.get("labels") or {}) for one in found.get("selectors") or ()),
        health=health_issues((found.get("health") or {}).get("issues", ())),
        tags=tags,
    )


def changes(context: PlanContext) -> Iterator[FargateChange]:
    for profile in context.cluster.fargate_profiles:
        found = context.observation.fargate_profile(profile.name)
        why = unusable(found) or in_transition(found.status if found else "")
        selectors = tuple(
            {"namespace": one.namespace, **({"labels": dict(one.labels)} if one.labels else {})}
            for one in profile.selectors
        )
        yield FargateChange(
            names.fargate_profile(profile.name),
            (why,) if why else (),
            name=profile.name,
            selectors=selectors,
            recreate=found is not None and found.status == FAILED,
        )


def ensure(work: Work) -> None:
    """One that fails does not keep the others from being made."""
    changes = work.changes(FargateChange)
    for change in changes:
        awaited = work.awaits or change is not changes[-1]
        work.attempt(
            change.resource, f"create profile ({_USUAL})", partial(_ensure, work, change, awaited=awaited)
        )


def delete(work: Work) -> None:
    work.delete_all(Deletion, lambda one: _delete(work, one.resource, one.id), in_order=True)


def _delete(work: Work, resource: str, name: str) -> bool:
    delete = work.account.client("eks").delete_fargate_profile
    request = partial(delete, clusterName=work.cluster.name, fargateProfileName=name)
    return work.delete_and_wait(resource, read=partial(_read, work, name), delete=request, limit=_LIMIT)


def _ensure(work: Work, change: FargateChange, *, awaited: bool) -> Iterator[str]:
    resource, name = change.resource, change.name
    found = _read(work, name)
    work.refuse_not_owned(resource, found)
    failed = ""
    if found is not None and found.status in {FAILED, "DELETING"}:
        failed = str(found.created)
        _delete(work, resource, name)
        yield "deleted it, because it never worked" if found.status == FAILED else "saw its deletion end"
        found = None
    if found is None:
        yield from _create(work, change, failed)
    if awaited:
        work.until_settled(
            resource,
            f"create profile ({_USUAL})",
            lambda: _read(work, name),
            limit=_LIMIT,
            fix="run the same command again: it deletes the profile, which never worked, and creates it again",
        )


def _create(work: Work, change: FargateChange, failed: str) -> Iterator[str]:
    resource, role = change.resource, find_role(work, names.FARGATE_ROLE)
    request: dict[str, Any] = {
        "clusterName": work.cluster.name,
        "fargateProfileName": change.name,
        "podExecutionRoleArn": role.arn,
        "subnets": list(subnet_zones(work, resource, "private")),
        "selectors": list(change.selectors),
        "tags": work.tags(resource),
    }
    token = work.token({**request, "role": role.id, "failed": failed})
    eks = work.account.client("eks")
    work.once_idle(
        resource,
        "create profile",
        lambda: work.once_known(
            resource,
            "create profile",
            lambda: eks.create_fargate_profile(**request, clientRequestToken=token),
        ),
    )
    spaces = ", ".join(one["namespace"] for one in change.selectors)
    yield f"made {change.name} for pods of {spaces}"


def _read(work: Work, name: str) -> FargateFacts | None:
    return read_fargate_profile(work.cluster.name, name, work.account)
