"""Add-ons. One that is a Deployment is DEGRADED until there is a node for it."""

from __future__ import annotations

import json
from typing import Any

from tests.aws.eks import rules
from tests.aws.eks.identities import associate_for_addon, drop_addon_associations
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
from tests.aws.eks.versions import ADDONS, NEEDS_NODES, default_addon_version, minors_of


def create_addon(eks: Eks, params: dict[str, Any]) -> dict[str, Any]:
    cluster, name = eks.cluster(params["clusterName"]), params["addonName"]
    there = cluster.addons.get(name)
    if repeated(there, params):
        assert there is not None
        return {"addon": there.shown()}
    if there is not None:
        raise in_use("Addon already exists.")
    eks.ready_cluster(cluster.name)
    if name not in ADDONS:
        raise invalid(
            f"Addon {name} specified is not supported in {cluster.body['version']} kubernetes version"
        )
    version = params.get("addonVersion") or default_addon_version(name, cluster.body["version"])
    _require_version(cluster, name, version)
    _require_values(params)
    made = Resource(_body(eks, cluster, name, version, params), *split(params))
    made.body["podIdentityAssociations"] = associate_for_addon(
        eks, cluster, made.body["addonArn"], params.get("podIdentityAssociations", [])
    )
    cluster.addons[name] = made
    made.pass_through("CREATING", eks.states.looks("addon"), lambda: _settle(eks, cluster, made))
    return {"addon": made.shown()}


def _require_version(cluster: Cluster, name: str, version: str) -> None:
    if cluster.body["version"] not in minors_of(name, version):
        raise invalid(
            f"Addon version specified is not supported: {name} {version} with {cluster.body['version']}"
        )


def _require_values(params: dict[str, Any]) -> None:
    try:
        json.loads(params.get("configurationValues") or "{}")
    except ValueError:
        raise invalid("ConfigurationValue provided in request is not supported: it is no JSON") from None


def _body(eks: Eks, cluster: Cluster, name: str, version: str, params: dict[str, Any]) -> dict[str, Any]:
    body = {
        "addonName": name,
        "clusterName": cluster.name,
        "status": "CREATING",
        "addonVersion": version,
        "health": {"issues": []},
        "addonArn": eks.arn("addon", cluster.name, name, new_id()),
        "createdAt": now(),
        "modifiedAt": now(),
        "tags": dict(params.get("tags", {})),
        "publisher": "eks",
        "owner": "aws",
    }
    if "serviceAccountRoleArn" in params:
        rules.require_role_exists(params["serviceAccountRoleArn"])
    return body | {k: params[k] for k in ("serviceAccountRoleArn", "configurationValues") if k in params}


def _settle(eks: Eks, cluster: Cluster, addon: Resource) -> None:
    """Final state of the add-on: failed as `states` demands, DEGRADED without a node, or ACTIVE."""
    name = addon.body["addonName"]
    failure = eks.states.addon_failures.get(name)
    if failure is not None:
        _ail(addon, failure.status, failure.code, failure.message)
    elif name in NEEDS_NODES and not has_nodes(cluster):
        message = "The add-on is unhealthy because it doesn't have the desired number of replicas."
        _ail(addon, "DEGRADED", "InsufficientNumberOfReplicas", message)
    else:
        addon.body |= {"status": "ACTIVE", "health": {"issues": []}}


def _ail(addon: Resource, status: str, code: str, message: str) -> None:
    addon.body |= {
        "status": status,
        "health": {"issues": [{"code": code, "message": message, "resourceIds": []}]},
    }


def has_nodes(cluster: Cluster) -> bool:
    groups = (each.body for each in cluster.nodegroups.values())
    return any(
        g["status"] in {"ACTIVE", "UPDATING", "DEGRADED"} and g["scalingConfig"]["desiredSize"]
        for g in groups
    )


def _found(eks: Eks, params: dict[str, Any]) -> tuple[Cluster, Resource]:
    cluster, name = eks.cluster(params["clusterName"]), params["addonName"]
    return cluster, found(cluster.addons, name, f"No addon: {name} found in cluster: {cluster.name}")


def describe_addon(eks: Eks, params: dict[str, Any]) -> dict[str, Any]:
    cluster, addon = _found(eks, params)
    eks.look(addon)
    _, addon = _found(eks, params)
    if addon.after is None and addon.status in {"ACTIVE", "DEGRADED"}:
        _settle(eks, cluster, addon)
    return {"addon": addon.shown()}


def list_addons(eks: Eks, params: dict[str, Any]) -> dict[str, Any]:
    return list_living(eks, eks.cluster(params["clusterName"]).addons, "addons", params)


def delete_addon(eks: Eks, params: dict[str, Any]) -> dict[str, Any]:
    cluster, addon = _found(eks, params)
    if addon.status in {"CREATING", "UPDATING"}:
        raise refused(f"Addon {addon.body['addonName']} cannot be deleted while it is {addon.status}")

    def vanish() -> None:
        drop_addon_associations(cluster, addon.body["addonArn"])
        del cluster.addons[addon.body["addonName"]]

    if addon.status != "DELETING":
        addon.pass_through("DELETING", eks.states.looks("delete"), vanish)
    return {"addon": addon.shown()}


def update_addon(eks: Eks, params: dict[str, Any]) -> dict[str, Any]:
    cluster, addon = _found(eks, params)
    eks.ready_cluster(cluster.name)
    if addon.status in {"CREATING", "UPDATING", "DELETING"}:
        raise in_use(f"Addon {addon.body['addonName']} is {addon.status}")
    names = {
        "addonVersion": "AddonVersion",
        "serviceAccountRoleArn": "ServiceAccountRoleArn",
        "resolveConflicts": "ResolveConflicts",
        "configurationValues": "ConfigurationValues",
        "podIdentityAssociations": "PodIdentityAssociations",
    }
    shown = {name: params[key] for key, name in names.items() if key in params}
    if not shown:
        raise invalid("No changes needed for the addon")
    if "addonVersion" in params:
        _require_version(cluster, addon.body["addonName"], params["addonVersion"])
    if "serviceAccountRoleArn" in params:
        rules.require_role_exists(params["serviceAccountRoleArn"])
    _require_values(params)
    kept: dict[str, Any] = {
        k: params[k] for k in ("addonVersion", "serviceAccountRoleArn", "configurationValues") if k in params
    }

    def change() -> None:
        addon.body.update(kept)
        if "podIdentityAssociations" in params:
            drop_addon_associations(cluster, addon.body["addonArn"])
            asked = params["podIdentityAssociations"]
            addon.body["podIdentityAssociations"] = associate_for_addon(
                eks, cluster, addon.body["addonArn"], asked
            )

    return start_update(eks, cluster, addon, "AddonUpdate", shown, change=change)
