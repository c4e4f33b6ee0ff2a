"""Access entries of administrators, and pod identities: which principal may do what, in and from the cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from provision.errors import StepFailedError
from provision.providers.eks import names
from provision.providers.eks.facts import AccessEntryFacts, PodIdentityFacts
from provision.providers.eks.resources.roles import find_role
from provision.providers.eks.steps.planning import Change, Deletion
from provision.providers.eks.steps.waiting import unless_missing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provision.providers.eks.aws.account import Account
    from provision.providers.eks.steps.execution import Work
    from provision.providers.eks.steps.planning import PlanContext

_ADMIN_POLICY = "AmazonEKSClusterAdminPolicy"
_STANDARD = "STANDARD"  # access entries of people; the others are of nodes, made by EKS


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessChange(Change):
    """Associate `policy` (an ARN) with `principal` (an ARN) for the whole cluster."""

    principal: str
    policy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PodIdentityChange(Change):
    """`role_arn` "": the role that an earlier step has made."""

    namespace: str
    service_account: str
    role_arn: str = ""


def admin_policy(partition: str) -> str:
    return f"arn:{partition}:eks::aws:cluster-access-policy/{_ADMIN_POLICY}"


def read_access_entry(cluster: str, principal_arn: str, account: Account) -> AccessEntryFacts | None:
    """The access entry; None if there is none. Policies are read of people's entries only."""
    eks = account.client("eks")
    try:
        answer = eks.describe_access_entry(clusterName=cluster, principalArn=principal_arn)
        found: Any = answer["accessEntry"]
        policies: tuple[str, ...] = ()
        if found.get("type", _STANDARD) == _STANDARD:
            policies = _policies(cluster, principal_arn, account)
    except eks.exceptions.ResourceNotFoundException:
        return None
    tags = found.get("tags", {})
    return AccessEntryFacts(
        principal_arn=principal_arn,
        arn=found["accessEntryArn"],
        type=found.get("type", _STANDARD),
        owned=names.owned(cluster, tags),
        policies=policies,
        tags=tags,
    )


def _policies(cluster: str, principal_arn: str, account: Account) -> tuple[str, ...]:
    """ARNs of the access policies that hold for the whole cluster."""
    pages = account.client("eks").get_paginator("list_associated_access_policies")
    listed = pages.paginate(clusterName=cluster, principalArn=principal_arn)
    return tuple(
        sorted(
            one["policyArn"]
            for page in listed
            for one in page["associatedAccessPolicies"]
            if one.get("accessScope", {}).get("type") == "cluster"
        )
    )


def read_pod_identity(cluster: str, listed: Any, account: Account) -> PodIdentityFacts | None:
    """The pod identity association of a listed one; None if it is gone."""
    eks = account.client("eks")
    try:
        answer = eks.describe_pod_identity_association(
            clusterName=cluster, associationId=listed["associationId"]
        )
    except eks.exceptions.ResourceNotFoundException:
        return None
    found: Any = answer["association"]
    tags = found.get("tags", {})
    return PodIdentityFacts(
        id=found["associationId"],
        arn=found["associationArn"],
        namespace=found["namespace"],
        service_account=found["serviceAccount"],
        role_arn=found["roleArn"],
        owned=names.owned(cluster, tags),
        tags=tags,
    )


def find_pod_identity(
    cluster: str, namespace: str, service_account: str, account: Account
) -> PodIdentityFacts | None:
    """The association of that service account; None if there is none."""
    listed = account.client("eks").list_pod_identity_associations(
        clusterName=cluster, namespace=namespace, serviceAccount=service_account
    )["associations"]
    return read_pod_identity(cluster, listed[0], account) if listed else None


def entry_changes(context: PlanContext) -> Iterator[AccessChange]:
    """Entries that the administrators of the file lack."""
    policy = admin_policy(context.observation.identity.partition)
    for arn in context.cluster.access.admins:
        entry = context.observation.access_entry(arn)
        reasons: tuple[str, ...] = ()
        if entry is None:
            reasons = ("is missing",)
        elif policy not in entry.policies:
            reasons = (f"lacks the policy {_ADMIN_POLICY}",)
        yield AccessChange(names.access_entry(arn), reasons, principal=arn, policy=policy)


