"""What the checks judge: the file, the observation, and what the account allows and offers. Frozen data, no I/O.

`preflight` reads the latter as far as something is still to be created or changed. None, or a missing key, means that
it was not read; what could not be read is in `Preflight.unanswered`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provision.errors import CheckError
    from provision.model.eks import Addon, EksCluster, NodeGroup
    from provision.providers.eks.checks.support import Calendar
    from provision.providers.eks.facts import AddonOffer, Observation
    from provision.providers.eks.iam.permissions import Denied

# Codes of Service Quotas.
VPCS, ADDRESSES, NATS, ON_DEMAND, SPOT = "L-F678F1CE", "L-0263D0A3", "L-FE5A380F", "L-1216C47A", "L-34B43A08"
QUOTAS: Mapping[str, tuple[str, str]] = {  # code: service, and the name in AWS's console
    VPCS: ("vpc", "VPCs per Region"),
    ADDRESSES: ("ec2", "EC2-VPC Elastic IPs"),
    NATS: ("vpc", "NAT gateways per Availability Zone"),
    ON_DEMAND: ("ec2", "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances"),
    SPOT: ("ec2", "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """An instance type of the region; `zones` are those that offer it."""

    vcpus: int
    architecture: str  # x86_64 or arm64
    spot: bool
    zones: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Zone:
    """An availability zone; `id` is the same in every account, `name` is not. `state`: available, impaired ..."""

    name: str
    id: str
    state: str


@dataclass(frozen=True, slots=True)
class Unanswered:
    """What could not be read, and why (AWS's message)."""

    what: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubectl:
    """The kubectl on PATH; `version` like "1.35"."""

    path: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """What was read of the account. `at`: seconds since the epoch; `expires`: when the credentials do, if known."""

    at: float
    expires: float | None = None
    denied: tuple[Denied, ...] = ()
    limits: Mapping[str, int] = field(default_factory=dict)  # code of a quota: a number, or vCPUs
    used: Mapping[str, int] = field(default_factory=dict)  # the same; NAT gateways of the zone with the most
    machines: Mapping[str, Machine] | None = None
    zones: tuple[Zone, ...] | None = None
    vpcs: Mapping[str, tuple[str, ...]] | None = None  # id: IPv4 ranges
    calendar: Calendar | None = None
    addons: Mapping[str, AddonOffer] = field(default_factory=dict)
    kubectl: Kubectl | None = None
    eksctl: CheckError | None = None  # why the backend eksctl cannot work
    unanswered: tuple[Unanswered, ...] = ()

    def left(self, code: str) -> int | None:
        """Unused part of a quota; None if limit or use is not known."""
        if code not in self.limits or code not in self.used:
            return None
        return max(self.limits[code] - self.used[code], 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """What is still to be created or changed, as far as checks depend on it.

    `growth`: node group -> number of nodes that are added. `addons` are to be installed or updated.
    """

    cluster: bool
    vpc: bool
    gateways: int
    addresses: int
    upgrade: bool
    growth: Mapping[str, int]
    new_groups: tuple[NodeGroup, ...]
    addons: tuple[Addon, ...]

    @property
    def anything(self) -> bool:
        return bool(
            self.cluster
            or self.vpc
            or self.gateways
            or self.upgrade
            or self.growth
            or self.new_groups
            or self.addons
        )


def pending(cluster: EksCluster, observation: Observation) -> Pending:
    """Compare the file with the observation. A cluster with another owner is refused anyway and counts as existing."""
    found = observation.cluster
    # eksctl creates the network in the stack of its cluster: it exists when the cluster does.
    own_network = cluster.vpc.subnets is None and (cluster.backend == "boto3" or found is None)
    network = observation.network
    gateways = {"none": 0, "single": 1, "per-zone": len(network.zones)}[cluster.vpc.nat] if own_network else 0
    growth = {group.name: more for group in cluster.node_groups if (more := _added(group, observation)) > 0}
    return Pending(
        cluster=found is None,
        vpc=own_network and network.vpc is None,
        gateways=max(gateways - sum(nat.state in {"pending", "available"} for nat in network.nats), 0),
        addresses=max(gateways - len(network.addresses), 0),
        upgrade=found is not None and found.version != cluster.kubernetes,
        growth=growth,
        new_groups=tuple(
            group for group in cluster.node_groups if observation.node_group(group.name) is None
        ),
        addons=tuple(addon for addon in cluster.addons if _is_due(addon, observation)),
    )


def _added(group: NodeGroup, observation: Observation) -> int:
    found = observation.node_group(group.name)
    return group.desired - (found.desired if found else 0)


def _is_due(addon: Addon, observation: Observation) -> bool:
    found = observation.addon(addon.name)
    return found is None or (addon.version is not None and addon.version != found.version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    cluster: EksCluster
    observation: Observation
    preflight: Preflight
    pending: Pending
