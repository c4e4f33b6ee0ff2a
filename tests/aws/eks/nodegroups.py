"""Managed node groups: validated as AWS does, slow, and failing if a node could not join."""

from __future__ import annotations

from typing import Any

from tests.aws.eks import rules
from tests.aws.eks.access import admit_nodes
from tests.aws.eks.clusters import add_interface, remove_interfaces
from tests.aws.eks.resources import (
    Cluster,
    Eks,
    Resource,
    found,
    in_use,
    invalid,
    list_living,
    new_id,
    now,
    refused,
    repeated,
    split,
)
from tests.aws.eks.updates import start_update
from tests.aws.eks.versions import CALENDAR


def release_of(version: str) -> str:
    return f"{CALENDAR[version][0]}-20261105"


def create_nodegroup(eks: Eks, params: dict[str, Any]) -> dict[str, Any]:
    cluster, name = eks.cluster(params["clusterName"]), params["nodegroupName"]
    there = cluster.nodegroups.get(name)
    if repeated(there, params):
        assert there is not None
        return {"nodegroup": there.shown()}
    if there is not None:
        raise in_use(f"NodeGroup already exists with name {name} and cluster name {cluster.name}")
    eks.ready_cluster(cluster.name)
    _check(eks, cluster, params)
    request, token = split(params)
    group = Resource(_body(eks, cluster, params), request, token)
    cluster.nodegroups[name] = group
    admit_nodes(eks, cluster, params["nodeRole"], "EC2_LINUX")
    shown = group.shown()
    group.pass_through("CREATING", eks.states.looks("nodegroup"), lambda: _join(eks, cluster, group))
    return {"nodegroup": shown}


def _check(eks: Eks, cluster: Cluster, params: dict[str, Any]) -> None:
    subnets = rules.subnets_of(eks, params["subnets"])
    if any(subnet.vpc_id != cluster.body["resourcesVpcConfig"]["vpcId"] for subnet in subnets):
        raise invalid("Subnets are not in the VPC of the cluster")
    rules.require_role(eks, params["nodeRole"], "ec2.amazonaws.com", "nodeRole")
    version = params.get("version", cluster.body["version"])
    if version not in CALENDAR or _minor(version) > _minor(cluster.body["version"]):
        raise invalid(
            f"Requested Nodegroup version {version} is not supported by cluster {cluster.body['version']}"
        )
    if _minor(cluster.body["version"]) - _minor(version) > 3:
        raise invalid(
            f"Requested Nodegroup version {version} is too old for cluster {cluster.body['version']}"
        )
    _check_scaling(params.get("scalingConfig", {}))
    known = {each["InstanceType"] for each in rules.ec2_of(eks).describe_instance_type_offerings()}
    for each in params.get("instanceTypes", []):
        if each not in known:
            raise invalid(f"The following supplied instance types do not exist: [{each}]")
    for zone in {subnet.availability_zone for subnet in subnets}:
        for each in params.get("instanceTypes", []):
            if zone not in eks.states.offers.get(each, (zone,)):
                raise invalid(f"Your requested instance type ({each}) is not supported in {zone}")


def _minor(version: str) -> int:
    return int(version.partition(".")[2])


def _check_scaling(scaling: dict[str, int]) -> None:
    least, most, wanted = (scaling.get(key, 2) for key in ("minSize", "maxSize", "desiredSize"))
    if least > wanted:
        raise invalid(f"Minimum capacity {least} can't be greater than desired size {wanted}")
    if wanted > most:
        raise invalid(f"desired capacity {wanted} can't be greater than max size {most}")


