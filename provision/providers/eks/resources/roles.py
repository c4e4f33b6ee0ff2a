"""IAM roles of the cluster, its nodes and its pods: read, compare, create, give policies, delete."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from provision.errors import StepFailedError
from provision.providers.eks import names
from provision.providers.eks.aws.calls import together
from provision.providers.eks.aws.errors import is_missing
from provision.providers.eks.facts import Dependent, RoleFacts
from provision.providers.eks.steps.planning import Change, Deletion

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provision.model.eks import EksCluster, PodIdentity
    from provision.providers.eks.aws.account import Account
    from provision.providers.eks.steps.execution import Work
    from provision.providers.eks.steps.planning import PlanContext

_PODS = "pods.eks.amazonaws.com"
_CLUSTER_POLICIES = ("AmazonEKSClusterPolicy",)
_NODE_POLICIES = (
    "AmazonEC2ContainerRegistryPullOnly",
    "AmazonEKSWorkerNodePolicy",
    "AmazonEKS_CNI_Policy",
    "AmazonSSMManagedInstanceCore",
)
_FARGATE_POLICIES = ("AmazonEKSFargatePodExecutionRolePolicy",)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleChange(Change):
    """A role: its name in IAM, which service assumes it, the ARNs of its policies. `exact`: others are detached."""

    name: str
    service: str  # "ec2.amazonaws.com"
    policies: tuple[str, ...]
    exact: bool = False


def role_parts(cluster: EksCluster) -> tuple[str, ...]:
    """The roles that the cluster needs and does not name itself, by part ("role-nodes")."""
    parts = [names.CLUSTER_ROLE]
    parts += [names.NODE_ROLE] if cluster.node_groups else []
    parts += [names.FARGATE_ROLE] if cluster.fargate_profiles else []
    return (*parts, *_pod_roles(cluster))


def roles(cluster: EksCluster, partition: str) -> tuple[RoleChange, ...]:
    """The same roles in full, without reasons."""
    machines = "ec2.amazonaws.com.cn" if partition == "aws-cn" else "ec2.amazonaws.com"
    services = {
        names.CLUSTER_ROLE: ("eks.amazonaws.com", _CLUSTER_POLICIES),
        names.NODE_ROLE: (machines, _NODE_POLICIES),
        names.FARGATE_ROLE: ("eks-fargate-pods.amazonaws.com", _FARGATE_POLICIES),
    }
    pods = _pod_roles(cluster)

    def role(part: str) -> RoleChange:
        name = names.role_name(cluster.region, cluster.name, part)
        if part in pods:
            policies = tuple(sorted(pods[part].policy_arns))
            return RoleChange(part, (), name=name, service=_PODS, policies=policies, exact=True)
        service, managed = services[part]
        policies = tuple(f"arn:{partition}:iam::aws:policy/{policy}" for policy in managed)
        return RoleChange(part, (), name=name, service=service, policies=policies)

    return tuple(map(role, role_parts(cluster)))


def _pod_roles(cluster: EksCluster) -> dict[str, PodIdentity]:
    return {
        names.pod_role(identity.namespace, identity.service_account): identity
        for identity in cluster.pod_identities
        if identity.role_arn is None
    }


def read_roles(cluster: EksCluster, account: Account) -> tuple[RoleFacts, ...]:
    """All roles below the cluster's path, and whatever has the name of one that it needs."""
    pages = account.client("iam").get_paginator("list_roles")
    path = names.role_path(account.region, cluster.name)
    below = [one["RoleName"] for page in pages.paginate(PathPrefix=path) for one in page["Roles"]]
    wanted = [names.role_name(account.region, cluster.name, part) for part in role_parts(cluster)]
    every = dict.fromkeys([*below, *wanted])
    found = together([partial(read_role, name, cluster, account) for name in every])
    return tuple(sorted((one for one in found if one is not None), key=lambda role: role.name))


def read_role(name: str, cluster: EksCluster, account: Account) -> RoleFacts | None:
    """The role of that name, whoever made it; its policies are read only if provision did."""
    iam = account.client("iam")
    try:
        role: Any = iam.get_role(RoleName=name)["Role"]
    except iam.exceptions.NoSuchEntityException:
        return None
    tags = names.tag_mapping(role.get("Tags", ()))
    path = names.role_path(account.region, cluster.name)
    owned = names.owned(cluster.name, tags) and role["Path"] == path
    return RoleFacts(
        name=name,
        arn=role["Arn"],
        id=role["RoleId"],
        part=tags.get(names.ROLE, ""),
        owned=owned,
        policies=_attached(name, account) if owned else (),
        tags=tags,
    )


def _attached(name: str, account: Account) -> tuple[str, ...]:
    """ARNs of the policies that are attached now, sorted; () if the role is gone."""
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


