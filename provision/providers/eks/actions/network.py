"""Makes and finishes the VPC: attributes, subnets, internet gateway, the public route table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol, cast

from provision.providers.eks import desired, names
from provision.providers.eks.actions.making import link, make
from provision.providers.eks.actions.routes import ensure_routes
from provision.providers.eks.readers.network import read_ours
from provision.providers.eks.readers.tags import listing

if TYPE_CHECKING:
    from provision.providers.eks.facts import Network
    from provision.providers.eks.work import Work

_SHOWN = 120.0  # seconds until AWS shows what it has made; usually one


def ensure_network(work: Work) -> None:
    network = read_ours(work.cluster.name, work.account)
    if names.VPC in work.step.hosts and not work.attempt(
        names.VPC, "create VPC", lambda: _vpc(work, network)
    ):
        return
    if network.vpc is None:  # it was made just now
        network = read_ours_with_vpc(work)
    subnets = [host for host in work.step.hosts if host.startswith("subnet-")]
    first: list[tuple[str, str, Callable[[], Iterator[str]]]] = [
        (host, "create subnet", partial(_subnet, work, network, host)) for host in subnets
    ]
    if names.INTERNET_GATEWAY in work.step.hosts:
        task = partial(_internet_gateway, work, network)
        first.append((names.INTERNET_GATEWAY, "create internet gateway", task))
    if not work.attempt_all(first):
        return
    if names.PUBLIC_ROUTES in work.step.hosts:
        work.attempt(names.PUBLIC_ROUTES, "create routes", lambda: _public_routes(work))


def _public_routes(work: Work) -> Iterator[str]:
    part = names.PUBLIC_ROUTES
    network = seen_with(work, part, [names.public_subnet(zone) for zone in work.observation.network.zones])
    return ensure_routes(work, network, part, network.internet_gateways[0].id)


def seen_with(work: Work, resource: str, subnets: Sequence[str]) -> Network:
    """Our network once AWS shows these subnets and the internet gateway, which were made a moment ago."""

    def look() -> Network | None:
        network = read_ours(work.cluster.name, work.account)
        there = all(network.subnet(part) for part in subnets) and network.internet_gateways
        return network if there else None

    return work.until(resource, "AWS shows the subnets", look, limit=_SHOWN)


def read_ours_with_vpc(work: Work) -> Network:
    """The network once AWS shows the VPC that was made a moment ago."""

    def look() -> Network | None:
        network = read_ours(work.cluster.name, work.account)
        return network if network.vpc else None

    return work.until(names.VPC, "AWS shows the VPC", look, limit=_SHOWN)


def _vpc(work: Work, network: Network) -> Iterator[str]:
    ec2, spec = work.account.client("ec2"), work.spec(names.VPC)
    found = network.vpc
    if found is None:
        zones = " ".join(cast("list[str]", spec["zones"]))
        tags = {**work.tags(names.VPC), names.ZONES: zones}
        made = make(
            work,
            names.VPC,
            "create VPC",
            find=lambda: _id(read_ours(work.cluster.name, work.account).vpc),
            create=lambda: work.account.client("ec2", once=True).create_vpc(
                CidrBlock=str(spec["cidr"]),
                TagSpecifications=[{"ResourceType": "vpc", "Tags": listing(tags)}],
            )["Vpc"]["VpcId"],
        )
        yield f"made {made} with {spec['cidr']}"
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


def _subnet(work: Work, network: Network, part: str) -> Iterator[str]:
    ec2, spec = work.account.client("ec2"), work.spec(part)
    found = network.subnet(part)
    vpc = network.vpc
    assert vpc is not None  # noqa: S101  (ensure_network has seen it)
    if found is None:
        role = desired.PUBLIC_TAG if spec["public"] else desired.PRIVATE_TAG
        tags = {**work.tags(part), role: "1"}
        made = make(
            work,
            part,
            "create subnet",
            find=lambda: _id(read_ours(work.cluster.name, work.account).subnet(part)),
            create=lambda: work.account.client("ec2", once=True).create_subnet(
                VpcId=vpc.id,
                AvailabilityZone=str(spec["zone"]),
                CidrBlock=str(spec["cidr"]),
                TagSpecifications=[{"ResourceType": "subnet", "Tags": listing(tags)}],
            )["Subnet"]["SubnetId"],
        )
        yield f"made {made} with {spec['cidr']}"
    else:
        made = found.id
    if spec["public"] and not (found and found.public_addresses):
        work.once_there(
            part,
            "give public addresses",
            lambda: ec2.modify_subnet_attribute(SubnetId=made, MapPublicIpOnLaunch={"Value": True}),
        )
        yield "gives machines public addresses"


def _internet_gateway(work: Work, network: Network) -> Iterator[str]:
    ec2 = work.account.client("ec2")
    vpc = network.vpc
    assert vpc is not None  # noqa: S101  (ensure_network has seen it)
    found = next(iter(network.internet_gateways), None)
    if found is None:
        tags = listing(work.tags(names.INTERNET_GATEWAY))
        made = make(
            work,
            names.INTERNET_GATEWAY,
            "create internet gateway",
            find=lambda: _id(next(iter(read_ours(work.cluster.name, work.account).internet_gateways), None)),
            create=lambda: work.account.client("ec2", once=True).create_internet_gateway(
                TagSpecifications=[{"ResourceType": "internet-gateway", "Tags": tags}]
            )["InternetGateway"]["InternetGatewayId"],
        )
        yield f"made {made}"
    else:
        made = found.id
    if found is None or not found.attached_to:
        work.once_there(
            names.INTERNET_GATEWAY,
            "attach",
            link(lambda: ec2.attach_internet_gateway(InternetGatewayId=made, VpcId=vpc.id)),
        )
        yield f"attached it to {vpc.id}"


class _Made(Protocol):
    @property
    def id(self) -> str: ...


def _id(found: _Made | None) -> str | None:
    return found.id if found else None
