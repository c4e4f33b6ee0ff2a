"""The IAM policy that provision needs, made of a table of actions, their resources and conditions. Pure.

Created resources must carry provision's tag, and only resources that carry it may be changed or deleted. What a cluster
creates by itself carries Kubernetes' tags with the cluster's name, which only a policy for one cluster can state.
`tests/unit/providers/eks/iam/test_policy.py` compares it with the calls in the code and with those of whole runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from provision.model.eks import EksCluster, FargateProfile, NodeGroup
from provision.providers.eks import names
from provision.providers.eks.resources.roles import roles

_TAG = f"aws:ResourceTag/{names.MANAGED_BY}"
_NEW_TAG = f"aws:RequestTag/{names.MANAGED_BY}"
_OWN: Mapping[str, Any] = {"StringEquals": {_TAG: names.TOOL}}
_NEW: Mapping[str, Any] = {"StringEquals": {_NEW_TAG: names.TOOL}}
_NEW_IN_OWN: Mapping[str, Any] = {"StringEquals": {_NEW_TAG: names.TOOL, _TAG: names.TOOL}}
# Services that roles are passed to, and those whose service-linked roles EKS creates at the first use in an account.
_PASSED_TO = (
    "eks.amazonaws.com",
    "ec2.amazonaws.com",
    "eks-nodegroup.amazonaws.com",
    "eks-fargate.amazonaws.com",
    "eks-fargate-pods.amazonaws.com",
    "pods.eks.amazonaws.com",
)
_LINKED = ("eks.amazonaws.com", "eks-nodegroup.amazonaws.com", "eks-fargate.amazonaws.com")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A statement. `actions` are called by provision; `implied` are required by AWS for another call: action to reason.

    `resources` are ARNs after `arn:PARTITION:`, or "*". `written`: shorter patterns for the same actions, because a
    managed policy is limited to 6,144 characters.
    """

    sid: str
    actions: tuple[str, ...] = ()
    implied: Mapping[str, str] = field(default_factory=dict)
    resources: tuple[str, ...] = ("*",)
    condition: Mapping[str, Any] = field(default_factory=dict)
    written: tuple[str, ...] = ()


def grants(cluster: EksCluster | None = None, partition: str = "aws") -> tuple[Grant, ...]:
    """Return the table, for one cluster or for any."""
    return (
        *_reading(),
        *_network(),
        *_clusters(cluster),
        *_roles(cluster, partition),
        *_created_by_cluster(cluster),
    )


def policy(cluster: EksCluster | None = None, partition: str = "aws") -> dict[str, Any]:
    """Return the policy document for one cluster, or for any without pod identities and a key of its own."""
    return {
        "Version": "2012-10-17",
        "Statement": [_statement(grant, partition) for grant in grants(cluster, partition)],
    }


def _statement(grant: Grant, partition: str) -> dict[str, Any]:
    resources = [one if one == "*" else f"arn:{partition}:{one}" for one in grant.resources]
    statement: dict[str, Any] = {
        "Sid": grant.sid,
        "Effect": "Allow",
        "Action": sorted(grant.written or {*grant.actions, *grant.implied}),
        "Resource": resources if len(resources) > 1 else resources[0],
    }
    return {**statement, "Condition": dict(grant.condition)} if grant.condition else statement


def _actions(service: str, names: str) -> tuple[str, ...]:
    return tuple(f"{service}:{name}" for name in names.split())


