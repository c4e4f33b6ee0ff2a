"""Reads the EKS cluster of a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from provision.providers.eks import names
from provision.providers.eks.facts import ClusterFacts, HealthIssue

if TYPE_CHECKING:
    from collections.abc import Iterable

    from provision.providers.eks.aws.account import Account


def read(name: str, account: Account) -> ClusterFacts | None:
    """The cluster, ours or not; None if there is none."""
    eks = account.client("eks")
    try:
        found: Any = eks.describe_cluster(name=name)["cluster"]
    except eks.exceptions.ResourceNotFoundException:
        return None
    return _facts(found)


def issues(listed: Iterable[Any]) -> tuple[HealthIssue, ...]:
    """What AWS says is wrong with a resource."""
    return tuple(
        HealthIssue(
            code=one.get("code", ""),
            message=one.get("message", ""),
            resources=tuple(one.get("resourceIds", ())),
        )
        for one in listed
    )


def _facts(found: Any) -> ClusterFacts:
    vpc = found.get("resourcesVpcConfig", {})
    access = found.get("accessConfig", {})
    tags = found.get("tags", {})
    keys = [one.get("provider", {}).get("keyArn") for one in found.get("encryptionConfig") or ()]
    logs = [
        kind
        for one in found.get("logging", {}).get("clusterLogging", ())
        if one.get("enabled")
        for kind in one["types"]
    ]
    return ClusterFacts(
        name=found["name"],
        arn=found["arn"],
        status=found["status"],
        version=found["version"],
        created=found.get("createdAt"),
        owned=names.owned(found["name"], tags),
        role_arn=found.get("roleArn", ""),
        endpoint=found.get("endpoint") or "",
        authority=(found.get("certificateAuthority") or {}).get("data") or "",
        oidc_issuer=found.get("identity", {}).get("oidc", {}).get("issuer", ""),
        vpc=vpc.get("vpcId", ""),
        subnets=tuple(vpc.get("subnetIds", ())),
        security_group=vpc.get("clusterSecurityGroupId", ""),
        public=bool(vpc.get("endpointPublicAccess")),
        private=bool(vpc.get("endpointPrivateAccess")),
        public_cidrs=tuple(sorted(vpc.get("publicAccessCidrs", ()))),
        service_cidr=(found.get("kubernetesNetworkConfig") or {}).get("serviceIpv4Cidr", ""),
        authentication_mode=access.get("authenticationMode", ""),
        creator_admin=access.get("bootstrapClusterCreatorAdminPermissions"),
        encryption_key=next(iter(keys), None),
        logs=tuple(sorted(logs)),
        health=issues(found.get("health", {}).get("issues", ())),
        tags=tags,
    )
