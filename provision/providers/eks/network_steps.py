"""The network that is missing: VPC, subnets, gateways and routes of our own. Existing subnets are left alone. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from provision.providers.eks import desired, names
from provision.providers.eks.view import Row, View, step

if TYPE_CHECKING:
    from provision.model.plan import PlaybookStep
    from provision.providers.eks.facts import Network, RouteTableFacts

WAITING_FOR_NAT = "usually 1 to 3 minutes"


def network_steps(view: View) -> Iterator[PlaybookStep]:
    if view.cluster.vpc.subnets is not None:
        return
    yield from step(
        "network",
        "Make the VPC with its subnets",
        [*_vpc(view), *_subnets(view), *_public(view)],
        awaited=True,
    )
    yield from step(
        "nat",
        "Give the private subnets a way out",
        _nat(view),
        needs=("network",),
        requires=[names.VPC, names.INTERNET_GATEWAY, names.PUBLIC_ROUTES],
        awaited=True,
    )


def _vpc(view: View) -> Iterator[Row]:
    vpc = view.seen.network.vpc
    reasons = []
    if vpc is None:
        reasons.append("is missing")
    else:
        reasons += [] if vpc.dns_support else ["does not resolve names (enableDnsSupport)"]
        reasons += [] if vpc.dns_hostnames else ["gives machines no DNS names (enableDnsHostnames)"]
    yield Row(names.VPC, tuple(reasons), {"cidr": view.cluster.vpc.cidr, "zones": list(view.zones)})


def _subnets(view: View) -> Iterator[Row]:
    for wanted in desired.subnets(view.cluster, view.zones):
        found = view.seen.network.subnet(wanted.part)
        reasons: list[str] = []
        if found is None:
            reasons.append("is missing")
        elif wanted.public and not found.public_addresses:
            reasons.append("gives machines no public addresses")
        spec = {"zone": wanted.zone, "cidr": wanted.cidr, "public": wanted.public}
        yield Row(wanted.part, tuple(reasons), spec)


def _public(view: View) -> Iterator[Row]:
    """The internet gateway, and the routes of the public subnets to it."""
    network = view.seen.network
    gateway = network.internet_gateways[0] if network.internet_gateways else None
    unattached = "is not attached to the VPC"
    reasons = ("is missing",) if gateway is None else () if gateway.attached_to else (unattached,)
    yield Row(names.INTERNET_GATEWAY, reasons)
    parts = [names.public_subnet(zone) for zone in view.zones]
    table = network.route_table(names.PUBLIC_ROUTES)
    target = gateway.id if gateway else ""
    why = tuple(_route_reasons(network, table, parts, target, names.INTERNET_GATEWAY))
    yield Row(names.PUBLIC_ROUTES, why, {"subnets": parts, "target": names.INTERNET_GATEWAY})


def _nat(view: View) -> Iterator[Row]:
    """Addresses and NAT gateways, a route table for each private subnet, and gateways that are not wanted any more."""
    network = view.seen.network
    zones = desired.nat_zones(view.cluster, view.zones)
    for zone in zones:
        address = network.address(names.address(zone))
        yield Row(names.address(zone), () if address else ("is missing",))
        nat = network.nat(names.nat(zone))
        reasons = () if nat and nat.state == "available" else (f"is {nat.state}" if nat else "is missing",)
        spec = {"subnet": names.public_subnet(zone), "address": names.address(zone)}
        yield Row(names.nat(zone), reasons, spec)
    for zone in view.zones:
        part, goal = names.private_routes(zone), desired.nat_of(view.cluster, view.zones, zone)
        table, subnet = network.route_table(part), names.private_subnet(zone)
        nat = network.nat(goal) if goal else None
        why = tuple(_route_reasons(network, table, [subnet], nat.id if nat else "", goal))
        yield Row(part, why, {"subnets": [subnet], "target": goal})
    yield from _too_many(network, zones)


def _too_many(network: Network, zones: tuple[str, ...]) -> Iterator[Row]:
    """NAT gateways and addresses of zones that need none, or that failed beside one that works."""
    wanted = {names.nat(zone) for zone in zones} | {names.address(zone) for zone in zones}
    for nat in network.nats:
        if nat.part not in wanted and nat.state != "deleting":
            yield Row(nat.part, ("is not needed any more",), {"remove": True})
    for address in network.addresses:
        if address.part not in wanted:
            yield Row(address.part, ("is not needed any more",), {"remove": True, "id": address.id})
        elif address != network.address(address.part) and not address.associated:
            name = f"{address.part} ({address.ip})"
            yield Row(name, ("is there twice",), {"remove": True, "id": address.id})


def _route_reasons(
    network: Network, table: RouteTableFacts | None, parts: list[str], target: str, goal: str | None
) -> Iterator[str]:
    """What a route table lacks: itself, its route out to `target` (an id, "" while it is not there), its subnets."""
    if table is None:
        yield "are missing"
        return
    found = table.routes.get(desired.ANYWHERE)
    if goal is not None and found is None:
        yield f"have no route to {goal}"
    elif (goal is None and found is not None) or (goal is not None and found != target):
        yield f"lead to {found} instead of {goal or 'nowhere'}"
    for part in parts:
        subnet = network.subnet(part)
        if subnet is not None and subnet.id not in table.associations:
            yield f"are not those of {part}"
