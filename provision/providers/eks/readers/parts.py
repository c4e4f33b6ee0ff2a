"""Reads what is in a cluster: node groups, Fargate profiles, add-ons, access entries, pod identities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from provision.providers.eks import names
from provision.providers.eks.aws.calls import together
from provision.providers.eks.facts import (
    AccessEntryFacts,
    AddonFacts,
    FargateFacts,
    NodeGroupFacts,
    PodIdentityFacts,
)
from provision.providers.eks.readers.cluster import issues

if TYPE_CHECKING:
    from provision.providers.eks.aws.account import Account

T = TypeVar("T")

_CAPACITY = {"ON_DEMAND": "on-demand", "SPOT": "spot"}
_EFFECT = {"NO_SCHEDULE": "NoSchedule", "NO_EXECUTE": "NoExecute", "PREFER_NO_SCHEDULE": "PreferNoSchedule"}
_STANDARD = "STANDARD"  # access entries of people; the others are of nodes, made by EKS


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Each sorted by name."""

    node_groups: tuple[NodeGroupFacts, ...]
    fargate_profiles: tuple[FargateFacts, ...]
    addons: tuple[AddonFacts, ...]
    access_entries: tuple[AccessEntryFacts, ...]
    pod_identities: tuple[PodIdentityFacts, ...]


def read(cluster: str, account: Account) -> Parts:
    """All parts of the cluster, ours or not."""
    found: dict[str, tuple[Any, ...]] = {}

    def reading(kind: str, key: str, one: Callable[[str, Any, Account], object | None]) -> Callable[[], None]:
        def into() -> None:
            listed = _listed(account, kind, key, cluster)
            described = together([_call(one, cluster, name, account) for name in listed])
            found[kind] = tuple(part for part in described if part is not None)

        return into

    together(
        [
            reading("list_nodegroups", "nodegroups", read_node_group),
            reading("list_fargate_profiles", "fargateProfileNames", read_fargate_profile),
            reading("list_addons", "addons", read_addon),
            reading("list_access_entries", "accessEntries", read_access_entry),
            reading("list_pod_identity_associations", "associations", read_pod_identity),
        ]
    )
    return Parts(
        node_groups=found["list_nodegroups"],
        fargate_profiles=found["list_fargate_profiles"],
        addons=found["list_addons"],
        access_entries=found["list_access_entries"],
        pod_identities=found["list_pod_identity_associations"],
    )


def read_node_group(cluster: str, name: str, account: Account) -> NodeGroupFacts | None:
    """The node group; None if there is none."""
    eks = account.client("eks")
    try:
        found: Any = eks.describe_nodegroup(clusterName=cluster, nodegroupName=name)["nodegroup"]
    except eks.exceptions.ResourceNotFoundException:
        return None
    scaling, tags = found.get("scalingConfig", {}), found.get("tags", {})
    return NodeGroupFacts(
        name=name,
        arn=found["nodegroupArn"],
        status=found["status"],
        version=found.get("version", ""),
        release=found.get("releaseVersion", ""),
        created=found.get("createdAt"),
        owned=names.owned(cluster, tags),
        instance_types=tuple(found.get("instanceTypes") or ()),
        capacity=_CAPACITY.get(found.get("capacityType", ""), found.get("capacityType", "")),
        ami_type=found.get("amiType", ""),
        disk=found.get("diskSize") or 0,
        min=scaling.get("minSize", 0),
        desired=scaling.get("desiredSize", 0),
        max=scaling.get("maxSize", 0),
        labels=found.get("labels") or {},
        taints=tuple(sorted(map(_taint, found.get("taints") or ()))),
        subnets=tuple(found.get("subnets", ())),
        role_arn=found.get("nodeRole", ""),
        scaling_groups=tuple(
            one["name"] for one in (found.get("resources") or {}).get("autoScalingGroups") or ()
        ),
        health=issues((found.get("health") or {}).get("issues", ())),
        tags=tags,
    )


def read_fargate_profile(cluster: str, name: str, account: Account) -> FargateFacts | None:
    """The Fargate profile; None if there is none."""
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
        health=issues((found.get("health") or {}).get("issues", ())),
        tags=tags,
    )


def read_addon(cluster: str, name: str, account: Account) -> AddonFacts | None:
    """The add-on; None if there is none."""
    eks = account.client("eks")
    try:
        found: Any = eks.describe_addon(clusterName=cluster, addonName=name)["addon"]
    except eks.exceptions.ResourceNotFoundException:
        return None
    tags = found.get("tags", {})
    return AddonFacts(
        name=name,
        arn=found["addonArn"],
        status=found["status"],
        version=found.get("addonVersion", ""),
        created=found.get("createdAt"),
        owned=names.owned(cluster, tags),
        health=issues((found.get("health") or {}).get("issues", ())),
        tags=tags,
    )


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


def _listed(account: Account, operation: str, key: str, cluster: str) -> list[Any]:
    pages: Any = account.client("eks").get_paginator(operation)  # type: ignore[call-overload]
    return [one for page in pages.paginate(clusterName=cluster) for one in page[key]]


def _call(
    one: Callable[[str, Any, Account], T], cluster: str, name: Any, account: Account
) -> Callable[[], T]:
    return lambda: one(cluster, name, account)


def _taint(taint: Any) -> str:
    """As the file writes it."""
    value = f"={taint['value']}" if taint.get("value") else ""
    return f"{taint['key']}{value}:{_EFFECT[taint['effect']]}"
