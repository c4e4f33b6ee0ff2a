"""Clusters, and what AWS creates with each: a security group, interfaces in the subnets, an API server."""

from __future__ import annotations

import secrets
from typing import Any

from tests.aws.authority import authority
from tests.aws.eks import rules
from tests.aws.eks.access import admit_creator
from tests.aws.eks.resources import (
    Cluster,
    Eks,
    in_use,
    invalid,
    now,
    page,
    refused,
    repeated,
    short_id,
    split,
)
from tests.aws.eks.versions import CALENDAR, DEFAULT
from tests.aws.failures import AwsError
from tests.aws.kubernetes import KubernetesApi

LOG_TYPES = ("api", "audit", "authenticator", "controllerManager", "scheduler")


def create_cluster(eks: Eks, params: dict[str, Any]) -> dict[str, Any]:
    name = params["name"]
    there = eks.clusters.get(name)
    if repeated(there, params):
        assert there is not None
        return {"cluster": there.shown()}
    if there is not None:
        raise in_use(f"Cluster already exists with name: {name}")
    version = params.get("version", DEFAULT)
    if version not in CALENDAR:
        raise invalid(f"unsupported Kubernetes version {version}")
    if len(eks.clusters) >= eks.states.quota_of("L-1194D53C"):
        raise AwsError(
            "ResourceLimitExceededException", "Cluster limit exceeded for account.", clusterName=name
        )
    vpc = _checked_network(eks, name, params["resourcesVpcConfig"])
    rules.require_role(eks, params["roleArn"], "eks.amazonaws.com", "clusterRole")
    for each in params.get("encryptionConfig", []):
        rules.require_key(eks, each["provider"]["keyArn"])
    request, token = split(params)
    cluster = Cluster(_body(eks, params, version, vpc), request, token)
    cluster.self_managed_addons = params.get("bootstrapSelfManagedAddons", True)
    eks.clusters[name] = cluster
    _make_surroundings(eks, cluster)
    if cluster.body["accessConfig"]["bootstrapClusterCreatorAdminPermissions"]:
        admit_creator(eks, cluster)
    shown = cluster.shown()
    cluster.pass_through("CREATING", eks.states.looks("cluster"), lambda: _open(eks, cluster))
    return {"cluster": shown}


def _checked_network(eks: Eks, name: str, config: dict[str, Any]) -> str:
    subnets = rules.subnets_of(eks, config.get("subnetIds", []))
    if not subnets:
        raise invalid("subnetIds must not be empty")
    rules.require_zones(eks, name, subnets)
    rules.require_security_groups(eks, config.get("securityGroupIds", []))
    rules.require_cidrs(config.get("publicAccessCidrs", []))
    if not config.get("endpointPublicAccess", True) and not config.get("endpointPrivateAccess", False):
        raise invalid("Private and public endpoint access cannot be disabled at the same time")
    return str(subnets[0].vpc_id)


def _body(eks: Eks, params: dict[str, Any], version: str, vpc: str) -> dict[str, Any]:
    network, access = params.get("kubernetesNetworkConfig", {}), params.get("accessConfig", {})
    config = params["resourcesVpcConfig"]
    body = {
        "name": params["name"],
        "arn": eks.arn("cluster", params["name"]),
        "createdAt": now(),
        "version": version,
        "roleArn": params["roleArn"],
        "resourcesVpcConfig": {
            "subnetIds": list(config["subnetIds"]),
            "securityGroupIds": list(config.get("securityGroupIds", [])),
            "vpcId": vpc,
            "endpointPublicAccess": config.get("endpointPublicAccess", True),
            "endpointPrivateAccess": config.get("endpointPrivateAccess", False),
            "publicAccessCidrs": list(config.get("publicAccessCidrs", ["0.0.0.0/0"])),
        },
        "kubernetesNetworkConfig": {
            "serviceIpv4Cidr": rules.service_cidr(eks, vpc, network.get("serviceIpv4Cidr")),
            "ipFamily": network.get("ipFamily", "ipv4"),
            "elasticLoadBalancing": {"enabled": False},
        },
        "logging": log_setup(params.get("logging", {}).get("clusterLogging", [])),
        "status": "CREATING",
        "certificateAuthority": {},
        "platformVersion": "eks.3",
        "tags": dict(params.get("tags", {})),
        "health": {"issues": []},
        "accessConfig": {
            "bootstrapClusterCreatorAdminPermissions": access.get(
                "bootstrapClusterCreatorAdminPermissions", True
            ),
            "authenticationMode": access.get("authenticationMode", "CONFIG_MAP"),
        },
        "upgradePolicy": {"supportType": params.get("upgradePolicy", {}).get("supportType", "EXTENDED")},
        "deletionProtection": params.get("deletionProtection", False),
    }
    if params.get("encryptionConfig"):
        body["encryptionConfig"] = params["encryptionConfig"]
    return body


