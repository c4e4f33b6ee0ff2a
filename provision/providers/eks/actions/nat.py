"""Makes and finishes the private subnets' way out: elastic IPs, NAT gateways, route tables. Takes old ones away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from provision.errors import StepFailedError
from provision.providers.eks import names
from provision.providers.eks.actions.making import make
from provision.providers.eks.actions.network import seen_with
from provision.providers.eks.actions.routes import ensure_routes
from provision.providers.eks.deletions.network import delete_nat, release_address
from provision.providers.eks.readers.network import read_ours
from provision.providers.eks.readers.tags import listing

if TYPE_CHECKING:
    from provision.providers.eks.facts import NatFacts, Network
    from provision.providers.eks.work import Work

_LIMIT = 900.0  # seconds
_USUAL = "usually 1 to 3 minutes"


def ensure_nat(work: Work) -> None:
    wanted = [host for host in work.step.hosts if not work.spec(host).get("remove")]
    old = [host for host in work.step.hosts if work.spec(host).get("remove")]
    network = read_ours(work.cluster.name, work.account)
    addresses = _tasks(work, [host for host in wanted if host.startswith("address-")], "allocate", _address)
    if not work.attempt_all(addresses):
        return
    nats = [host for host in wanted if host.startswith("nat-")]
    if not work.attempt_all(_tasks(work, nats, f"create NAT gateway ({_USUAL})", _nat)):
        return
    tables = [host for host in wanted if host.startswith("routes-")]
    if tables:
        zones = work.observation.network.zones
        network = seen_with(work, tables[0], [names.private_subnet(zone) for zone in zones])
        if not work.attempt_all(
            [(host, "create routes", partial(_routes, work, network, host)) for host in tables]
        ):
            return
    if not work.attempt_all(
        _tasks(work, [host for host in old if host.startswith("nat-")], "delete", _remove_nat)
    ):
        return
    work.attempt_all(
        _tasks(work, [host for host in old if host.startswith("address-")], "release", _remove_address)
    )


def _tasks(
    work: Work, hosts: list[str], task: str, do: Callable[[Work, str], Iterator[str]]
) -> list[tuple[str, str, Callable[[], Iterator[str]]]]:
    return [(host, task, partial(do, work, host)) for host in hosts]


def _address(work: Work, part: str) -> Iterator[str]:
    if read_ours(work.cluster.name, work.account).address(part) is not None:
        return
    tags = listing(work.tags(part))

    def find() -> str | None:
        found = read_ours(work.cluster.name, work.account).address(part)
        return found.id if found else None

    made = make(
        work,
        part,
        "allocate",
        find=find,
        create=lambda: work.account.client("ec2", once=True).allocate_address(
            Domain="vpc", TagSpecifications=[{"ResourceType": "elastic-ip", "Tags": tags}]
        )["AllocationId"],
    )
    yield f"allocated {made}"


def _nat(work: Work, part: str) -> Iterator[str]:
    """The gateway, available; a failed one of ours is deleted and made anew."""
    spec = work.spec(part)
    address = str(spec["address"])

    def look() -> Network | None:
        network = seen_with(work, part, [str(spec["subnet"])])
        return network if network.address(address) else None

    network = work.until(part, "AWS shows the address", look, limit=120)
    found = network.nat(part)
    if found is not None and found.state in {"failed", "deleting"}:
        yield f"deleted {found.id}, which failed: {found.failure or 'AWS says no more'}"
        delete_nat(work, part, found.id)
        yield from _create(work, part, network, found.id)
    elif found is None:
        yield from _create(work, part, network, "")
    _until_available(work, part)


def _create(work: Work, part: str, network: Network, replaced: str) -> Iterator[str]:
    spec = work.spec(part)
    subnet, address = network.subnet(str(spec["subnet"])), network.address(str(spec["address"]))
    assert subnet is not None  # noqa: S101  (_nat has waited for both)
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
                TagSpecifications=[{"ResourceType": "natgateway", "Tags": listing(work.tags(part))}],
            ),
        )["NatGateway"]

    made = create(replaced)
    if made["State"] in {"deleting", "deleted"}:  # AWS remembers the token of one that somebody deleted
        made = create(made["NatGatewayId"])
    yield f"made {made['NatGatewayId']} with {address.ip}"


def _until_available(work: Work, part: str) -> None:
    def look() -> NatFacts | None:
        found = read_ours(work.cluster.name, work.account).nat(part)
        if found is not None and found.state == "failed":
            raise StepFailedError(
                f"NAT gateway {found.id} failed: {found.failure or 'AWS says no more'}",
                fix="run the same command again: it deletes it and makes another",
            )
        return found if found is not None and found.state == "available" else None

    work.until(part, f"create NAT gateway ({_USUAL})", look, limit=_LIMIT)


def _routes(work: Work, network: Network, part: str) -> Iterator[str]:
    goal = work.spec(part)["target"]
    nat = network.nat(str(goal)) if goal else None
    return ensure_routes(work, network, part, nat.id if nat else None)


def _remove_nat(work: Work, part: str) -> Iterator[str]:
    found = read_ours(work.cluster.name, work.account).nat(part)
    if found is not None and delete_nat(work, part, found.id):
        yield f"deleted {found.id}"


def _remove_address(work: Work, part: str) -> Iterator[str]:
    address = str(work.spec(part)["id"])
    if release_address(work, part, address):
        yield f"released {address}"