def pod_identity_changes(context: PlanContext) -> Iterator[PodIdentityChange]:
    cluster = context.cluster
    for wanted in cluster.pod_identities:
        found = context.observation.pod_identity(wanted.namespace, wanted.service_account)
        part = names.pod_role(wanted.namespace, wanted.service_account)
        role = names.role_name(cluster.region, cluster.name, part)
        reasons: tuple[str, ...] = ()
        if found is None:
            reasons = ("is missing",)
        elif found.role_arn != wanted.role_arn and (
            wanted.role_arn is not None or not found.role_arn.endswith(f"/{role}")
        ):
            reasons = (f"gives {found.role_arn}, not {wanted.role_arn or role}",)
        yield PodIdentityChange(
            names.pod_identity(wanted.namespace, wanted.service_account),
            reasons,
            namespace=wanted.namespace,
            service_account=wanted.service_account,
            role_arn=wanted.role_arn or "",
        )


def ensure_entries(work: Work) -> None:
    work.attempt_each(AccessChange, "let in", _ensure_entry)


def delete_entries(work: Work) -> None:
    work.attempt_each(Deletion, "take away", _delete_entry)


def ensure_pod_identities(work: Work) -> None:
    work.attempt_each(PodIdentityChange, "associate", _ensure_pod_identity)


def delete_pod_identities(work: Work) -> None:
    eks, cluster = work.account.client("eks"), work.cluster.name

    def delete(deletion: Deletion) -> bool:
        return work.delete_when_unused(
            deletion.resource,
            lambda: eks.delete_pod_identity_association(clusterName=cluster, associationId=deletion.id),
        )

    work.delete_all(Deletion, delete)


def _ensure_entry(work: Work, change: AccessChange) -> Iterator[str]:
    eks, cluster, principal = work.account.client("eks"), work.cluster.name, change.principal
    found = read_access_entry(cluster, principal, work.account)
    if found is not None and change.policy in found.policies:
        return
    if found is not None and not found.owned:
        raise StepFailedError(
            f"the cluster has an access entry of {principal} that provision did not make",
            fix="take it out of `access.admins`, or delete the entry",
        )
    if found is None:
        work.check_cancelled()
        tags = work.tags(change.resource)
        eks.create_access_entry(clusterName=cluster, principalArn=principal, type=_STANDARD, tags=tags)
        yield f"made an access entry for {principal}"
    work.once_there(
        change.resource,
        "associate the policy",
        lambda: eks.associate_access_policy(
            clusterName=cluster,
            principalArn=principal,
            policyArn=change.policy,
            accessScope={"type": "cluster"},
        ),
    )
    yield "is administrator of the cluster"


def _delete_entry(work: Work, deletion: Deletion) -> Iterator[str]:
    eks, cluster = work.account.client("eks"), work.cluster.name
    if unless_missing(lambda: eks.delete_access_entry(clusterName=cluster, principalArn=deletion.id)):
        yield f"deleted the access entry of {deletion.id}"


def _ensure_pod_identity(work: Work, change: PodIdentityChange) -> Iterator[str]:
    eks, name, resource = work.account.client("eks"), work.cluster.name, change.resource
    namespace, account = change.namespace, change.service_account
    role = change.role_arn or find_role(work, names.pod_role(namespace, account)).arn
    found = find_pod_identity(name, namespace, account, work.account)
    if found is None:
        work.once_known(
            resource,
            "associate",
            lambda: eks.create_pod_identity_association(
                clusterName=name,
                namespace=namespace,
                serviceAccount=account,
                roleArn=role,
                tags=work.tags(resource),
            ),
        )
        yield f"gives it {role}"
        return
    work.refuse_not_owned(resource, found)
    if found.role_arn != role:
        work.once_known(
            resource,
            "associate",
            lambda: eks.update_pod_identity_association(
                clusterName=name, associationId=found.id, roleArn=role
            ),
        )
        yield f"gives it {role} instead of {found.role_arn}"