def _reading() -> Iterator[Grant]:
    yield Grant(
        sid="Read",
        actions=(
            *_actions(
                "ec2",
                "DescribeAddresses DescribeAvailabilityZones DescribeInstanceTypeOfferings "
                "DescribeInstanceTypes DescribeInstances DescribeInternetGateways DescribeNatGateways "
                "DescribeNetworkInterfaces DescribeRegions DescribeRouteTables DescribeSecurityGroups "
                "DescribeSubnets DescribeVolumes DescribeVpcAttribute DescribeVpcs",
            ),
            *_actions(
                "eks",
                "DescribeAccessEntry DescribeAddon DescribeAddonVersions DescribeCluster "
                "DescribeClusterVersions DescribeFargateProfile DescribeNodegroup "
                "DescribePodIdentityAssociation DescribeUpdate ListAccessEntries ListAddons "
                "ListAssociatedAccessPolicies ListFargateProfiles ListNodegroups "
                "ListPodIdentityAssociations",
            ),
            *_actions("elasticloadbalancing", "DescribeLoadBalancers DescribeTags DescribeTargetGroups"),
            *_actions(
                "iam",
                "GetRole ListAttachedRolePolicies ListInstanceProfilesForRole ListRolePolicies ListRoles "
                "SimulatePrincipalPolicy",
            ),
            *_actions("pricing", "GetProducts"),
            *_actions("servicequotas", "GetServiceQuota"),
            *_actions("sts", "GetCallerIdentity"),
        ),
        written=(
            "ec2:Describe*",
            "eks:Describe*",
            "eks:List*",
            "elasticloadbalancing:Describe*",
            "iam:GetRole",
            "iam:List*",
            "iam:SimulatePrincipalPolicy",
            "pricing:GetProducts",
            "servicequotas:GetServiceQuota",
            "sts:GetCallerIdentity",
        ),
    )


def _network() -> Iterator[Grant]:
    creating = (
        "CreateVpc",
        "CreateSubnet",
        "CreateInternetGateway",
        "CreateNatGateway",
        "CreateRouteTable",
        "AllocateAddress",
    )
    anything = ("ec2:*:*:*/*",)  # of the six kinds that these actions apply to; the conditions restrict them
    yield Grant(
        sid="CreateNetwork",
        actions=tuple(f"ec2:{name}" for name in creating),
        resources=anything,
        condition=_NEW,
    )
    yield Grant(
        sid="TagOnCreation",
        implied={"ec2:CreateTags": "EC2 requires it to create a resource with tags"},
        resources=anything,
        condition={"StringEquals": {"ec2:CreateAction": list(creating)}},
    )
    yield Grant(
        sid="ChangeOwnNetwork",
        actions=(
            *_actions(
                "ec2",
                "AssociateRouteTable AttachInternetGateway CreateNatGateway CreateRoute CreateRouteTable "
                "CreateSubnet CreateTags DeleteInternetGateway DeleteNatGateway DeleteRoute "
                "DeleteRouteTable DeleteSubnet DeleteVpc DetachInternetGateway DisassociateRouteTable "
                "ModifySubnetAttribute ModifyVpcAttribute ReleaseAddress ReplaceRoute "
                "ReplaceRouteTableAssociation",
            ),
        ),
        resources=anything,
        condition=_OWN,
    )


def _clusters(cluster: EksCluster | None) -> Iterator[Grant]:
    name = cluster.name if cluster else "*"
    region = cluster.region if cluster else "*"
    itself = f"eks:{region}:*:cluster/{name}"
    # Of node groups, add-ons and so on the name of the cluster is the second part: `nodegroup/demo/workers/UUID`.
    everything = (itself, f"eks:{region}:*:*/{name}/*")
    yield Grant(
        sid="CreateCluster",
        actions=("eks:CreateCluster",),
        implied={"eks:TagResource": "EKS requires it to create a resource with tags"},
        resources=everything,
        condition=_NEW,
    )
    yield Grant(
        sid="CreateInOwnCluster",
        actions=(
            *_actions(
                "eks",
                "CreateAccessEntry CreateAddon CreateFargateProfile CreateNodegroup "
                "CreatePodIdentityAssociation",
            ),
        ),
        resources=(itself,),
        condition=_NEW_IN_OWN,
    )
    yield Grant(
        sid="ChangeOwnCluster",
        actions=(
            *_actions(
                "eks",
                "AssociateAccessPolicy AssociateEncryptionConfig DeleteAccessEntry DeleteAddon "
                "DeleteCluster DeleteFargateProfile DeleteNodegroup DeletePodIdentityAssociation "
                "TagResource UpdateAddon UpdateClusterConfig UpdateClusterVersion UpdateNodegroupConfig "
                "UpdateNodegroupVersion UpdatePodIdentityAssociation",
            ),
        ),
        resources=everything,
        condition=_OWN,
    )
    if cluster is not None and cluster.encryption_key:
        why = "EKS requires it for a cluster with a key"
        yield Grant(
            sid="EncryptSecrets",
            implied={"kms:CreateGrant": why, "kms:DescribeKey": why},
            resources=(cluster.encryption_key.split(":", 2)[2],),
        )


