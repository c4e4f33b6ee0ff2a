"""Write the ClusterConfig (eksctl.io/v1alpha5) for a cluster file. Pure.

It states what eksctl would otherwise choose: the AMI family, the authentication mode, the default add-ons and the type
of disks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import yaml

from provision.providers.eks.eksctl.ownership import tags

if TYPE_CHECKING:
    from provision.model.eks import EksCluster, FargateProfile, NodeGroup, PodIdentity, Subnets

_NAT = {"single": "Single", "per-zone": "HighlyAvailable", "none": "Disable"}
_AMI = {"AL2023": "AmazonLinux2023", "Bottlerocket": "Bottlerocket"}
_ADMIN = "eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"


def cluster_config(
    cluster: EksCluster, zones: tuple[str, ...], *, version: str | None = None
) -> dict[str, Any]:
    """The document. `zones`: of the VPC that eksctl creates; `version`: of an existing cluster, if it differs."""
    document: dict[str, Any] = {
        "apiVersion": "eksctl.io/v1alpha5",
        "kind": "ClusterConfig",
        "metadata": _without_empty(
            {
                "name": cluster.name,
                "region": cluster.region,
                "version": version or cluster.kubernetes,
                "tags": tags(cluster.tags),
            }
        ),
        "kubernetesNetworkConfig": {"serviceIPv4CIDR": cluster.service_cidr} if cluster.service_cidr else {},
        "accessConfig": _access(cluster),
        "vpc": _vpc(cluster),
        "availabilityZones": list(zones) if cluster.vpc.subnets is None else [],
        "iam": {"podIdentityAssociations": [_identity(one) for one in cluster.pod_identities]}
        if cluster.pod_identities
        else {},
        "addonsConfig": {"disableDefaultAddons": True},
        "addons": [_without_empty({"name": one.name, "version": one.version}) for one in cluster.addons],
        "managedNodeGroups": [_node_group(one, cluster) for one in cluster.node_groups],
        "fargateProfiles": [_profile(one, cluster) for one in cluster.fargate_profiles],
        "secretsEncryption": {"keyARN": cluster.encryption_key} if cluster.encryption_key else {},
        "cloudWatch": {"clusterLogging": {"enableTypes": list(cluster.logs)}} if cluster.logs else {},
    }
    return _without_empty(document)


def config_text(document: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(document), sort_keys=False, width=120)


def _access(cluster: EksCluster) -> dict[str, Any]:
    entries = [
        {
            "principalARN": arn,
            "accessPolicies": [
                {"policyARN": f"arn:{arn.split(':')[1]}:{_ADMIN}", "accessScope": {"type": "cluster"}}
            ],
        }
        for arn in cluster.access.admins
    ]
    return _without_empty(
        {
            "authenticationMode": "API",
            "bootstrapClusterCreatorAdminPermissions": cluster.access.creator_admin,
            "accessEntries": entries,
        }
    )


def _vpc(cluster: EksCluster) -> dict[str, Any]:
    endpoint = cluster.endpoint
    network = (
        {"subnets": _subnets(cluster.vpc.subnets)}
        if cluster.vpc.subnets
        else {"cidr": cluster.vpc.cidr, "nat": {"gateway": _NAT[cluster.vpc.nat]}}
    )
    return {
        **network,
        "clusterEndpoints": {"publicAccess": endpoint.public, "privateAccess": endpoint.private},
        **({"publicAccessCIDRs": list(endpoint.public_cidrs)} if endpoint.public else {}),
    }


def _subnets(subnets: Subnets) -> dict[str, Any]:
    """Subnets by id under arbitrary names; eksctl looks up the rest."""
    return _without_empty(
        {
            "private": {
                f"private-{number}": {"id": name} for number, name in enumerate(subnets.private, start=1)
            },
            "public": {
                f"public-{number}": {"id": name} for number, name in enumerate(subnets.public, start=1)
            },
        }
    )


def _node_group(group: NodeGroup, cluster: EksCluster) -> dict[str, Any]:
    return _without_empty(
        {
            "name": group.name,
            "amiFamily": _AMI[group.ami],
            "instanceTypes": list(group.instance_types),
            "spot": True if group.capacity == "spot" else None,
            "minSize": group.min,
            "desiredCapacity": group.desired,
            "maxSize": group.max,
            "volumeSize": group.disk,
            "volumeType": "gp3",
            "privateNetworking": group.subnets == "private",
            "labels": dict(group.labels),
            "taints": [_taint(text) for text in group.taints],
            "tags": tags(cluster.tags),
        }
    )


def _taint(text: str) -> dict[str, Any]:
    """`dedicated=database:NoSchedule`."""
    pair, _, effect = text.rpartition(":")
    key, _, value = pair.partition("=")
    return _without_empty({"key": key, "value": value, "effect": effect})


def _profile(profile: FargateProfile, cluster: EksCluster) -> dict[str, Any]:
    selectors = [
        _without_empty({"namespace": one.namespace, "labels": dict(one.labels)}) for one in profile.selectors
    ]
    return _without_empty({"name": profile.name, "selectors": selectors, "tags": tags(cluster.tags)})


def _identity(identity: PodIdentity) -> dict[str, Any]:
    return _without_empty(
        {
            "namespace": identity.namespace,
            "serviceAccountName": identity.service_account,
            "roleARN": identity.role_arn,
            "permissionPolicyARNs": [] if identity.role_arn else list(identity.policy_arns),
        }
    )


def _without_empty(document: Mapping[str, Any]) -> dict[str, Any]:
    """Drop None and empty values; keep false and 0."""
    return {key: value for key, value in document.items() if value is not None and value not in ("", [], {})}
