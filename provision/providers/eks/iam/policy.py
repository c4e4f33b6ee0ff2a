"""The IAM policy that provision needs, from the table of `provision.providers.eks.iam.grants`. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from provision.providers.eks.iam.grants import grants

if TYPE_CHECKING:
    from provision.model.eks import EksCluster
    from provision.providers.eks.iam.grants import Grant


def policy(cluster: EksCluster | None = None, partition: str = "aws") -> dict[str, Any]:
    """The policy document for one cluster, or for any that has neither pod identities nor a key of its own."""
    return {
        "Version": "2012-10-17",
        "Statement": [_statement(grant, partition) for grant in grants(cluster, partition)],
    }


def _statement(grant: Grant, partition: str) -> dict[str, Any]:
    resources = [one if one == "*" else f"arn:{partition}:{one}" for one in grant.resources]
    statement: dict[str, Any] = {
        "Sid": grant.sid,
        "Effect": "Allow",
        "Action": sorted(grant.written or {*grant.actions, *grant.implied}),
        "Resource": resources if len(resources) > 1 else resources[0],
    }
    return {**statement, "Condition": dict(grant.condition)} if grant.condition else statement
