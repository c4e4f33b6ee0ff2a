"""Facts about an AWS account, read by `observe`: frozen data, no I/O.

Only what concerns the cluster: resources with its tags, resources that have a name which it needs, and the subnets
that its file names. `owned`: the resource carries the tags of provision; what does not is never changed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from provision.providers.eks import names
from provision.providers.eks.facts.network import (
    AddressFacts as AddressFacts,
    InternetGatewayFacts as InternetGatewayFacts,
    LoadBalancerFacts as LoadBalancerFacts,
    NatFacts as NatFacts,
    Network as Network,
    Orphans as Orphans,
    RouteTableFacts as RouteTableFacts,
    SecurityGroupFacts as SecurityGroupFacts,
    SubnetFacts as SubnetFacts,
    TargetGroupFacts as TargetGroupFacts,
    VolumeFacts as VolumeFacts,
    VpcFacts as VpcFacts,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Whose credentials these are."""

    account: str  # twelve digits
    arn: str

    @property
    def partition(self) -> str:
        """`aws`, `aws-cn` or `aws-us-gov`."""
        return self.arn.split(":")[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleFacts:
    """An IAM role with a name that the cluster needs, or below its path. `part` is "" if its tags do not say."""

    name: str
    arn: str
    id: str  # AROA...; one that is created again under the same name has another
    part: str
    owned: bool
    policies: tuple[str, ...]  # ARNs of the attached ones, sorted
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthIssue:
    """What AWS says is wrong with a resource; `provision.providers.eks.facts.health` puts it into words."""

    code: str
    message: str
    resources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterFacts:
    """The EKS cluster of that name. `status`: CREATING, ACTIVE, UPDATING, DELETING, FAILED or PENDING."""

    name: str
    arn: str
    status: str
    version: str  # "1.35"
    created: datetime | None
    owned: bool
    role_arn: str
    endpoint: str  # URL, "" until it is there
    authority: str  # CA certificate, PEM in base64
    vpc: str
    subnets: tuple[str, ...]
    public: bool  # the endpoint can be reached from outside of the VPC
    private: bool  # and from inside
    public_cidrs: tuple[str, ...]
    service_cidr: str
    creator_admin: bool | None  # None: AWS does not say
    encryption_key: str | None
    logs: tuple[str, ...]  # enabled types, sorted
    health: tuple[HealthIssue, ...]
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeGroupFacts:
    """`status`: CREATING, ACTIVE, UPDATING, DELETING, CREATE_FAILED, DELETE_FAILED or DEGRADED."""

    name: str
    arn: str
    status: str
    version: str  # "1.35"
    release: str
    created: datetime | None
    owned: bool
    instance_types: tuple[str, ...]
    capacity: str  # on-demand or spot, as in the file
    ami_type: str  # AWS's word: AL2023_x86_64_STANDARD
    disk: int  # GiB
    min: int
    desired: int
    max: int
    labels: Mapping[str, str]
    taints: tuple[str, ...]  # as in the file: key=value:NoSchedule; sorted
    subnets: tuple[str, ...]
    role_arn: str
    health: tuple[HealthIssue, ...]
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class FargateFacts:
    """`selectors` are pairs of namespace and labels.

    `status`: CREATING, ACTIVE, DELETING, CREATE_FAILED or DELETE_FAILED.
    """

    name: str
    arn: str
    status: str
    created: datetime | None
    owned: bool
    role_arn: str
    subnets: tuple[str, ...]
    selectors: tuple[tuple[str, Mapping[str, str]], ...]
    health: tuple[HealthIssue, ...]
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AddonFacts:
    """`status` as of a node group, and UPDATE_FAILED."""

    name: str
    arn: str
    status: str
    version: str
    created: datetime | None
    owned: bool
    health: tuple[HealthIssue, ...]
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessEntryFacts:
    """Who may do what in the cluster. `policies` are those that hold for the whole cluster, by ARN."""

    principal_arn: str
    arn: str
    type: str  # STANDARD, EC2_LINUX (nodes), FARGATE_LINUX ...
    owned: bool
    policies: tuple[str, ...]
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PodIdentityFacts:
    id: str
    arn: str
    namespace: str
    service_account: str
    role_arn: str
    owned: bool
    tags: Mapping[str, str]


# What is inside of the cluster; parts have a status.
Part = NodeGroupFacts | FargateFacts | AddonFacts
Child = Part | AccessEntryFacts | PodIdentityFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class AddonOffer:
    """Versions of an add-on that EKS offers for a minor of Kubernetes, newest first, and the default among them."""

    addon: str
    kubernetes: str
    versions: tuple[str, ...]
    default: str


@dataclass(frozen=True, slots=True)
class Dependent:
    """What keeps a resource from being deleted. `vanishing`: AWS takes it away by itself."""

    name: str  # id, purpose, machine: what a person can find
    vanishing: bool


def health_issues(listed: Iterable[Any]) -> tuple[HealthIssue, ...]:
    return tuple(
        HealthIssue(
            code=one.get("code", ""),
            message=one.get("message", ""),
            resources=tuple(one.get("resourceIds", ())),
        )
        for one in listed
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Everything that was read of the account; `at` is seconds since the epoch.

    The children of the cluster (node groups ... pod identities) were read only if provision made it and it is there.
    `offers` were read only where an upgrade is due.
    """

    at: float
    identity: Identity
    network: Network = field(default_factory=Network)
    roles: tuple[RoleFacts, ...] = ()
    cluster: ClusterFacts | None = None
    node_groups: tuple[NodeGroupFacts, ...] = ()
    fargate_profiles: tuple[FargateFacts, ...] = ()
    addons: tuple[AddonFacts, ...] = ()
    access_entries: tuple[AccessEntryFacts, ...] = ()
    pod_identities: tuple[PodIdentityFacts, ...] = ()
    offers: tuple[AddonOffer, ...] = ()

    @property
    def children(self) -> Iterator[tuple[str, str, Child]]:
        """What is inside of the cluster: its name in a plan, the name or id that EKS knows it by, its facts."""
        yield from ((names.node_group(one.name), one.name, one) for one in self.node_groups)
        yield from ((names.fargate_profile(one.name), one.name, one) for one in self.fargate_profiles)
        yield from ((names.addon(one.name), one.name, one) for one in self.addons)
        for entry in self.access_entries:
            yield names.access_entry(entry.principal_arn), entry.principal_arn, entry
        for one in self.pod_identities:
            yield names.pod_identity(one.namespace, one.service_account), one.id, one

    def role(self, name: str) -> RoleFacts | None:
        return next((one for one in self.roles if one.name == name), None)

    def node_group(self, name: str) -> NodeGroupFacts | None:
        return next((one for one in self.node_groups if one.name == name), None)

    def fargate_profile(self, name: str) -> FargateFacts | None:
        return next((one for one in self.fargate_profiles if one.name == name), None)

    def addon(self, name: str) -> AddonFacts | None:
        return next((one for one in self.addons if one.name == name), None)

    def access_entry(self, principal_arn: str) -> AccessEntryFacts | None:
        return next((one for one in self.access_entries if one.principal_arn == principal_arn), None)

    def pod_identity(self, namespace: str, service_account: str) -> PodIdentityFacts | None:
        wanted = (namespace, service_account)
        return next(
            (one for one in self.pod_identities if (one.namespace, one.service_account) == wanted), None
        )

    def offer(self, addon: str, kubernetes: str) -> AddonOffer | None:
        return next((one for one in self.offers if (one.addon, one.kubernetes) == (addon, kubernetes)), None)
