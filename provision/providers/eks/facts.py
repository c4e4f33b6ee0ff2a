"""What was seen of an AWS account: frozen data, no I/O. Read by `observe`, judged by checks, plan and status.

Only what concerns the cluster: resources with its tags, resources that have a name which it needs, and the subnets
that its file names. `owned` says that a resource carries our tags; what does not is never changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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
class VpcFacts:
    """A VPC of ours. `zones` are those that it was made for, in order."""

    id: str
    cidr: str
    zones: tuple[str, ...]
    dns_support: bool
    dns_hostnames: bool
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SubnetFacts:
    """A subnet of ours (`part` is "subnet-private-eu-central-1a"), or one that the file names (`part` is "")."""

    id: str
    part: str
    vpc: str
    zone: str
    cidr: str
    free_addresses: int
    public_addresses: bool  # whether machines in it are given one
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class InternetGatewayFacts:
    id: str
    attached_to: str  # id of a VPC, "" if none
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressFacts:
    """An elastic IP of ours."""

    id: str  # eipalloc-...
    part: str
    ip: str
    associated: bool
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class NatFacts:
    """A NAT gateway of ours that is not deleted. `state`: pending, available, failed or deleting."""

    id: str
    part: str
    subnet: str
    address: str  # eipalloc-..., "" if it has none
    state: str
    failure: str  # AWS's words, "" if it did not fail
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteTableFacts:
    id: str
    part: str
    routes: Mapping[str, str]  # destination to gateway or NAT gateway id; without the route inside of the VPC
    associations: Mapping[str, str]  # subnet id to association id
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The network parts with our tags, or the existing subnets of the file.

    `zones` are those of the cluster, in order: of the VPC, else of the file, else chosen. More than one VPC means
    that somebody copied our tags, or that AWS did not yet show what a killed run had made.
    """

    zones: tuple[str, ...] = ()
    vpcs: tuple[VpcFacts, ...] = ()
    subnets: tuple[SubnetFacts, ...] = ()
    internet_gateways: tuple[InternetGatewayFacts, ...] = ()
    addresses: tuple[AddressFacts, ...] = ()
    nats: tuple[NatFacts, ...] = ()
    route_tables: tuple[RouteTableFacts, ...] = ()

    @property
    def vpc(self) -> VpcFacts | None:
        return self.vpcs[0] if self.vpcs else None

    def subnet(self, part: str) -> SubnetFacts | None:
        return next((one for one in self.subnets if one.part == part), None)

    def address(self, part: str) -> AddressFacts | None:
        """The one in use, if there are two: AWS may show a killed run's too late for the next one to see it."""
        found = [one for one in self.addresses if one.part == part]
        return min(found, key=lambda one: not one.associated, default=None)

    def nat(self, part: str) -> NatFacts | None:
        """The one that works or will; a failed or vanishing one only if there is no other."""
        found = [one for one in self.nats if one.part == part]
        return min(found, key=lambda one: one.state not in {"available", "pending"}, default=None)

    def route_table(self, part: str) -> RouteTableFacts | None:
        return next((one for one in self.route_tables if one.part == part), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleFacts:
    """A role of IAM with the name of one of ours, or one below our path. `part` is "" if its tags do not say."""

    name: str
    arn: str
    id: str  # AROA...; a role made anew under the same name has another
    part: str
    owned: bool
    policies: tuple[str, ...]  # ARNs of the attached ones, sorted
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthIssue:
    """What AWS says is wrong with a resource; `provision.providers.eks.health` puts it into words."""

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
    oidc_issuer: str
    vpc: str
    subnets: tuple[str, ...]
    security_group: str  # the one that EKS made
    public: bool  # the endpoint can be reached from outside of the VPC
    private: bool  # and from inside
    public_cidrs: tuple[str, ...]
    service_cidr: str
    authentication_mode: str
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
    scaling_groups: tuple[str, ...]
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


@dataclass(frozen=True, slots=True, kw_only=True)
class AddonOffer:
    """Versions of an add-on that EKS offers for a minor of Kubernetes, newest first, and the default among them."""

    addon: str
    kubernetes: str
    versions: tuple[str, ...]
    default: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Everything that one look at the account showed; `at` is seconds since the epoch.

    The parts of the cluster (node groups ... pod identities) were read only if the cluster is ours and is there.
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

    def role(self, name: str) -> RoleFacts | None:
        """The role of that IAM name."""
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
