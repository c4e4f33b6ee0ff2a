"""Waits for an update that EKS is carrying out, and says why it failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from provision.providers.eks.facts import HealthIssue
from provision.providers.eks.work import UnhealthyError

if TYPE_CHECKING:
    from provision.providers.eks.work import Work


def until_updated(work: Work, resource: str, what: str, update: str, *, limit: float, **of: str) -> None:
    """Wait for the update of that id; `of`: nodegroupName or addonName, where it is not the cluster's own.

    Raises UnhealthyError with AWS's reasons if it failed or was cancelled.
    """
    eks = work.account.client("eks")

    def look() -> bool | None:
        found: Any = eks.describe_update(name=work.cluster.name, updateId=update, **of)["update"]
        if found["status"] == "InProgress":
            return None
        if found["status"] == "Successful":
            return True
        issues = tuple(
            HealthIssue(
                code=one.get("errorCode", ""),
                message=one.get("errorMessage", ""),
                resources=tuple(one.get("resourceIds", ())),
            )
            for one in found.get("errors", ())
        )
        raise UnhealthyError(
            f"{what}: AWS ended the update as {found['status']}", issues, fix="run the same command again"
        )

    work.until(resource, what, look, limit=limit)
