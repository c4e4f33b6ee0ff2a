"""Check zones, address ranges and existing subnets against the requirements of EKS."""

from __future__ import annotations

from ipaddress import IPv4Network, ip_network
from typing import TYPE_CHECKING

from provision.model.plan import Finding
from provision.providers.eks.resources.network_reads import NEVER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provision.model.eks import EksCluster
    from provision.providers.eks.checks.context import Context
    from provision.providers.eks.facts import SubnetFacts

# Free addresses that EKS requires in each subnet, and those that it recommends:
# https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html
_FEWEST_FREE, _BETTER_FREE = 6, 16
_FEWEST_ZONES = 2
_ROLE_TAGS = {"private": "kubernetes.io/role/internal-elb", "public": "kubernetes.io/role/elb"}


def zones(context: Context) -> Iterator[Finding]:
    """The zones exist, and EKS places control planes in them."""
    offered = context.preflight.zones
    if offered is None:
        return
    known = {zone.name: zone for zone in offered}
    good = [zone.name for zone in offered if zone.id not in NEVER and zone.state == "available"]
    fix = f"write `vpc.zones` with two or three of {', '.join(good)}"
    for name in context.observation.network.zones:
        zone = known.get(name)
        if zone is None:
            yield Finding.error("zone", "", f"there is no zone {name} in {context.cluster.region}", fix)
        elif zone.id in NEVER:
            yield Finding.error("zone", "", f"EKS places no control planes in {name} ({zone.id})", fix)
        elif zone.state != "available":
            yield Finding.warning("zone", "", f"AWS reports the zone {name} as {zone.state}", fix)


def ranges(context: Context) -> Iterator[Finding]:
    """Service addresses lie outside of the VPC; a new VPC does not overlap with an existing one."""
    cluster, vpcs = context.cluster, context.preflight.vpcs
    if vpcs is None:
        return
    network = context.observation.network
    existing = next((one.vpc for one in network.subnets), "") if cluster.vpc.subnets else ""
    if cluster.service_cidr and existing:
        services = _network(cluster.service_cidr)
        for range_ in vpcs.get(existing, ()):
            if services.overlaps(_network(range_)):
                yield Finding.error(
                    "ranges-overlap",
                    "",
                    f"service_cidr {services} overlaps with {range_} of {existing}",
                    "write a range that the VPC does not use, or `service_cidr: null`: EKS chooses one",
                )
    if not context.pending.vpc:
        return
    wanted = _network(cluster.vpc.cidr)
    others = [
        f"{vpc} ({range_})"
        for vpc, parts in vpcs.items()
        for range_ in parts
        if wanted.overlaps(_network(range_))
    ]
    if others:
        yield Finding.warning(
            "ranges-overlap",
            "",
            f"vpc.cidr {wanted} overlaps with {', '.join(others)}: such VPCs cannot be peered",
            "write another `vpc.cidr` now if they are to reach each other later",
        )


def subnets(context: Context) -> Iterator[Finding]:
    """Existing subnets exist, in one VPC and two zones, have free addresses and the tags for load balancers."""
    cluster, observation = context.cluster, context.observation
    asked = cluster.vpc.subnets
    if asked is None:
        return
    found = {one.id: one for one in observation.network.subnets}
    for name in (*asked.private, *asked.public):
        if name not in found:
            yield Finding.error(
                "subnet-missing",
                "",
                f"there is no subnet {name} in {cluster.region} of account {observation.identity.account}",
                "correct vpc.subnets; `aws ec2 describe-subnets` lists the existing ones",
            )
    there = [found[name] for name in (*asked.private, *asked.public) if name in found]
    vpcs = sorted({one.vpc for one in there})
    if len(vpcs) > 1:
        parts = ", ".join(f"{one.id} is in {one.vpc}" for one in there)
        yield Finding.error(
            "subnets-of-two-vpcs", "", f"the subnets are in different VPCs: {parts}", "use subnets of one VPC"
        )
    of_zones = sorted({one.zone for one in there})
    if len(there) == len(asked.private) + len(asked.public) and len(of_zones) < _FEWEST_ZONES:
        yield Finding.error(
            "one-zone",
            "",
            f"all subnets are in {of_zones[0]}; EKS needs subnets in two zones",
            "add a subnet of another zone to vpc.subnets",
        )
    if context.pending.cluster:
        for one in there:
            yield from _free_addresses(one)
        yield from _tags(cluster, found)
    yield from _public_addresses(cluster, found)


def _free_addresses(subnet: SubnetFacts) -> Iterator[Finding]:
    if subnet.free_addresses < _FEWEST_FREE:
        yield Finding.error(
            "subnet-full",
            "",
            f"{subnet.id} ({subnet.cidr}) has {subnet.free_addresses} free addresses, EKS needs {_FEWEST_FREE}",
            "use a larger subnet, or free addresses in it",
        )
    elif subnet.free_addresses < _BETTER_FREE:
        yield Finding.warning(
            "subnet-full",
            "",
            f"{subnet.id} ({subnet.cidr}) has only {subnet.free_addresses} free addresses; "
            "every node and every pod takes one",
            "use a larger subnet",
        )


def _tags(cluster: EksCluster, found: dict[str, SubnetFacts]) -> Iterator[Finding]:
    asked = cluster.vpc.subnets
    for placement, ids in (("private", asked.private), ("public", asked.public)) if asked else ():
        tag = _ROLE_TAGS[placement]
        without = [name for name in ids if name in found and found[name].tags.get(tag) != "1"]
        if without:
            yield Finding.warning(
                "subnet-tags",
                "",
                f"{', '.join(without)}: the tag {tag} is not 1, so load balancers do not find them",
                f"aws ec2 create-tags --region {cluster.region} --resources {' '.join(without)} "
                f"--tags Key={tag},Value=1",
            )


def _public_addresses(cluster: EksCluster, found: dict[str, SubnetFacts]) -> Iterator[Finding]:
    asked = cluster.vpc.subnets
    if asked is None or not any(group.subnets == "public" for group in cluster.node_groups):
        return
    for name in asked.public:
        if name in found and not found[name].public_addresses:
            yield Finding.error(
                "no-public-addresses",
                "",
                f"{name} assigns no public addresses: nodes in it could not reach the internet",
                f"aws ec2 modify-subnet-attribute --subnet-id {name} --map-public-ip-on-launch",
            )


def _network(text: str) -> IPv4Network:
    network = ip_network(text, strict=False)
    return network if isinstance(network, IPv4Network) else IPv4Network("0.0.0.0/32")
