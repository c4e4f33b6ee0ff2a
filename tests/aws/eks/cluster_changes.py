"""Updates of a cluster, one kind of change at a time."""

from __future__ import annotations

from typing import Any

from tests.aws.eks import rules
from tests.aws.eks.clusters import log_setup
from tests.aws.eks.resources import Cluster, Eks, in_use, invalid, refused
from tests.aws.eks.updates import start_update
from tests.aws.eks.versions import CALENDAR


def update_cluster_config(eks: Eks, params: dict[str, Any]) -> dict[str, Any]:
    cluster = _updatable(eks, params["name"])
    body = cluster.body
    asked = {key: value for key, value in params.items() if key not in {"name", "clientRequestToken"}}
    if len(asked) != 1:
        raise invalid("Only one type of update can be allowed per request")
    ((what, value),) = asked.items()
    if what == "logging":
        on = tuple(t for row in body["logging"]["clusterLogging"] if row["enabled"] for t in row["types"])
        new = log_setup(value["clusterLogging"], on)
        if new == body["logging"]:
            raise invalid("No changes needed for the logging config provided")
        shown = {"ClusterLogging": value}
        return start_update(
            eks, cluster, cluster, "LoggingUpdate", shown, change=lambda: body.update(logging=new)
        )
    if what == "resourcesVpcConfig":
        return _update_network(eks, cluster, value)
    if what in {"accessConfig", "upgradePolicy"}:
        return _update_mode(eks, cluster, what, value)
    if what == "deletionProtection":
        change = lambda: body.update(deletionProtection=value)  # noqa: E731 - an answer to `end`
        return start_update(
            eks, cluster, cluster, "DeletionProtectionUpdate", {"DeletionProtection": value}, change=change
        )
    raise invalid(f"the tests' EKS changes no {what}")


def _update_network(eks: Eks, cluster: Cluster, asked: dict[str, Any]) -> dict[str, Any]:
    config = cluster.body["resourcesVpcConfig"]
    new = {**config, **asked}
    if {"subnetIds", "securityGroupIds"} & set(asked) and {"endpointPublicAccess", "publicAccessCidrs"} & set(
        asked
    ):
        raise invalid("Only one type of update can be allowed per request")
    if set(new["subnetIds"]) != set(config["subnetIds"]):
        subnets = rules.subnets_of(eks, new["subnetIds"])
        if subnets[0].vpc_id != config["vpcId"]:
            raise invalid("Provided subnets must belong to the VPC of the cluster")
        rules.require_zones(eks, cluster.name, subnets)
    rules.require_security_groups(eks, new["securityGroupIds"])
    rules.require_cidrs(new["publicAccessCidrs"])
    if not new["endpointPublicAccess"] and not new["endpointPrivateAccess"]:
        raise invalid("Private and public endpoint access cannot be disabled at the same time")
    if new == config:
        raise invalid("Cluster is already at the desired configuration")
    network = {"subnetIds": "Subnets", "securityGroupIds": "SecurityGroups"}
    names = network | {key: key[0].upper() + key[1:] for key in asked if key not in network}
    kind = "VpcConfigUpdate" if set(network) & set(asked) else "EndpointAccessUpdate"
    shown = {names[key]: value for key, value in asked.items()}
    return start_update(eks, cluster, cluster, kind, shown, change=lambda: config.update(new))


def _update_mode(eks: Eks, cluster: Cluster, what: str, value: dict[str, Any]) -> dict[str, Any]:
    there = cluster.body[what]
    order = ("CONFIG_MAP", "API_AND_CONFIG_MAP", "API")
    if what == "accessConfig":
        old, new = there["authenticationMode"], value["authenticationMode"]
        if order.index(new) < order.index(old):
            raise invalid(f"Unsupported authentication mode update from {old} to {new}")
    if {**there, **value} == there:
        raise invalid("Cluster is already at the desired configuration")
    kind, name = {
        "accessConfig": ("AccessConfigUpdate", "AuthenticationMode"),
        "upgradePolicy": ("UpgradePolicyUpdate", "UpgradePolicy"),
    }[what]
    return start_update(eks, cluster, cluster, kind, {name: value}, change=lambda: there.update(value))


def _updatable(eks: Eks, name: str) -> Cluster:
    cluster = eks.ready_cluster(name)
    if cluster.status == "UPDATING":
        raise in_use(f"Cannot update the cluster {name}: another update is in progress")
    return cluster


def update_cluster_version(eks: Eks, params: dict[str, Any]) -> dict[str, Any]:
    cluster, new = _updatable(eks, params["name"]), params["version"]
    old = cluster.body["version"]
    if new not in CALENDAR:
        raise invalid(f"unsupported Kubernetes version {new}")
    if new == old:
        raise invalid(f"Cluster is already at the desired Kubernetes version {new}")
    minors = list(CALENDAR)
    if minors.index(new) != minors.index(old) + 1:
        raise invalid(f"Unsupported Kubernetes minor version update from {old} to {new}")
    behind = [
        name
        for name, group in cluster.nodegroups.items()
        if int(new[2:]) - int(group.body["version"][2:]) > 3
    ]
    if behind:
        raise refused(
            f"Nodegroups {', '.join(behind)} must be updated first: their kubelet would be too old for {new}"
        )
    return start_update(
        eks,
        cluster,
        cluster,
        "VersionUpdate",
        {"Version": new},
        change=lambda: cluster.body.update(version=new),
    )


def associate_encryption_config(eks: Eks, params: dict[str, Any]) -> dict[str, Any]:
    cluster, config = _updatable(eks, params["clusterName"]), params["encryptionConfig"]
    if cluster.body.get("encryptionConfig"):
        raise refused("Encryption configuration is already associated with the cluster")
    for each in config:
        rules.require_key(eks, each["provider"]["keyArn"])
    change = lambda: cluster.body.update(encryptionConfig=config)  # noqa: E731 - an answer to `end`
    return start_update(
        eks, cluster, cluster, "AssociateEncryptionConfig", {"EncryptionConfig": config}, change=change
    )
