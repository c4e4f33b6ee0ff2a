"""Fargate profiles: at most one per cluster is created or deleted at a time."""

from __future__ import annotations

from typing import Any

from tests.aws.eks import rules
from tests.aws.eks.access import admit_nodes
from tests.aws.eks.resources import (
    Cluster,
    Eks,
    Resource,
    found,
    invalid,
    list_living,
    new_id,
    now,
    refused,
    repeated,
    split,
)


def create_fargate_profile(eks: Eks, params: dict[str, Any]) -> dict[str, Any]:
    cluster, name = eks.cluster(params["clusterName"]), params["fargateProfileName"]
    there = cluster.fargate.get(name)
    if repeated(there, params):
        assert there is not None
        return {"fargateProfile": there.shown()}
    eks.ready_cluster(cluster.name)
    if there is not None:
        raise refused("A Fargate Profile already exists with this name in this cluster.")
    _require_calm(cluster, "create")
    selectors = params.get("selectors", [])
    if not selectors or len(selectors) > 5 or any("namespace" not in each for each in selectors):
        raise invalid("Fargate Profile requires one to five selectors, each with a namespace.")
    subnets = rules.subnets_of(eks, params.get("subnets", []))
    if any(subnet.vpc_id != cluster.body["resourcesVpcConfig"]["vpcId"] for subnet in subnets):
        raise invalid("Subnets are not in the VPC of the cluster")
    if any(rules.is_public(eks, subnet) for subnet in subnets):
        raise invalid(f"Subnet {subnets[0].id} provided in Fargate Profile is not a private subnet")
    role = params["podExecutionRoleArn"]
    rules.require_role(eks, role, "eks-fargate-pods.amazonaws.com", "podExecutionRole")
    body = {
        "fargateProfileName": name,
        "fargateProfileArn": eks.arn("fargateprofile", cluster.name, name, new_id()),
        "clusterName": cluster.name,
        "createdAt": now(),
        "podExecutionRoleArn": role,
        "subnets": params.get("subnets", cluster.body["resourcesVpcConfig"]["subnetIds"]),
        "selectors": selectors,
        "status": "CREATING",
        "tags": dict(params.get("tags", {})),
        "health": {"issues": []},
    }
    request, token = split(params)
    made = Resource(body, request, token)
    cluster.fargate[name] = made
    admit_nodes(eks, cluster, role, "FARGATE_LINUX")
    made.pass_through("CREATING", eks.states.looks("fargate"), lambda: made.body.update(status="ACTIVE"))
    return {"fargateProfile": made.shown()}


def _require_calm(cluster: Cluster, verb: str) -> None:
    for name, profile in cluster.fargate.items():
        if profile.status in {"CREATING", "DELETING"}:
            message = (
                f"Cannot {verb} Fargate Profile because cluster {cluster.name} currently has Fargate profile {name} "
                f"in status {profile.status}"
            )
            # The two operations declare different errors.
            raise refused(message) if verb == "create" else invalid(message)


def _found(eks: Eks, params: dict[str, Any]) -> tuple[Cluster, Resource]:
    cluster, name = eks.cluster(params["clusterName"]), params["fargateProfileName"]
    return cluster, found(cluster.fargate, name, f"No Fargate Profile found with name: {name}.")


def describe_fargate_profile(eks: Eks, params: dict[str, Any]) -> dict[str, Any]:
    eks.look(_found(eks, params)[1])
    return {"fargateProfile": _found(eks, params)[1].shown()}


def list_fargate_profiles(eks: Eks, params: dict[str, Any]) -> dict[str, Any]:
    return list_living(eks, eks.cluster(params["clusterName"]).fargate, "fargateProfileNames", params)


def delete_fargate_profile(eks: Eks, params: dict[str, Any]) -> dict[str, Any]:
    cluster, profile = _found(eks, params)
    if profile.status != "DELETING":
        _require_calm(cluster, "delete")

        def vanish() -> None:
            del cluster.fargate[profile.body["fargateProfileName"]]
            role = profile.body["podExecutionRoleArn"]
            if not any(each.body["podExecutionRoleArn"] == role for each in cluster.fargate.values()):
                cluster.entries.pop(role, None)

        profile.pass_through("DELETING", eks.states.looks("delete"), vanish)
    return {"fargateProfile": profile.shown()}
