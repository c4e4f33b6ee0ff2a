"""The way out of private subnets: elastic IPs, NAT gateways, private route tables; and those that are surplus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from provision.errors import StepFailedError
from provision.providers.eks import names
from provision.providers.eks.resources.network import until_shown
from provision.providers.eks.resources.network_reads import read_own_network
from provision.providers.eks.resources.routes import RoutesChange, ensure_routes, routes_change
from provision.providers.eks.resources.vpc_cleanup import delete_nat, release_address
from provision.providers.eks.steps.planning import Change, Deletion

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provision.model.eks import EksCluster
    from provision.providers.eks.facts import NatFacts, Network
    from provision.providers.eks.steps.execution import Work
    from provision.providers.eks.steps.planning import PlanContext

_LIMIT = 900.0  # seconds
_ADDRESS_SHOWN = 120.0  # seconds
_USUAL = "usually 1 to 3 minutes"
_SURPLUS = ("is not needed any more",)

# Resources that the private subnets' way out depends on.
REQUIRED = (names.VPC, names.INTERNET_GATEWAY, names.PUBLIC_ROUTES)


@dataclass(frozen=True, slots=True)
class AddressChange(Change):
    """An elastic IP to allocate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NatChange(Change):
    """A NAT gateway in the public subnet `subnet` with the elastic IP `address` (by part)."""

    subnet: str
    address: str


@dataclass(frozen=True, slots=True)
class AddressDeletion(Deletion):
    """A surplus elastic IP."""


@dataclass(frozen=True, slots=True)
class NatDeletion(Deletion):
    """A surplus NAT gateway."""


def nat_zones(cluster: EksCluster, zones: tuple[str, ...]) -> tuple[str, ...]:
    return {"single": zones[:1], "per-zone": zones, "none": ()}[cluster.vpc.nat]


def changes(context: PlanContext) -> Iterator[Change]:
    """Addresses, NAT gateways and a route table for each private subnet; then what is surplus."""
    if context.cluster.vpc.subnets is not None:
        return
    network, zones = context.observation.network, nat_zones(context.cluster, context.zones)
    for zone in zones:
        address = network.address(names.address(zone))
        yield AddressChange(names.address(zone), () if address else ("is missing",))
        nat = network.nat(names.nat(zone))
        reasons = () if nat and nat.state == "available" else (f"is {nat.state}" if nat else "is missing",)
        yield NatChange(
            names.nat(zone), reasons, subnet=names.public_subnet(zone), address=names.address(zone)
        )
    for zone in context.zones:
        target = names.nat(zone if zone in zones else zones[0]) if zones else None
        nat = network.nat(target) if target else None
        subnet = (names.private_subnet(zone),)
        yield routes_change(network, names.private_routes(zone), subnet, target, nat.id if nat else "")
    yield from _surplus(network, zones)


def _surplus(network: Network, zones: tuple[str, ...]) -> Iterator[Deletion]:
    """NAT gateways and addresses of zones that need none, and addresses that are there twice."""
    wanted = {names.nat(zone) for zone in zones} | {names.address(zone) for zone in zones}
    for nat in network.nats:
        if nat.part not in wanted and nat.state != "deleting":
            yield NatDeletion(nat.part, _SURPLUS, nat.id)
    for address in network.addresses:
        if address.part not in wanted:
            yield AddressDeletion(address.part, _SURPLUS, address.id)
        elif address != network.address(address.part) and not address.associated:
            name = f"{address.part} ({address.ip})"
            yield AddressDeletion(name, ("is there twice",), address.id)


def ensure(work: Work) -> None:
    """Each kind of resource builds on the one before: the first kind that fails ends the step."""
    if (
        work.attempt_each(AddressChange, "allocate", _ensure_address)
        and work.attempt_each(NatChange, f"create NAT gateway ({_USUAL})", _ensure_nat)
        and _ensure_private_routes(work)
        and work.attempt_each(NatDeletion, "delete", _delete_nat)
    ):
        work.attempt_each(AddressDeletion, "release", _release)