def changes(context: PlanContext) -> Iterator[RoleChange]:
    for wanted in roles(context.cluster, context.observation.identity.partition):
        reasons = tuple(_reasons(context.observation.role(wanted.name), wanted))
        yield RoleChange(
            wanted.resource,
            reasons,
            name=wanted.name,
            service=wanted.service,
            policies=wanted.policies,
            exact=wanted.exact,
        )


def _reasons(found: RoleFacts | None, wanted: RoleChange) -> Iterator[str]:
    if found is None:
        yield "is missing"
        return
    for policy in wanted.policies:
        if policy not in found.policies:
            yield f"lacks the policy {policy.rpartition('/')[2]}"
    if wanted.exact:
        for policy in found.policies:
            if policy not in wanted.policies:
                yield f"has the policy {policy.rpartition('/')[2]}, which is not in the file"


def surplus(context: PlanContext) -> Iterator[Deletion]:
    """Roles that provision made and that nothing in the file needs any more."""
    wanted = role_parts(context.cluster)
    for role in context.observation.roles:
        if role.owned and role.part not in wanted:
            yield Deletion(role.part or role.name, ("is not needed any more",), role.name)


def removals(context: PlanContext) -> Iterator[Deletion]:
    for role in context.observation.roles:
        if role.owned:
            yield Deletion(role.part or f"role {role.name}", (f"provision made it ({role.name})",), role.name)


def find_role(work: Work, part: str) -> RoleFacts:
    """The role for that part, which an earlier step has made; StepFailedError if there is none."""
    name = names.role_name(work.account.region, work.cluster.name, part)
    found = read_role(name, work.cluster, work.account)
    if found is None or not found.owned:
        raise StepFailedError(
            f"role {name} is {'missing' if found is None else 'not made by provision'}",
            fix="run the same command again",
        )
    return found


def ensure(work: Work) -> None:
    work.attempt_each(RoleChange, "create role", _ensure_role)


def _ensure_role(work: Work, change: RoleChange) -> Iterator[str]:
    iam, name = work.account.client("iam"), change.name
    found = read_role(name, work.cluster, work.account)
    if found is None:
        yield _create(work, change)
    elif not found.owned:
        raise StepFailedError(
            f"the account has a role {name} that provision did not make ({found.arn})",
            fix="delete that role if nothing uses it, or write another `name`",
        )
    attached = found.policies if found else ()
    for policy in change.policies:
        if policy not in attached:
            work.while_refused(
                change.resource,
                "attach a policy",
                partial(iam.attach_role_policy, RoleName=name, PolicyArn=policy),
                # Not where it is the policy that does not exist: that stays so.
                lambda error: is_missing(error) and name in str(error),
                "the new role",
            )
            yield f"attached {policy.rpartition('/')[2]}"
    for policy in attached if change.exact else ():
        if policy not in change.policies:
            work.check_cancelled()
            iam.detach_role_policy(RoleName=name, PolicyArn=policy)
            yield f"detached {policy.rpartition('/')[2]}"


def _create(work: Work, change: RoleChange) -> str:
    name = change.name

    def find() -> str | None:
        found = read_role(name, work.cluster, work.account)
        return found.arn if found and found.owned else None

    actions = ["sts:AssumeRole", "sts:TagSession"] if change.service == _PODS else ["sts:AssumeRole"]
    principal = {"Service": change.service}
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": principal, "Action": actions}],
    }
    work.create_once(
        change.resource,
        "create role",
        find=find,
        create=lambda: work.account.client("iam", once=True).create_role(
            RoleName=name,
            Path=names.role_path(work.account.region, work.cluster.name),
            AssumeRolePolicyDocument=json.dumps(trust),
            Description=f"made by provision for EKS cluster {work.cluster.name}",
            Tags=names.tag_list(work.tags(change.resource)),
        )["Role"]["Arn"],
    )
    return f"made {name}"


def delete(work: Work) -> None:
    work.delete_all(Deletion, partial(_delete_role, work))


def _delete_role(work: Work, deletion: Deletion) -> bool:
    """Detach policies, then delete. Inline policies and instance profiles of others are named as dependents."""
    iam, name = work.account.client("iam"), deletion.id

    def dependents() -> tuple[Dependent, ...]:
        profiles = iam.list_instance_profiles_for_role(RoleName=name)["InstanceProfiles"]
        inline = iam.list_role_policies(RoleName=name)["PolicyNames"]
        return (
            *(
                Dependent(f"instance profile {one['InstanceProfileName']}", vanishing=False)
                for one in profiles
            ),
            *(Dependent(f"its inline policy {one}", vanishing=False) for one in inline),
        )

    def detach_and_delete() -> None:
        for policy in _attached(name, work.account):
            work.check_cancelled()
            iam.detach_role_policy(RoleName=name, PolicyArn=policy)
        iam.delete_role(RoleName=name)

    return work.delete_when_unused(deletion.resource, detach_and_delete, dependents)
