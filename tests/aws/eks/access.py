"""Access entries and their policies: who may use the cluster's API."""

from __future__ import annotations

import re
from typing import Any

from moto.iam.models import iam_backends

from tests.aws.eks.resources import (
    ACCOUNT,
    Cluster,
    Eks,
    Resource,
    found,
    in_use,
    invalid,
    missing,
    new_id,
    now,
    page,
    refused,
    repeated,
    split,
)

_POLICY = "arn:aws:eks::aws:cluster-access-policy/"
POLICIES = tuple(
    f"AmazonEKS{name}Policy" for name in ("ClusterAdmin", "Admin", "Edit", "View", "AdminView", "AutoNode")
)
ADMIN = f"{_POLICY}AmazonEKSClusterAdminPolicy"


def _cluster(eks: Eks, name: str) -> Cluster:
    cluster = eks.cluster(name)
    if cluster.body["accessConfig"]["authenticationMode"] == "CONFIG_MAP":
        raise refused("The cluster's authentication mode must be set to one of [API, API_AND_CONFIG_MAP]")
    return cluster


def _entry(eks: Eks, cluster: Cluster, principal: str, kind: str, tags: dict[str, str]) -> Resource:
    path = principal.partition(":iam::")[2].partition(":")[2]
    what, _, name = path.partition("/")
    user = principal if what == "user" else f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/{{{{SessionName}}}}"
    return Resource(
        {
            "clusterName": cluster.name,
            "principalArn": principal,
            "kubernetesGroups": [],
            "accessEntryArn": eks.arn("access-entry", cluster.name, what, ACCOUNT, name, new_id()),
            "createdAt": now(),
            "modifiedAt": now(),
            "tags": tags,
            "username": "system:node:{{EC2PrivateDNSName}}" if kind == "EC2_LINUX" else user,
            "type": kind,
        }
    )


def admit_creator(eks: Eks, cluster: Cluster) -> None:
    """Make the creator of the cluster its administrator."""
    cluster.entries[eks.caller] = _entry(eks, cluster, eks.caller, "STANDARD", {})
    cluster.policies[eks.caller] = {ADMIN: _association(ADMIN, {"type": "cluster", "namespaces": []})}


def admit_nodes(eks: Eks, cluster: Cluster, role: str, kind: str) -> None:
    """Create the entry of a role of a managed node group or Fargate profile, as EKS does."""
    if cluster.body["accessConfig"]["authenticationMode"] != "CONFIG_MAP" and role not in cluster.entries:
        cluster.entries[role] = _entry(eks, cluster, role, kind, {})


def create_access_entry(eks: Eks, params: dict[str, Any]) -> dict[str, Any]:
    cluster, principal = _cluster(eks, params["clusterName"]), params["principalArn"]
    there = cluster.entries.get(principal)
    if repeated(there, params):
        assert there is not None
        return {"accessEntry": there.shown()}
    if there is not None:
        raise in_use("The specified access entry resource is already in use on this cluster.")
    eks.ready_cluster(cluster.name)
    _require_principal(principal)
    kind = params.get("type", "STANDARD")
    if kind not in {"STANDARD", "EC2_LINUX", "EC2_WINDOWS", "FARGATE_LINUX", "EC2", "HYBRID_LINUX"}:
        raise invalid(f"The specified type is invalid: {kind}")
    made = _entry(eks, cluster, principal, kind, dict(params.get("tags", {})))
    made.body["kubernetesGroups"] = list(params.get("kubernetesGroups", []))
    made.body["username"] = params.get("username", made.body["username"])
    made.request, made.token = split(params)
    cluster.entries[principal] = made
    return {"accessEntry": made.shown()}