def log_setup(asked: list[dict[str, Any]], before: tuple[str, ...] = ()) -> dict[str, Any]:
    """EKS returns two rows, the enabled types and the disabled ones; an empty row is left out."""
    on = set(before)
    for row in asked:
        on = on | set(row["types"]) if row["enabled"] else on - set(row["types"])
    rows = (([each for each in LOG_TYPES if (each in on) is enabled], enabled) for enabled in (True, False))
    return {"clusterLogging": [{"types": types, "enabled": enabled} for types, enabled in rows if types]}


def _make_surroundings(eks: Eks, cluster: Cluster) -> None:
    """The cluster security group, which AWS tags, and an interface in each of the first two subnets."""
    ec2, name, config = rules.ec2_of(eks), cluster.name, cluster.body["resourcesVpcConfig"]
    group = ec2.create_security_group(
        f"eks-cluster-sg-{name}-{short_id()}",
        "EKS created security group applied to ENI that is attached to EKS Control Plane master nodes, as well as any "
        "managed workloads.",
        config["vpcId"],
        tags={
            "Name": f"eks-cluster-sg-{name}",
            f"kubernetes.io/cluster/{name}": "owned",
            "aws:eks:cluster-name": name,
        },
    )
    config["clusterSecurityGroupId"] = group.id
    for subnet in rules.subnets_of(eks, config["subnetIds"][:2]):
        add_interface(eks, subnet, [group.id], f"Amazon EKS {name}")


def add_interface(eks: Eks, subnet: Any, groups: list[str], description: str) -> Any:
    """Add an interface attached by AWS's own account."""
    made = rules.ec2_of(eks).create_network_interface(subnet, [], group_ids=groups, description=description)
    made.status = "in-use"
    return made


def remove_interfaces(eks: Eks, description: str) -> None:
    ec2 = rules.ec2_of(eks)
    for each in [eni for eni in ec2.enis.values() if eni.description == description]:
        ec2.delete_network_interface(each.id)


def _open(eks: Eks, cluster: Cluster) -> None:
    """Make the cluster ACTIVE, with an endpoint, a certificate authority and an issuer."""
    cluster.api = KubernetesApi(eks, cluster)
    cluster.body |= {
        "status": "ACTIVE",
        "endpoint": cluster.api.url,
        "certificateAuthority": {"data": authority().data},
        "identity": {
            "oidc": {
                "issuer": f"https://oidc.eks.{eks.region}.amazonaws.com/id/{secrets.token_hex(16).upper()}"
            }
        },
    }


def describe_cluster(eks: Eks, params: dict[str, Any]) -> dict[str, Any]:
    cluster = eks.cluster(params["name"])
    eks.look(cluster)
    return {"cluster": eks.cluster(params["name"]).shown()}


def list_clusters(eks: Eks, params: dict[str, Any]) -> dict[str, Any]:
    for cluster in list(eks.clusters.values()):
        if cluster.status == "DELETING":
            eks.look(cluster)
    return page(eks.clusters, "clusters", params)


def delete_cluster(eks: Eks, params: dict[str, Any]) -> dict[str, Any]:
    cluster = eks.cluster(params["name"])
    if cluster.nodegroups:
        raise in_use("Cluster has nodegroups attached")
    if cluster.fargate:
        raise in_use("Cluster has Fargate profiles attached")
    if cluster.body["deletionProtection"]:
        raise refused("Cluster has deletion protection enabled")
    if cluster.status in {"CREATING", "UPDATING"}:
        raise in_use(f"Cluster has an update in progress or is being created: {cluster.status}")
    if cluster.status != "DELETING":
        cluster.pass_through("DELETING", eks.states.looks("delete"), lambda: _close(eks, cluster))
    return {"cluster": cluster.shown()}


def _close(eks: Eks, cluster: Cluster) -> None:
    """Remove the cluster and what AWS created with it."""
    if cluster.api is not None:
        cluster.api.close()
    remove_interfaces(eks, f"Amazon EKS {cluster.name}")
    ec2 = rules.ec2_of(eks)
    group = cluster.body["resourcesVpcConfig"]["clusterSecurityGroupId"]
    # AWS leaves the group behind while it is in use.
    if not any(group in [each.id for each in eni.group_set] for eni in ec2.enis.values()):
        ec2.delete_security_group(group_id=group)
    del eks.clusters[cluster.name]
