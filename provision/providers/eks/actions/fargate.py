"""Makes Fargate profiles, one after the other: EKS takes no second one while one is made or deleted."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from provision.providers.eks import names
from provision.providers.eks.actions.ids import subnets_of
from provision.providers.eks.actions.roles import find_role
from provision.providers.eks.actions.settling import Settling, refuse_foreign, settle
from provision.providers.eks.deletions.parts import delete_fargate_profile
from provision.providers.eks.readers.parts import read_fargate_profile

if TYPE_CHECKING:
    from provision.providers.eks.facts import FargateFacts
    from provision.providers.eks.work import Work

_LIMIT = 1800.0  # seconds
_USUAL = "usually 1 to 2 minutes"


def ensure_fargate_profiles(work: Work) -> None:
    """One that fails does not keep the others from being made."""
    for host in work.step.hosts:
        awaited = work.awaits or host != work.step.hosts[-1]
        work.attempt(host, f"create profile ({_USUAL})", partial(_profile, work, host, awaited=awaited))


def _profile(work: Work, resource: str, *, awaited: bool) -> Iterator[str]:
    name = str(work.spec(resource)["name"])
    found = _read(work, name)
    refuse_foreign(resource, found)
    failed = ""
    if found is not None and found.status in {"CREATE_FAILED", "DELETING"}:
        failed = str(found.created)
        never_worked = found.status == "CREATE_FAILED"
        delete_fargate_profile(work, resource, name)
        yield "deleted it, because it never worked" if never_worked else "saw its deletion end"
        found = None
    if found is None:
        yield from _create(work, resource, name, failed)
    if awaited:
        settle(
            work,
            Settling(
                resource,
                f"create profile ({_USUAL})",
                lambda: _read(work, name),
                _LIMIT,
                "run the same command again: it deletes the profile, which never worked, and makes it anew",
            ),
        )


def _create(work: Work, resource: str, name: str, failed: str) -> Iterator[str]:
    role = find_role(work, names.FARGATE_ROLE)
    request: dict[str, Any] = {
        "clusterName": work.cluster.name,
        "fargateProfileName": name,
        "podExecutionRoleArn": role.arn,
        "subnets": list(subnets_of(work, resource, "private")),
        "selectors": work.spec(resource)["selectors"],
        "tags": work.tags(resource),
    }
    token = work.token({**request, "role": role.id, "failed": failed})
    eks = work.account.client("eks")
    work.free(
        resource,
        "create profile",
        lambda: work.once_known(
            resource,
            "create profile",
            lambda: eks.create_fargate_profile(**request, clientRequestToken=token),
        ),
    )
    spaces = [one["namespace"] for one in cast("list[dict[str, str]]", request["selectors"])]
    yield f"made {name} for pods of {', '.join(spaces)}"


def _read(work: Work, name: str) -> FargateFacts | None:
    return read_fargate_profile(work.cluster.name, name, work.account)
