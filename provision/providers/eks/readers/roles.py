"""Reads the cluster's roles: all below its path, and whatever has the name of one that it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from provision.providers.eks import desired, names
from provision.providers.eks.aws.calls import together
from provision.providers.eks.aws.errors import is_missing
from provision.providers.eks.facts import RoleFacts
from provision.providers.eks.readers.tags import mapping

if TYPE_CHECKING:
    from provision.model.eks import EksCluster
    from provision.providers.eks.aws.account import Account


def read(cluster: EksCluster, account: Account) -> tuple[RoleFacts, ...]:
    pages = account.client("iam").get_paginator("list_roles")
    path = names.role_path(account.region, cluster.name)
    below = [one["RoleName"] for page in pages.paginate(PathPrefix=path) for one in page["Roles"]]
    wanted = [names.role_name(account.region, cluster.name, part) for part in desired.role_parts(cluster)]
    found = together([_reading(name, cluster, account) for name in dict.fromkeys([*below, *wanted])])
    return tuple(sorted((one for one in found if one is not None), key=lambda role: role.name))


def read_one(name: str, cluster: EksCluster, account: Account) -> RoleFacts | None:
    """The role of that name, ours or not; its policies are read only if it is ours."""
    iam = account.client("iam")
    try:
        role: Any = iam.get_role(RoleName=name)["Role"]
    except iam.exceptions.NoSuchEntityException:
        return None
    tags = mapping(role.get("Tags", ()))
    ours = names.owned(cluster.name, tags) and role["Path"] == names.role_path(account.region, cluster.name)
    return RoleFacts(
        name=name,
        arn=role["Arn"],
        id=role["RoleId"],
        part=tags.get(names.ROLE, ""),
        owned=ours,
        policies=_policies(name, account) if ours else (),
        tags=tags,
    )


def _policies(name: str, account: Account) -> tuple[str, ...]:
    pages = account.client("iam").get_paginator("list_attached_role_policies")
    try:
        listed = [
            one["PolicyArn"] for page in pages.paginate(RoleName=name) for one in page["AttachedPolicies"]
        ]
    except account.client("iam").exceptions.ClientError as error:
        if is_missing(error):
            return ()
        raise
    return tuple(sorted(listed))


def _reading(name: str, cluster: EksCluster, account: Account) -> Any:
    return lambda: read_one(name, cluster, account)