def _require_principal(arn: str) -> None:
    """Refuse principals of the account that do not exist in IAM, as EKS does."""
    form = re.fullmatch(r"arn:aws:iam::(\d{12}):(user|role)/(?:.*/)?([\w+=,.@-]+)", arn)
    if form is None:
        raise invalid("The specified principalArn is invalid: invalid principal.")
    account, kind, name = form.groups()
    iam = iam_backends[ACCOUNT]["aws"]
    known = iam.users if kind == "user" else {role.name: role for role in iam.roles.values()}
    if account == ACCOUNT and name not in known:
        raise invalid("The specified principalArn is invalid: invalid principal.")


def describe_access_entry(eks: Eks, params: dict[str, Any]) -> dict[str, Any]:
    return {"accessEntry": _found(eks, params)[1].shown()}


def _found(eks: Eks, params: dict[str, Any]) -> tuple[Cluster, Resource]:
    cluster, principal = _cluster(eks, params["clusterName"]), params["principalArn"]
    message = f"The specified principalArn could not be found. You can view your available access entries: {principal}"
    return cluster, found(cluster.entries, principal, message)


def list_access_entries(eks: Eks, params: dict[str, Any]) -> dict[str, Any]:
    cluster, policy = _cluster(eks, params["clusterName"]), params.get("associatedPolicyArn")
    names = [each for each in cluster.entries if policy is None or policy in cluster.policies.get(each, {})]
    return page(names, "accessEntries", params)


def update_access_entry(eks: Eks, params: dict[str, Any]) -> dict[str, Any]:
    _, entry = _found(eks, params)
    entry.body |= {key: params[key] for key in ("kubernetesGroups", "username") if key in params}
    entry.body["modifiedAt"] = now()
    return {"accessEntry": entry.shown()}


def delete_access_entry(eks: Eks, params: dict[str, Any]) -> dict[str, Any]:
    cluster, entry = _found(eks, params)
    del cluster.entries[entry.body["principalArn"]]
    cluster.policies.pop(entry.body["principalArn"], None)
    return {}


def _association(policy: str, scope: dict[str, Any]) -> dict[str, Any]:
    return {"policyArn": policy, "accessScope": scope, "associatedAt": now(), "modifiedAt": now()}


def associate_access_policy(eks: Eks, params: dict[str, Any]) -> dict[str, Any]:
    cluster, entry = _found(eks, params)
    policy, scope = params["policyArn"], params["accessScope"]
    if policy.removeprefix(_POLICY) not in POLICIES:
        raise invalid("The specified policyArn is invalid: invalid policy.")
    if entry.body["type"] != "STANDARD":
        raise refused(
            f"Access policies cannot be associated with an access entry of type {entry.body['type']}"
        )
    if scope.get("type") == "namespace" and not scope.get("namespaces"):
        raise invalid("The specified namespace scope is invalid: needs a namespace")
    made = _association(
        policy, {"type": scope.get("type", "cluster"), "namespaces": scope.get("namespaces", [])}
    )
    cluster.policies.setdefault(entry.body["principalArn"], {})[policy] = made
    return {
        "clusterName": cluster.name,
        "principalArn": entry.body["principalArn"],
        "associatedAccessPolicy": made,
    }


def list_associated_access_policies(eks: Eks, params: dict[str, Any]) -> dict[str, Any]:
    cluster, entry = _found(eks, params)
    principal = entry.body["principalArn"]
    made = cluster.policies.get(principal, {})
    one = page(made, "names", params)
    names = one.pop("names")
    rows = [made[name] for name in names]
    return {"clusterName": cluster.name, "principalArn": principal, "associatedAccessPolicies": rows, **one}


def disassociate_access_policy(eks: Eks, params: dict[str, Any]) -> dict[str, Any]:
    cluster, entry = _found(eks, params)
    made = cluster.policies.get(entry.body["principalArn"], {})
    if made.pop(params["policyArn"], None) is None:
        raise missing("The specified policyArn is not associated with the access entry.")
    return {}


def list_access_policies(_eks: Eks, params: dict[str, Any]) -> dict[str, Any]:
    one = page(POLICIES, "names", params)
    names = one.pop("names")
    return {"accessPolicies": [{"name": name, "arn": _POLICY + name} for name in names], **one}