def _body(eks: Eks, cluster: Cluster, params: dict[str, Any]) -> dict[str, Any]:
    version = params.get("version", cluster.body["version"])
    own = new_id()
    body = {
        "nodegroupName": params["nodegroupName"],
        "nodegroupArn": eks.arn("nodegroup", cluster.name, params["nodegroupName"], own),
        "clusterName": cluster.name,
        "version": version,
        "releaseVersion": params.get("releaseVersion", release_of(version)),
        "createdAt": now(),
        "modifiedAt": now(),
        "status": "CREATING",
        "capacityType": params.get("capacityType", "ON_DEMAND"),
        "scalingConfig": {"minSize": 1, "maxSize": 2, "desiredSize": 2, **params.get("scalingConfig", {})},
        "instanceTypes": params.get("instanceTypes", ["t3.medium"]),
        "subnets": params["subnets"],
        "amiType": params.get("amiType", "AL2023_x86_64_STANDARD"),
        "nodeRole": params["nodeRole"],
        "diskSize": params.get("diskSize", 20),
        "health": {"issues": []},
        "updateConfig": params.get("updateConfig", {"maxUnavailable": 1}),
        "resources": {"autoScalingGroups": [{"name": f"eks-{params['nodegroupName']}-{own}"}]},
        "tags": dict(params.get("tags", {})),
    }
    body |= {
        key: params[key] for key in ("labels", "taints", "remoteAccess", "launchTemplate") if params.get(key)
    }
    return body


def _join(eks: Eks, cluster: Cluster, group: Resource) -> None:
    """End CREATING: ACTIVE with an interface per node, or a failure that `states` demands or that a node would have."""
    name = group.body["nodegroupName"]
    failure = eks.states.nodegroup_failures.get(name)
    if failure is not None:
        _ail(group, failure.status, failure.code, failure.message)
    elif (
        "vpc-cni" not in cluster.addons
        and not cluster.self_managed_addons
        and group.body["scalingConfig"]["desiredSize"]
    ):
        message = "Unhealthy nodes in the kubernetes cluster"
        _ail(group, "CREATE_FAILED", "NodeCreationFailure", message)
    else:
        group.body["status"] = "ACTIVE"
        _attach_nodes(eks, cluster, group)


def _ail(group: Resource, status: str, code: str, message: str) -> None:
    group.body["status"] = status
    issue = {
        "code": code,
        "message": message,
        "resourceIds": [group.body["resources"]["autoScalingGroups"][0]["name"]],
    }
    group.body["health"] = {"issues": [issue]}


def _attach_nodes(eks: Eks, cluster: Cluster, group: Resource) -> None:
    """Add one interface per node, in the subnets in turn and in the cluster's security group."""
    mark = f"node of {group.body['nodegroupArn']}"
    remove_interfaces(eks, mark)
    subnets = rules.subnets_of(eks, group.body["subnets"])
    security = [cluster.body["resourcesVpcConfig"]["clusterSecurityGroupId"]]
    for index in range(group.body["scalingConfig"]["desiredSize"]):
        add_interface(eks, subnets[index % len(subnets)], security, mark)


def _found(eks: Eks, params: dict[str, Any]) -> tuple[Cluster, Resource]:
    cluster, name = eks.cluster(params["clusterName"]), params["nodegroupName"]
    return cluster, found(cluster.nodegroups, name, f"No node group found for name: {name}.")


def describe_nodegroup(eks: Eks, params: dict[str, Any]) -> dict[str, Any]:
    _, group = _found(eks, params)
    eks.look(group)
    _, group = _found(eks, params)
    if group.status == "DEGRADED" and group.body["nodegroupName"] not in eks.states.nodegroup_failures:
        group.body |= {"status": "ACTIVE", "health": {"issues": []}}
    return {"nodegroup": group.shown()}


def list_nodegroups(eks: Eks, params: dict[str, Any]) -> dict[str, Any]:
    return list_living(eks, eks.cluster(params["clusterName"]).nodegroups, "nodegroups", params)


