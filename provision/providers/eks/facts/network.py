"""Facts about the network of a cluster, and about what a cluster makes in it by itself. Frozen data, no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class VpcFacts:
    """A VPC that provision made. `zones` are those that it was made for, in order."""

    id: str
    cidr: str
    zones: tuple[str, ...]
    dns_support: bool
    dns_hostnames: bool
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SubnetFacts:
    """A subnet that provision made (`part` "subnet-private-eu-central-1a") or that the file names (`part` "")."""

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
    """An elastic IP that provision made."""

    id: str  # eipalloc-...
    part: str
    ip: str
    associated: bool
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class NatFacts:
    """A NAT gateway that provision made and that is not deleted. `state`: pending, available, failed or deleting."""

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
    """The network parts with provision's tags, or the existing subnets of the file.

    `zones` are those of the cluster, in order: of the VPC, else of the file, else chosen. More than one VPC means
    that tags were copied by hand, or that AWS did not yet show what a killed run had made.
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
class LoadBalancerFacts:
    """`arn` is "" for a classic one, which has none."""

    name: str
    arn: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetGroupFacts:
    name: str
    arn: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityGroupFacts:
    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeFacts:
    """A volume of a PersistentVolumeClaim. `claim` is "namespace/name", "" if its tags do not say."""

    id: str
    claim: str
    size: int  # GiB


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphans:
    """What the cluster made by itself and is there now. `interfaces` are ids of unattached network interfaces."""

    load_balancers: tuple[LoadBalancerFacts, ...] = ()
    target_groups: tuple[TargetGroupFacts, ...] = ()
    security_groups: tuple[SecurityGroupFacts, ...] = ()
    interfaces: tuple[str, ...] = ()
    volumes: tuple[VolumeFacts, ...] = ()
