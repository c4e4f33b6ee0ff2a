from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from provision.model.eks import (
    Access,
    Addon,
    EndpointAccess,
    FargateProfile,
    NodeGroup,
    PodIdentity,
    Selector,
    Subnets,
    Vpc,
)
from provision.providers.eks.eksctl.cluster_config import cluster_config, config_text
from tests.unit.providers.eks import factories

if TYPE_CHECKING:
    from provision.model.eks import EksCluster

_ARN = "arn:aws:iam::123456789012:role"
FULL = factories.cluster(
    service_cidr="10.100.0.0/16",
    vpc=Vpc(cidr="10.0.0.0/16", nat="per-zone", zones=("eu-central-1a", "eu-central-1b")),
    endpoint=EndpointAccess(public_cidrs=("203.0.113.0/24",)),
    node_groups=(
        NodeGroup(
            name="workers", labels={"disk": "ssd"}, taints=("dedicated=database:NoSchedule", "gpu:NoExecute")
        ),
        NodeGroup(
            name="batch",
            capacity="spot",
            instance_types=("m7i.large", "m7a.large"),
            ami="Bottlerocket",
            subnets="public",
            min=0,
            desired=0,
            max=9,
            disk=50,
        ),
    ),
    fargate_profiles=(
        FargateProfile(
            name="jobs",
            selectors=(Selector(namespace="jobs"), Selector(namespace="ci", labels={"on": "fargate"})),
        ),
    ),
    addons=(Addon(name="vpc-cni"), Addon(name="coredns", version="v1.11.3-eksbuild.1")),
    access=Access(creator_admin=False, admins=(f"{_ARN}/platform",)),
    pod_identities=(
        PodIdentity(namespace="kube-system", service_account="ebs", role_arn=f"{_ARN}/ebs"),
        PodIdentity(
            namespace="app", service_account="reader", policy_arns=("arn:aws:iam::aws:policy/ReadOnlyAccess",)
        ),
    ),
    encryption_key="arn:aws:kms:eu-central-1:123456789012:key/1234",
    logs=("audit", "api"),
    tags={"team": "platform"},
)
EXISTING = factories.cluster(
    vpc=Vpc(subnets=Subnets(private=("subnet-1", "subnet-2"), public=("subnet-3",))),
    endpoint=EndpointAccess(public=False),
)

# What eksctl's JSON schema (`eksctl utils schema`, 0.2xx) allows at each place; it refuses any other key.
ALLOWED = {
    "": {
        "apiVersion", "kind", "metadata", "kubernetesNetworkConfig", "accessConfig", "vpc", "availabilityZones", "iam",
        "addonsConfig", "addons", "managedNodeGroups", "fargateProfiles", "secretsEncryption", "cloudWatch",
    },
    "metadata": {"name", "region", "version", "tags", "annotations"},
    "kubernetesNetworkConfig": {"ipFamily", "serviceIPv4CIDR", "serviceIPv6CIDR"},
    "accessConfig": {"authenticationMode", "bootstrapClusterCreatorAdminPermissions", "accessEntries"},
    "accessConfig.accessEntries": {
        "principalARN", "type", "kubernetesGroups", "kubernetesUsername", "accessPolicies",
    },
    "accessConfig.accessEntries.accessPolicies": {"policyARN", "accessScope"},
    "accessConfig.accessEntries.accessPolicies.accessScope": {"type", "namespaces"},
    "vpc": {"id", "cidr", "subnets", "nat", "clusterEndpoints", "publicAccessCIDRs"},
    "vpc.nat": {"gateway"},
    "vpc.clusterEndpoints": {"privateAccess", "publicAccess"},
    "vpc.subnets": {"private", "public"},
    "iam": {"podIdentityAssociations", "serviceAccounts", "withOIDC"},
    "iam.podIdentityAssociations": {
        "namespace", "serviceAccountName", "roleARN", "roleName", "permissionPolicyARNs", "tags",
    },
    "addonsConfig": {"autoApplyPodIdentityAssociations", "disableDefaultAddons"},
    "addons": {"name", "version", "tags", "configurationValues"},
    "managedNodeGroups": {
        "name", "amiFamily", "instanceTypes", "spot", "minSize", "desiredCapacity", "maxSize", "volumeSize",
        "volumeType", "privateNetworking", "labels", "taints", "tags",
    },
    "managedNodeGroups.taints": {"key", "value", "effect"},
    "fargateProfiles": {"name", "podExecutionRoleARN", "selectors", "subnets", "tags"},
    "fargateProfiles.selectors": {"namespace", "labels"},
    "secretsEncryption": {"keyARN"},
    "cloudWatch": {"clusterLogging"},
    "cloudWatch.clusterLogging": {"enableTypes", "logRetentionInDays"},
}  # fmt: skip
_FREE = {"tags", "labels", "private", "public"}  # their keys are the user's


@pytest.mark.parametrize(
    ("name", "asked"), [("small", factories.cluster()), ("full", FULL), ("existing-subnets", EXISTING)]
)
def test_the_cluster_config_is_as_reviewed(
    name: str, asked: EksCluster, golden: Callable[[str, str], None]
) -> None:
    golden(f"eks/eksctl/{name}.yaml", config_text(cluster_config(asked, asked.vpc.zones or factories.ZONES)))


@pytest.mark.parametrize("asked", [factories.cluster(), FULL, EXISTING])
def test_the_cluster_config_has_no_key_that_eksctl_refuses(asked: EksCluster) -> None:
    unknown = list(strangers(yaml.safe_load(config_text(cluster_config(asked, factories.ZONES))), ""))
    assert unknown == []


def test_the_version_stays_a_string() -> None:
    """An unquoted 1.30 would be the number 1.3."""
    text = config_text(cluster_config(factories.cluster(kubernetes="1.30"), factories.ZONES))
    assert yaml.safe_load(text)["metadata"]["version"] == "1.30"


def test_text_of_the_user_stays_text() -> None:
    asked = factories.cluster(tags={"on": "yes: {no}", "cost": "0123"})
    found = yaml.safe_load(config_text(cluster_config(asked, factories.ZONES)))["metadata"]["tags"]
    assert {key: found[key] for key in asked.tags} == dict(asked.tags)


def strangers(document: Any, path: str) -> list[str]:
    """Keys that the schema does not know, with their paths."""
    if isinstance(document, list):
        return [stranger for part in document for stranger in strangers(part, path)]
    if not isinstance(document, dict) or path.rpartition(".")[2] in _FREE:
        return []
    return [
        stranger
        for key, value in document.items()
        for stranger in (
            strangers(value, f"{path}.{key}".lstrip("."))
            if key in ALLOWED.get(path, ())
            else [f"{path}.{key}"]
        )
    ]