def delete_nodegroup(eks: Eks, params: dict[str, Any]) -> dict[str, Any]:
    cluster, group = _found(eks, params)
    name = group.body["nodegroupName"]
    if group.status in {"CREATING", "UPDATING"}:
        raise in_use(f"Nodegroup {name} cannot be deleted while it is {group.status}")

    def vanish() -> None:
        remove_interfaces(eks, f"node of {group.body['nodegroupArn']}")
        del cluster.nodegroups[name]
        if not any(each.body["nodeRole"] == group.body["nodeRole"] for each in cluster.nodegroups.values()):
            cluster.entries.pop(group.body["nodeRole"], None)

    if group.status != "DELETING":
        group.pass_through("DELETING", eks.states.looks("delete"), vanish)
    return {"nodegroup": group.shown()}


def _updatable(eks: Eks, params: dict[str, Any]) -> tuple[Cluster, Resource]:
    cluster, group = _found(eks, params)
    eks.ready_cluster(cluster.name)
    if group.status == "UPDATING":
        raise in_use(f"Nodegroup {group.body['nodegroupName']} has an update in progress")
    if group.status not in {"ACTIVE", "DEGRADED"}:
        raise refused(
            f"Nodegroup {group.body['nodegroupName']} is not in a state to be updated: {group.status}"
        )
    return cluster, group


def update_nodegroup_config(eks: Eks, params: dict[str, Any]) -> dict[str, Any]:
    cluster, group = _updatable(eks, params)
    new: dict[str, Any] = {
        "labels": dict(group.body.get("labels", {})),
        "taints": list(group.body.get("taints", [])),
    }
    shown: dict[str, Any] = {}
    labels, taints = params.get("labels", {}), params.get("taints", {})
    if labels:
        new["labels"] |= labels.get("addOrUpdateLabels", {})
        new["labels"] = {k: v for k, v in new["labels"].items() if k not in labels.get("removeLabels", [])}
        both = (("LabelsToAdd", "addOrUpdateLabels"), ("LabelsToRemove", "removeLabels"))
        shown |= {name: labels[key] for name, key in both if key in labels}
    if taints:
        gone = {(t["key"], t["effect"]) for kind in taints.values() for t in kind}
        new["taints"] = [t for t in new["taints"] if (t["key"], t["effect"]) not in gone]
        new["taints"] += taints.get("addOrUpdateTaints", [])
        both = (("TaintsToAdd", "addOrUpdateTaints"), ("TaintsToRemove", "removeTaints"))
        shown |= {name: taints[key] for name, key in both if key in taints}
    if "scalingConfig" in params:
        new["scalingConfig"] = {**group.body["scalingConfig"], **params["scalingConfig"]}
        _check_scaling(new["scalingConfig"])
        shown |= {key[0].upper() + key[1:]: str(value) for key, value in params["scalingConfig"].items()}
    if "updateConfig" in params:
        new["updateConfig"] = params["updateConfig"]
        shown |= {key[0].upper() + key[1:]: str(value) for key, value in params["updateConfig"].items()}
    if not shown:
        raise invalid("No changes needed for the node group")

    def change() -> None:
        group.body.update(new)
        for empty in [key for key in ("labels", "taints") if not group.body[key]]:
            del group.body[empty]
        _attach_nodes(eks, cluster, group)

    return start_update(eks, cluster, group, "ConfigUpdate", shown, change=change)


def update_nodegroup_version(eks: Eks, params: dict[str, Any]) -> dict[str, Any]:
    cluster, group = _updatable(eks, params)
    version = params.get("version", cluster.body["version"])
    if version not in CALENDAR or _minor(version) > _minor(cluster.body["version"]):
        raise invalid(
            f"Requested Nodegroup version {version} is not supported by cluster {cluster.body['version']}"
        )
    if _minor(version) < _minor(group.body["version"]):
        raise invalid(f"Nodegroup version cannot be lowered from {group.body['version']} to {version}")
    release = params.get("releaseVersion", release_of(version))
    shown = {"Version": version, "ReleaseVersion": release}
    change = {"version": version, "releaseVersion": release}
    return start_update(eks, cluster, group, "VersionUpdate", shown, change=lambda: group.body.update(change))