def _roles(cluster: EksCluster | None, partition: str) -> Iterator[Grant]:
    path = names.role_path(cluster.region, cluster.name) if cluster else f"/{names.TOOL}/"
    own = f"iam::*:role{path}*"
    yield Grant(
        sid="CreateRoles",
        actions=("iam:CreateRole",),
        implied={"iam:TagRole": "IAM requires it to create a role with tags"},
        resources=(own,),
        condition=_NEW,
    )
    yield Grant(
        sid="AttachPoliciesToOwnRoles",
        actions=("iam:AttachRolePolicy",),
        resources=(own,),
        condition={**_OWN, "ArnEquals": {"iam:PolicyARN": _attached(cluster, partition)}},
    )
    yield Grant(
        sid="ChangeOwnRoles",
        actions=("iam:DeleteRole", "iam:DetachRolePolicy", "iam:TagRole"),
        resources=(own,),
        condition=_OWN,
    )
    given = {one.role_arn for one in cluster.pod_identities if one.role_arn} if cluster else set()
    yield Grant(
        sid="PassRolesToEks",
        implied={"iam:PassRole": "EKS requires it to be passed a role"},
        resources=(own, *(arn.split(":", 2)[2] for arn in sorted(given))),
        condition={"StringEquals": {"iam:PassedToService": list(_PASSED_TO)}},
    )
    yield Grant(
        sid="CreateServiceLinkedRoles",
        implied={"iam:CreateServiceLinkedRole": "EKS requires it once per account"},
        resources=("iam::*:role/aws-service-role/*",),
        condition={"StringEquals": {"iam:AWSServiceName": list(_LINKED)}},
    )


def _attached(cluster: EksCluster | None, partition: str) -> list[str]:
    """ARNs of the policies attached to roles; those of nodes and Fargate also where the file has none yet."""
    nodes, pods = NodeGroup(name="any"), FargateProfile(name="any", selectors=())
    wanted = cluster or EksCluster(name="any", provider="eks", region="any", kubernetes="any")
    wanted = wanted.model_copy(update={"node_groups": (nodes,), "fargate_profiles": (pods,)})
    return sorted({one for role in roles(wanted, partition) for one in role.policies})


def _created_by_cluster(cluster: EksCluster | None) -> Iterator[Grant]:
    """What reset deletes of a cluster's own creations; without the cluster's name there is no tag to require."""
    balancers = ("elasticloadbalancing:DeleteLoadBalancer", "elasticloadbalancing:DeleteTargetGroup")
    groups = (
        "ec2:DeleteSecurityGroup",
        "ec2:RevokeSecurityGroupEgress",
        "ec2:RevokeSecurityGroupIngress",
    )
    arns = (
        "elasticloadbalancing:*:*:loadbalancer/*",
        "elasticloadbalancing:*:*:targetgroup/*",
        "ec2:*:*:security-group/*",
    )
    if cluster is None:
        yield Grant(sid="DeleteCreatedByClusters", actions=(*balancers, *groups), resources=arns)
    else:
        for sid, tag, value in (
            ("DeleteCreatedByCluster", f"kubernetes.io/cluster/{cluster.name}", "owned"),
            ("DeleteCreatedByController", "elbv2.k8s.aws/cluster", cluster.name),
        ):
            condition = {"StringEquals": {f"aws:ResourceTag/{tag}": value}}
            yield Grant(sid=sid, actions=(*balancers, *groups), condition=condition)
    # Interfaces of terminated nodes lack provision's tag, and not all have one of Kubernetes.
    yield Grant(
        sid="DeleteIdleInterfaces",
        actions=("ec2:DeleteNetworkInterface",),
        resources=("ec2:*:*:network-interface/*",),
    )
    yield Grant(
        sid="DeleteVolumesOfClaims",
        actions=("ec2:DeleteVolume",),
        resources=("ec2:*:*:volume/*",),
        condition={"StringEquals": {"aws:ResourceTag/ebs.csi.aws.com/cluster": "true"}},
    )