def _ensure_private_routes(work: Work) -> bool:
    changes = work.changes(RoutesChange)
    if not changes:
        return True
    zones = work.observation.network.zones
    network = until_shown(work, changes[0].resource, [names.private_subnet(zone) for zone in zones])

    def ensure_one(work: Work, change: RoutesChange) -> Iterator[str]:
        nat = network.nat(change.target) if change.target else None
        return ensure_routes(work, network, change, nat.id if nat else None)

    return work.attempt_each(RoutesChange, "create routes", ensure_one)


def _ensure_address(work: Work, change: AddressChange) -> Iterator[str]:
    part = change.resource

    def find() -> str | None:
        found = read_own_network(work.cluster.name, work.account).address(part)
        return found.id if found else None

    if find() is not None:
        return
    tags = names.tag_list(work.tags(part))
    made = work.create_once(
        part,
        "allocate",
        find=find,
        create=lambda: work.account.client("ec2", once=True).allocate_address(
            Domain="vpc", TagSpecifications=[{"ResourceType": "elastic-ip", "Tags": tags}]
        )["AllocationId"],
    )
    yield f"allocated {made}"


def _ensure_nat(work: Work, change: NatChange) -> Iterator[str]:
    """The gateway, available; one that failed is replaced."""
    part = change.resource

    def with_address() -> Network | None:
        network = until_shown(work, part, [change.subnet])
        return network if network.address(change.address) else None

    network = work.until(part, "AWS shows the address", with_address, limit=_ADDRESS_SHOWN)
    found = network.nat(part)
    if found is not None and found.state in {"failed", "deleting"}:
        yield f"deleted {found.id}, which failed: {found.failure or 'AWS says no more'}"
        delete_nat(work, part, found.id)
        yield from _create_nat(work, change, network, found.id)
    elif found is None:
        yield from _create_nat(work, change, network, "")

    def available() -> NatFacts | None:
        found = read_own_network(work.cluster.name, work.account).nat(part)
        if found is not None and found.state == "failed":
            raise StepFailedError(
                f"NAT gateway {found.id} failed: {found.failure or 'AWS says no more'}",
                fix="run the same command again: it deletes it and makes another",
            )
        return found if found is not None and found.state == "available" else None

    work.until(part, f"create NAT gateway ({_USUAL})", available, limit=_LIMIT)


def _create_nat(work: Work, change: NatChange, network: Network, replaced: str) -> Iterator[str]:
    part = change.resource
    subnet, address = network.subnet(change.subnet), network.address(change.address)
    assert subnet is not None  # noqa: S101  (_ensure_nat has waited for both)
    assert address is not None  # noqa: S101

    def create(replaced: str) -> Any:
        request = {"subnet": subnet.id, "address": address.id, "replaced": replaced}
        return work.once_there(
            part,
            "create NAT gateway",
            lambda: work.account.client("ec2").create_nat_gateway(
                SubnetId=subnet.id,
                AllocationId=address.id,
                ClientToken=work.token(request),
                TagSpecifications=[{"ResourceType": "natgateway", "Tags": names.tag_list(work.tags(part))}],
            ),
        )["NatGateway"]

    made = create(replaced)
    if made["State"] in {"deleting", "deleted"}:  # AWS remembers the token of one that was deleted by hand
        made = create(made["NatGatewayId"])
    yield f"made {made['NatGatewayId']} with {address.ip}"


def _delete_nat(work: Work, deletion: NatDeletion) -> Iterator[str]:
    if delete_nat(work, deletion.resource, deletion.id):
        yield f"deleted {deletion.id}"


def _release(work: Work, deletion: AddressDeletion) -> Iterator[str]:
    if release_address(work, deletion.resource, deletion.id):
        yield f"released {deletion.id}"
