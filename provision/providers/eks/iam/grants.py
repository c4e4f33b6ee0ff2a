"""The actions of AWS that provision takes: one table of them, on what, under which conditions. Pure.

What is made must be tagged as ours, and only what is tagged as ours may be changed or deleted. What a cluster makes by
itself carries Kubernetes' tags with the cluster's name: only a policy for one cluster can name these.
`tests/unit/eks/test_policy.py` compares the table with the calls in the code and with those of whole runs.
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
# Services that the roles are handed to, and those whose own roles EKS makes when an account first uses them.
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
    """A statement. `actions` are calls of ours; `implied` are asked for by AWS for another call: action to reason.

    `resources` are ARNs behind `arn:PARTITION:`, or "*". `written`: shorter patterns of the same actions; a managed
    policy has room for 6,144 characters.
    """

    sid: str
    actions: tuple[str, ...] = ()
    implied: Mapping[str, str] = field(default_factory=dict)
    resources: tuple[str, ...] = ("*",)
    condition: Mapping[str, Any] = field(default_factory=dict)
    written: tuple[str, ...] = ()


def grants(cluster: EksCluster | None = None, partition: str = "aws") -> tuple[Grant, ...]:
    """The table, for one cluster or for any."""
    return (
        *_reading(),
        *_network(),
        *_clusters(cluster),
        *_roles(cluster, partition),
        *_of_the_cluster(cluster),
    )


def _reading() -> Iterator[Grant]:
    yield Grant(
        sid="Look",
        actions=(
            "ec2:DescribeAddresses",
            "ec2:DescribeAvailabilityZones",
            "ec2:DescribeInstanceTypeOfferings",
            "ec2:DescribeInstanceTypes",
            "ec2:DescribeInstances",
            "ec2:DescribeInternetGateways",
            "ec2:DescribeNatGateways",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeRegions",
            "ec2:DescribeRouteTables",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSubnets",
            "ec2:DescribeVolumes",
            "ec2:DescribeVpcAttribute",
            "ec2:DescribeVpcs",
            "eks:DescribeAccessEntry",
            "eks:DescribeAddon",
            "eks:DescribeAddonVersions",
            "eks:DescribeCluster",
            "eks:DescribeClusterVersions",
            "eks:DescribeFargateProfile",
            "eks:DescribeNodegroup",
            "eks:DescribePodIdentityAssociation",
            "eks:DescribeUpdate",
            "eks:ListAccessEntries",
            "eks:ListAddons",
            "eks:ListAssociatedAccessPolicies",
            "eks:ListFargateProfiles",
            "eks:ListNodegroups",
            "eks:ListPodIdentityAssociations",
            "elasticloadbalancing:DescribeLoadBalancers",
            "elasticloadbalancing:DescribeTags",
            "elasticloadbalancing:DescribeTargetGroups",
            "iam:GetRole",
            "iam:ListAttachedRolePolicies",
            "iam:ListInstanceProfilesForRole",
            "iam:ListRolePolicies",
            "iam:ListRoles",
            "iam:SimulatePrincipalPolicy",
            "pricing:GetProducts",
            "servicequotas:GetServiceQuota",
            "sts:GetCallerIdentity",
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
    anything = ("ec2:*:*:*/*",)  # of the six kinds that these actions know; the conditions say which
    yield Grant(
        sid="MakeNetwork",
        actions=tuple(f"ec2:{name}" for name in creating),
        resources=anything,
        condition=_NEW,
    )
    yield Grant(
        sid="TagWhatIsMade",
        implied={"ec2:CreateTags": "EC2 asks for it where a resource is made with tags"},
        resources=anything,
        condition={"StringEquals": {"ec2:CreateAction": list(creating)}},
    )
    yield Grant(
        sid="ChangeOwnNetwork",
        actions=(
            "ec2:AssociateRouteTable",
            "ec2:AttachInternetGateway",
            "ec2:CreateNatGateway",  # in a subnet of ours, with an address of ours
            "ec2:CreateRoute",
            "ec2:CreateRouteTable",  # in a VPC of ours
            "ec2:CreateSubnet",
            "ec2:CreateTags",
            "ec2:DeleteInternetGateway",
            "ec2:DeleteNatGateway",
            "ec2:DeleteRoute",
            "ec2:DeleteRouteTable",
            "ec2:DeleteSubnet",
            "ec2:DeleteVpc",
            "ec2:DetachInternetGateway",
            "ec2:DisassociateRouteTable",
            "ec2:ModifySubnetAttribute",
            "ec2:ModifyVpcAttribute",
            "ec2:ReleaseAddress",
            "ec2:ReplaceRoute",
            "ec2:ReplaceRouteTableAssociation",
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
        sid="MakeCluster",
        actions=("eks:CreateCluster",),
        implied={"eks:TagResource": "EKS asks for it where a resource is made with tags"},
        resources=everything,
        condition=_NEW,
    )
    yield Grant(
        sid="MakeInOwnCluster",
        actions=(
            "eks:CreateAccessEntry",
            "eks:CreateAddon",
            "eks:CreateFargateProfile",
            "eks:CreateNodegroup",
            "eks:CreatePodIdentityAssociation",
        ),
        resources=(itself,),
        condition=_NEW_IN_OWN,
    )
    yield Grant(
        sid="ChangeOwnCluster",
        actions=(
            "eks:AssociateAccessPolicy",
            "eks:AssociateEncryptionConfig",
            "eks:DeleteAccessEntry",
            "eks:DeleteAddon",
            "eks:DeleteCluster",
            "eks:DeleteFargateProfile",
            "eks:DeleteNodegroup",
            "eks:DeletePodIdentityAssociation",
            "eks:TagResource",
            "eks:UpdateAddon",
            "eks:UpdateClusterConfig",
            "eks:UpdateClusterVersion",
            "eks:UpdateNodegroupConfig",
            "eks:UpdateNodegroupVersion",
            "eks:UpdatePodIdentityAssociation",
        ),
        resources=everything,
        condition=_OWN,
    )
    if cluster is not None and cluster.encryption_key:
        why = "EKS asks for it where the cluster has a key"
        yield Grant(
            sid="EncryptSecrets",
            implied={"kms:CreateGrant": why, "kms:DescribeKey": why},
            resources=(cluster.encryption_key.split(":", 2)[2],),
        )


def _roles(cluster: EksCluster | None, partition: str) -> Iterator[Grant]:
    path = names.role_path(cluster.region, cluster.name) if cluster else f"/{names.TOOL}/"
    ours = f"iam::*:role{path}*"
    yield Grant(
        sid="MakeRoles",
        actions=("iam:CreateRole",),
        implied={"iam:TagRole": "IAM asks for it where a role is made with tags"},
        resources=(ours,),
        condition=_NEW,
    )
    yield Grant(
        sid="GiveOwnRolesPolicies",
        actions=("iam:AttachRolePolicy",),
        resources=(ours,),
        condition={**_OWN, "ArnEquals": {"iam:PolicyARN": _attached(cluster, partition)}},
    )
    yield Grant(
        sid="ChangeOwnRoles",
        actions=("iam:DeleteRole", "iam:DetachRolePolicy", "iam:TagRole"),
        resources=(ours,),
        condition=_OWN,
    )
    given = {one.role_arn for one in cluster.pod_identities if one.role_arn} if cluster else set()
    yield Grant(
        sid="HandRolesToEks",
        implied={"iam:PassRole": "EKS asks for it where a role is handed to it"},
        resources=(ours, *(arn.split(":", 2)[2] for arn in sorted(given))),
        condition={"StringEquals": {"iam:PassedToService": list(_PASSED_TO)}},
    )
    yield Grant(
        sid="LetEksMakeItsOwnRoles",
        implied={"iam:CreateServiceLinkedRole": "EKS asks for it once per account"},
        resources=("iam::*:role/aws-service-role/*",),
        condition={"StringEquals": {"iam:AWSServiceName": list(_LINKED)}},
    )


def _attached(cluster: EksCluster | None, partition: str) -> list[str]:
    """ARNs of the policies that roles are given; of nodes and Fargate, too, where the file has none yet."""
    nodes, pods = NodeGroup(name="any"), FargateProfile(name="any", selectors=())
    wanted = cluster or EksCluster(name="any", provider="eks", region="any", kubernetes="any")
    wanted = wanted.model_copy(update={"node_groups": (nodes,), "fargate_profiles": (pods,)})
    return sorted({one for role in roles(wanted, partition) for one in role.policies})


def _of_the_cluster(cluster: EksCluster | None) -> Iterator[Grant]:
    """What reset deletes that the cluster made by itself: without the cluster's name there is no tag to ask for."""
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
        yield Grant(sid="DeleteWhatAClusterMade", actions=(*balancers, *groups), resources=arns)
    else:
        for sid, tag, value in (
            ("DeleteWhatTheClusterMade", f"kubernetes.io/cluster/{cluster.name}", "owned"),
            ("DeleteWhatItsControllerMade", "elbv2.k8s.aws/cluster", cluster.name),
        ):
            condition = {"StringEquals": {f"aws:ResourceTag/{tag}": value}}
            yield Grant(sid=sid, actions=(*balancers, *groups), condition=condition)
    # Interfaces of nodes that were killed have no tag of ours, and not all have one of Kubernetes.
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
