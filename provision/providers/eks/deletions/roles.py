"""Deletes a role of ours: its policies are detached first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from provision.providers.eks.aws.errors import is_missing
from provision.providers.eks.deletions.holders import Holder
from provision.providers.eks.deletions.removing import delete_once_free

if TYPE_CHECKING:
    from provision.providers.eks.work import Work


def delete_role(work: Work, resource: str, name: str) -> bool:
    """Somebody's inline policies and instance profiles are not taken away: they are named as what holds on."""
    iam = work.account.client("iam")

    def users() -> tuple[Holder, ...]:
        profiles = iam.list_instance_profiles_for_role(RoleName=name)["InstanceProfiles"]
        inline = iam.list_role_policies(RoleName=name)["PolicyNames"]
        return (
            *(Holder(f"instance profile {one['InstanceProfileName']}", vanishing=False) for one in profiles),
            *(Holder(f"its inline policy {one}", vanishing=False) for one in inline),
        )

    def delete() -> None:
        for policy in attached(work, name):
            work.heed()
            iam.detach_role_policy(RoleName=name, PolicyArn=policy)
        iam.delete_role(RoleName=name)

    return delete_once_free(work, resource, delete, users)


def attached(work: Work, name: str) -> list[str]:
    """ARNs of the policies that are attached now; [] if the role is gone."""
    pages = work.account.client("iam").get_paginator("list_attached_role_policies")
    try:
        return [
            one["PolicyArn"] for page in pages.paginate(RoleName=name) for one in page["AttachedPolicies"]
        ]
    except ClientError as error:
        if is_missing(error):
            return []
        raise
