"""VPC, subnets, internet gateway and public routes of the cluster's own network. Existing subnets are left alone."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

from provision.providers.eks import names
from provision.providers.eks.resources.network_reads import read_own_network
from provision.providers.eks.resources.routes import RoutesChange, ensure_routes, routes_change
from provision.providers.eks.steps.planning import Change
from provision.providers.eks.steps.waiting import unless_done

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from provision.model.eks import EksCluster
    from provision.providers.eks.facts import Network
    from provision.providers.eks.steps.execution import Task, Work
    from provision.providers.eks.steps.planning import PlanContext

# Tags by which load balancers find their subnets: https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
_PUBLIC_TAG, _PRIVATE_TAG = "kubernetes.io/role/elb", "kubernetes.io/role/internal-elb"
_SHOWN = 120.0  # seconds until AWS shows what it has made; usually one


@dataclass(frozen=True, slots=True, kw_only=True)
class VpcChange(Change):
    cidr: str
    zones: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SubnetChange(Change):
    zone: str
    cidr: str
    public: bool


def subnets(cluster: EksCluster, zones: tuple[str, ...]) -> tuple[SubnetChange, ...]:
    """A public and a private subnet per zone, of equal size: a /16 and three zones give /19s, public ones first."""
    bits = max(1, (2 * len(zones) - 1).bit_length())
    ranges = map(str, ipaddress.ip_network(cluster.vpc.cidr).subnets(prefixlen_diff=bits))
    return tuple(
        SubnetChange(part(zone), (), zone=zone, cidr=next(ranges), public=part is names.public_subnet)
        for part in (names.public_subnet, names.private_subnet)
        for zone in zones
    )


def changes(context: PlanContext) -> Iterator[Change]:
    """What the network lacks, but for its NAT gateways and private routes."""
    if context.cluster.vpc.subnets is not None:
        return
    network = context.observation.network
    yield _vpc_change(context)
    for wanted in subnets(context.cluster, context.zones):
        found = network.subnet(wanted.resource)
        reasons: tuple[str, ...] = ()
        if found is None:
            reasons = ("is missing",)
        elif wanted.public and not found.public_addresses:
            reasons = ("gives machines no public addresses",)
        yield SubnetChange(wanted.resource, reasons, zone=wanted.zone, cidr=wanted.cidr, public=wanted.public)
    gateway = network.internet_gateways[0] if network.internet_gateways else None
    unattached = ("is not attached to the VPC",)
    yield Change(
        names.INTERNET_GATEWAY,
        ("is missing",) if gateway is None else () if gateway.attached_to else unattached,
    )
    parts = tuple(names.public_subnet(zone) for zone in context.zones)
    yield routes_change(
        network, names.PUBLIC_ROUTES, parts, names.INTERNET_GATEWAY, gateway.id if gateway else ""
    )


def _vpc_change(context: PlanContext) -> VpcChange:
    vpc = context.observation.network.vpc
    reasons = []
    if vpc is None:
        reasons.append("is missing")
    else:
        reasons += [] if vpc.dns_support else ["does not resolve names (enableDnsSupport)"]
        reasons += [] if vpc.dns_hostnames else ["gives machines no DNS names (enableDnsHostnames)"]
    return VpcChange(names.VPC, tuple(reasons), cidr=context.cluster.vpc.cidr, zones=context.zones)


def ensure(work: Work) -> None:
    network = read_own_network(work.cluster.name, work.account)
    for vpc in work.changes(VpcChange):
        if not work.attempt(vpc.resource, "create VPC", partial(_ensure_vpc, work, network, vpc)):
            return
    if network.vpc is None:  # it was made just now
        network = _with_vpc(work)
    tasks: list[Task] = [
        (one.resource, "create subnet", partial(_ensure_subnet, work, network, one))
        for one in work.changes(SubnetChange)
    ]
    if names.INTERNET_GATEWAY in work.step.hosts:
        gateway = partial(_ensure_internet_gateway, work, network)
        tasks.append((names.INTERNET_GATEWAY, "create internet gateway", gateway))
    if not work.attempt_all(tasks):
        return
    for routes in work.changes(RoutesChange):
        work.attempt(routes.resource, "create routes", partial(_ensure_public_routes, work, routes))


def until_shown(work: Work, resource: str, parts: Sequence[str]) -> Network:
    """The network once AWS shows these subnets and the internet gateway, which were made a moment ago."""

    def shown() -> Network | None:
        network = read_own_network(work.cluster.name, work.account)
        there = all(network.subnet(part) for part in parts) and network.internet_gateways
        return network if there else None

    return work.until(resource, "AWS shows the subnets", shown, limit=_SHOWN)


def subnet_zones(work: Work, resource: str, placement: str) -> dict[str, str]:
    """Subnet id to zone, for `placement`: private, public, or both ("all"). Waits until AWS shows all of them."""
    private, public = placement in {"private", "all"}, placement in {"public", "all"}
    existing = work.cluster.vpc.subnets
    if existing is not None:
        ids = [*(existing.private if private else ()), *(existing.public if public else ())]
        return {one.id: one.zone for one in work.observation.network.subnets if one.id in ids}
    zones = work.observation.network.zones
    parts = [names.private_subnet(zone) for zone in zones] if private else []
    parts += [names.public_subnet(zone) for zone in zones] if public else []
    network = until_shown(work, resource, parts)
    found = [network.subnet(part) for part in parts]
    return {one.id: one.zone for one in found if one is not None}


def _with_vpc(work: Work) -> Network:
    """The network once AWS shows the VPC that was made a moment ago."""

    def shown() -> Network | None:
        network = read_own_network(work.cluster.name, work.account)
        return network if network.vpc else None

    return work.until(names.VPC, "AWS shows the VPC", shown, limit=_SHOWN)


def _ensure_vpc(work: Work, network: Network, change: VpcChange) -> Iterator[str]:
    ec2, found = work.account.client("ec2"), network.vpc
    if found is None:
        tags = {**work.tags(names.VPC), names.ZONES: " ".join(change.zones)}
        made = work.create_once(
            names.VPC,
            "create VPC",
            find=lambda: _id(read_own_network(work.cluster.name, work.account).vpc),
            create=lambda: work.account.client("ec2", once=True).create_vpc(
                CidrBlock=change.cidr,
                TagSpecifications=[{"ResourceType": "vpc", "Tags": names.tag_list(tags)}],
            )["Vpc"]["VpcId"],
        )
        yield f"made {made} with {change.cidr}"
    else:
        made = found.id
    if found is not None and not found.dns_support:
        ec2.modify_vpc_attribute(VpcId=made, EnableDnsSupport={"Value": True})
        yield "turned name resolution on"
    if found is None or not found.dns_hostnames:
        work.once_there(
            names.VPC,
            "turn DNS names on",
            lambda: ec2.modify_vpc_attribute(VpcId=made, EnableDnsHostnames={"Value": True}),
        )
        yield "turned DNS names of machines on"


def _ensure_subnet(work: Work, network: Network, change: SubnetChange) -> Iterator[str]:
    ec2, vpc, part = work.account.client("ec2"), network.vpc, change.resource
    assert vpc is not None  # noqa: S101  (ensure has seen it)
    found = network.subnet(part)
    if found is None:
        tags = {**work.tags(part), _PUBLIC_TAG if change.public else _PRIVATE_TAG: "1"}
        made = work.create_once(
            part,
            "create subnet",
            find=lambda: _id(read_own_network(work.cluster.name, work.account).subnet(part)),
            create=lambda: work.account.client("ec2", once=True).create_subnet(
                VpcId=vpc.id,
                AvailabilityZone=change.zone,
                CidrBlock=change.cidr,
                TagSpecifications=[{"ResourceType": "subnet", "Tags": names.tag_list(tags)}],
            )["Subnet"]["SubnetId"],
        )
        yield f"made {made} with {change.cidr}"
    else:
        made = found.id
    if change.public and not (found and found.public_addresses):
        work.once_there(
            part,
            "give public addresses",
            lambda: ec2.modify_subnet_attribute(SubnetId=made, MapPublicIpOnLaunch={"Value": True}),
        )
        yield "gives machines public addresses"


def _ensure_internet_gateway(work: Work, network: Network) -> Iterator[str]:
    ec2, vpc, part = work.account.client("ec2"), network.vpc, names.INTERNET_GATEWAY
    assert vpc is not None  # noqa: S101  (ensure has seen it)
    found = next(iter(network.internet_gateways), None)
    if found is None:
        tags = names.tag_list(work.tags(part))
        made = work.create_once(
            part,
            "create internet gateway",
            find=lambda: _id(
                next(iter(read_own_network(work.cluster.name, work.account).internet_gateways), None)
            ),
            create=lambda: work.account.client("ec2", once=True).create_internet_gateway(
                TagSpecifications=[{"ResourceType": "internet-gateway", "Tags": tags}]
            )["InternetGateway"]["InternetGatewayId"],
        )
        yield f"made {made}"
    else:
        made = found.id
    if found is None or not found.attached_to:
        attach = unless_done(lambda: ec2.attach_internet_gateway(InternetGatewayId=made, VpcId=vpc.id))
        work.once_there(part, "attach", attach)
        yield f"attached it to {vpc.id}"


def _ensure_public_routes(work: Work, change: RoutesChange) -> Iterator[str]:
    network = until_shown(work, change.resource, change.subnets)
    return ensure_routes(work, network, change, network.internet_gateways[0].id)


class _Identified(Protocol):
    @property
    def id(self) -> str: ...


def _id(found: _Identified | None) -> str | None:
    return found.id if found else None
