"""What AWS must hold for what the file asks: names, ranges, roles, specs as plain data. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from provision.providers.eks import names

if TYPE_CHECKING:
    from provision.model.eks import EksCluster, NodeGroup, PodIdentity

# Without these nodes do not become ready, so that they come before the node groups; the others need nodes.
FIRST_ADDONS = ("vpc-cni", "kube-proxy", "eks-pod-identity-agent")
ADMIN_POLICY = "AmazonEKSClusterAdminPolicy"
# Tags by which load balancers find their subnets: https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
PUBLIC_TAG, PRIVATE_TAG = "kubernetes.io/role/elb", "kubernetes.io/role/internal-elb"
ANYWHERE = "0.0.0.0/0"

_CLUSTER_POLICIES = ("AmazonEKSClusterPolicy",)
_NODE_POLICIES = (
    "AmazonEC2ContainerRegistryPullOnly",
    "AmazonEKSWorkerNodePolicy",
    "AmazonEKS_CNI_Policy",
    "AmazonSSMManagedInstanceCore",
)
_FARGATE_POLICIES = ("AmazonEKSFargatePodExecutionRolePolicy",)
_EFFECTS = {"NoSchedule": "NO_SCHEDULE", "NoExecute": "NO_EXECUTE", "PreferNoSchedule": "PREFER_NO_SCHEDULE"}
_ACCELERATED = re.compile(r"(?:p\d|g\d|gr\d)")
_NO_NVIDIA = re.compile(r"g4ad")
_NEURON = re.compile(r"(?:inf|trn)\d")
_GRAVITON = re.compile(r"a1|[a-z]+\d+g")  # m7g, c6gn, im4gn, g5g: a g right behind the generation


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedSubnet:
    part: str
    zone: str
    cidr: str
    public: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedRole:
    """A role: who may assume it, and the ARNs of its policies. `exact`: further policies are taken away."""

    part: str
    service: str  # "ec2.amazonaws.com"
    policies: tuple[str, ...]
    exact: bool = False


def subnets(cluster: EksCluster, zones: tuple[str, ...]) -> tuple[WantedSubnet, ...]:
    """A public and a private subnet per zone, of equal size: a /16 and three zones give /19s, public ones first."""
    blocks = 2 * len(zones)
    bits = max(1, (blocks - 1).bit_length())
    ranges = [str(part) for part in ipaddress.ip_network(cluster.vpc.cidr).subnets(prefixlen_diff=bits)]
    public = [
        WantedSubnet(part=names.public_subnet(zone), zone=zone, cidr=ranges[number], public=True)
        for number, zone in enumerate(zones)
    ]
    private = [
        WantedSubnet(
            part=names.private_subnet(zone), zone=zone, cidr=ranges[len(zones) + number], public=False
        )
        for number, zone in enumerate(zones)
    ]
    return (*public, *private)


def nat_zones(cluster: EksCluster, zones: tuple[str, ...]) -> tuple[str, ...]:
    """The zones that have a NAT gateway."""
    return {"single": zones[:1], "per-zone": zones, "none": ()}[cluster.vpc.nat]


def nat_of(cluster: EksCluster, zones: tuple[str, ...], zone: str) -> str | None:
    """The part of the NAT gateway that the private subnet of `zone` goes out through."""
    having = nat_zones(cluster, zones)
    if not having:
        return None
    return names.nat(zone if zone in having else having[0])


def roles(cluster: EksCluster, partition: str) -> tuple[WantedRole, ...]:
    """All roles that the cluster needs and does not name itself."""
    machines = "ec2.amazonaws.com.cn" if partition == "aws-cn" else "ec2.amazonaws.com"
    services = {
        names.CLUSTER_ROLE: ("eks.amazonaws.com", _CLUSTER_POLICIES),
        names.NODE_ROLE: (machines, _NODE_POLICIES),
        names.FARGATE_ROLE: ("eks-fargate-pods.amazonaws.com", _FARGATE_POLICIES),
    }
    pods = dict(_pod_roles(cluster))
    return tuple(
        WantedRole(
            part=part,
            service="pods.eks.amazonaws.com",
            policies=tuple(sorted(pods[part].policy_arns)),
            exact=True,
        )
        if part in pods
        else WantedRole(
            part=part,
            service=services[part][0],
            policies=tuple(f"arn:{partition}:iam::aws:policy/{name}" for name in services[part][1]),
        )
        for part in role_parts(cluster)
    )


def role_parts(cluster: EksCluster) -> tuple[str, ...]:
    """The roles that the cluster needs, by part ("role-nodes")."""
    parts = [names.CLUSTER_ROLE]
    parts += [names.NODE_ROLE] if cluster.node_groups else []
    parts += [names.FARGATE_ROLE] if cluster.fargate_profiles else []
    return (*parts, *(part for part, _ in _pod_roles(cluster)))


def _pod_roles(cluster: EksCluster) -> Iterator[tuple[str, PodIdentity]]:
    for identity in cluster.pod_identities:
        if identity.role_arn is None:
            yield names.pod_role(identity.namespace, identity.service_account), identity


def admin_policy(partition: str) -> str:
    return f"arn:{partition}:eks::aws:cluster-access-policy/{ADMIN_POLICY}"


def ami_type(group: NodeGroup) -> str:
    """AWS's word for the family, the architecture and the accelerator of the first instance type."""
    kind = group.instance_types[0]
    arm = bool(_GRAVITON.match(kind))
    nvidia = bool(_ACCELERATED.match(kind)) and not _NO_NVIDIA.match(kind)
    if group.ami == "Bottlerocket":
        return f"BOTTLEROCKET_{'ARM_64' if arm else 'x86_64'}{'_NVIDIA' if nvidia else ''}"
    if _NEURON.match(kind):
        return "AL2023_x86_64_NEURON"
    return f"AL2023_{'ARM_64' if arm else 'x86_64'}_{'NVIDIA' if nvidia else 'STANDARD'}"


def taint(text: str) -> dict[str, str]:
    """`dedicated=database:NoSchedule` as the API writes it."""
    pair, _, effect = text.rpartition(":")
    key, _, value = pair.partition("=")
    return {"key": key, "value": value, "effect": _EFFECTS[effect]}


def minor(version: str) -> int:
    """35 of "1.35"."""
    return int(version.split(".")[1])
