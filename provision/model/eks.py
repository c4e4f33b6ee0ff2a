"""What a cluster file of provider eks asks for. Frozen, without I/O.

What a value may hold is decided by `provision.config.rules`, with a message that says the way out.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from provision.model.cluster import FileModel

Capacity = Literal["on-demand", "spot"]
Ami = Literal["AL2023", "Bottlerocket"]
Placement = Literal["private", "public"]
LogType = Literal["api", "audit", "authenticator", "controllerManager", "scheduler"]


class Subnets(FileModel):
    """Existing subnets, by id; nothing in their VPC is created, changed or deleted."""

    private: tuple[str, ...] = Field(
        default=(),
        description="subnets for nodes and pods, in two zones at least",
        examples=[["subnet-0a1b2c3d"]],
    )
    public: tuple[str, ...] = Field(
        default=(), description="subnets with a route to an internet gateway", examples=[["subnet-0e4f5a6b"]]
    )


class Vpc(FileModel):
    """The network: made for the cluster, or existing subnets."""

    cidr: str = Field(default="192.168.0.0/16", description="IPv4 range of the VPC that is made, /16 to /24")
    zones: tuple[str, ...] = Field(
        default=(),
        description="two or three availability zones of the region. []: the first three that offer the instance types",
        examples=[["eu-central-1a", "eu-central-1b"]],
    )
    nat: Literal["single", "per-zone", "none"] = Field(
        default="single",
        description="NAT gateways of the private subnets: one, one per zone (survives the loss of a zone, costs more), "
        "or none (then node groups must be in public subnets)",
    )
    subnets: Subnets | None = Field(
        default=None,
        description="existing subnets instead of a new VPC; then `cidr`, `zones` and `nat` are unused",
    )


class EndpointAccess(FileModel):
    """Who reaches the API server."""

    public: bool = Field(default=True, description="reachable from the internet, within `public_cidrs`")
    private: bool = Field(default=True, description="reachable inside of the VPC")
    public_cidrs: tuple[str, ...] = Field(
        default=("0.0.0.0/0",),
        description="IPv4 ranges that may reach the public endpoint",
        examples=[["203.0.113.0/24"]],
    )


class NodeGroup(FileModel):
    """Machines of a kind that AWS keeps running as nodes."""

    name: str = Field(description="letters, digits, `-` and `_`, at most 63 characters", examples=["workers"])
    instance_types: tuple[str, ...] = Field(
        default=("m7i.large",),
        description="types of one architecture; on-demand takes the first that can be had, spot any of them",
    )
    capacity: Capacity = Field(
        default="on-demand", description="on-demand, or spot (cheaper, can be taken away)"
    )
    min: int = Field(default=1, description="fewest nodes, 0 or more")
    desired: int = Field(default=2, description="nodes now, between min and max")
    max: int = Field(default=3, description="most nodes, at least 1")
    disk: int = Field(default=80, description="GiB of a node's root volume, 20 to 16384")
    labels: dict[str, str] = Field(default={}, description="node labels", examples=[{"disk": "ssd"}])
    taints: tuple[str, ...] = Field(
        default=(),
        description="node taints, `key=value:Effect` or `key:Effect`; the effects are NoSchedule, PreferNoSchedule "
        "and NoExecute",
        examples=[["dedicated=database:NoSchedule"]],
    )
    ami: Ami = Field(default="AL2023", description="operating system family of the nodes")
    subnets: Placement = Field(default="private", description="where its nodes are")


class Selector(FileModel):
    """Pods that run on Fargate: those of a namespace, with all of the labels."""

    namespace: str = Field(description="namespace of the pods", examples=["batch"])
    labels: dict[str, str] = Field(
        default={}, description="labels that a pod must have", examples=[{"on": "fargate"}]
    )


class FargateProfile(FileModel):
    """Pods that run without nodes."""

    name: str = Field(description="letters, digits, `-` and `_`, at most 63 characters", examples=["batch"])
    selectors: tuple[Selector, ...] = Field(
        description="one to five; a pod that matches any of them runs on Fargate"
    )


class Addon(FileModel):
    """A part of the cluster that EKS installs and looks after."""

    name: str = Field(description="name of the add-on", examples=["aws-ebs-csi-driver"])
    version: str | None = Field(
        default=None,
        description="exact version. null: EKS's default at creation, then left alone until an upgrade needs another",
        examples=["v1.20.1-eksbuild.1"],
    )


class PodIdentity(FileModel):
    """AWS permissions for the pods of a service account, without keys."""

    namespace: str = Field(description="namespace of the service account", examples=["kube-system"])
    service_account: str = Field(
        description="name of the service account", examples=["ebs-csi-controller-sa"]
    )
    role_arn: str | None = Field(
        default=None,
        description="an existing role that trusts pods.eks.amazonaws.com. null: one is made with `policy_arns`",
        examples=["arn:aws:iam::123456789012:role/ebs-csi"],
    )
    policy_arns: tuple[str, ...] = Field(
        default=(),
        description="policies of the role that is made",
        examples=[["arn:aws:iam::aws:policy/service-role/AmazonEBSCSIDriverPolicy"]],
    )


class Access(FileModel):
    """Who may administer the cluster, as EKS access entries."""

    creator_admin: bool = Field(default=True, description="the creator of the cluster is an administrator")
    admins: tuple[str, ...] = Field(
        default=(),
        description="ARNs of IAM users and roles that are administrators",
        examples=[["arn:aws:iam::123456789012:role/platform"]],
    )


class EksCluster(FileModel):
    """What a cluster file of provider eks asks for."""

    name: str = Field(
        description="name of the cluster: lower-case letters, digits and `-`, at most 63 characters",
        examples=["demo"],
    )
    provider: Literal["eks"] = Field(description="what makes the cluster")
    region: str = Field(description="AWS region", examples=["eu-central-1"])
    profile: str | None = Field(
        default=None,
        description="profile of ~/.aws/config. null: AWS_PROFILE, or AWS's usual order",
        examples=["production"],
    )
    kubernetes: str = Field(description="minor version of Kubernetes, in quotes", examples=["1.35"])
    backend: Literal["boto3", "eksctl"] = Field(
        default="boto3", description="who talks to AWS: provision itself, or eksctl found on PATH"
    )
    vpc: Vpc = Field(default=Vpc(), description="the network")
    service_cidr: str | None = Field(
        default=None,
        description="IPv4 range of service addresses, /12 to /24. null: EKS chooses",
        examples=["10.100.0.0/16"],
    )
    endpoint: EndpointAccess = Field(default=EndpointAccess(), description="who reaches the API server")
    node_groups: tuple[NodeGroup, ...] = Field(default=(), description="managed node groups")
    fargate_profiles: tuple[FargateProfile, ...] = Field(
        default=(), description="pods that run without nodes"
    )
    addons: tuple[Addon, ...] = Field(
        default=(
            Addon(name="vpc-cni"),
            Addon(name="kube-proxy"),
            Addon(name="eks-pod-identity-agent"),
            Addon(name="coredns"),
            Addon(name="metrics-server"),
        ),
        description="add-ons; the list is complete: what is not in it is not installed",
    )
    access: Access = Field(default=Access(), description="administrators")
    pod_identities: tuple[PodIdentity, ...] = Field(
        default=(), description="AWS permissions for service accounts"
    )
    encryption_key: str | None = Field(
        default=None,
        description="ARN of the KMS key that encrypts Secrets; cannot be taken away again. null: AWS's own key",
        examples=["arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"],
    )
    logs: tuple[LogType, ...] = Field(
        default=(),
        description="control plane logs that go to CloudWatch",
        examples=[["audit", "authenticator"]],
    )
    tags: dict[str, str] = Field(
        default={}, description="tags of every resource that is made", examples=[{"team": "platform"}]
    )

    @property
    def instance_types(self) -> tuple[str, ...]:
        """Every instance type of the node groups, once."""
        return tuple(dict.fromkeys(kind for group in self.node_groups for kind in group.instance_types))
