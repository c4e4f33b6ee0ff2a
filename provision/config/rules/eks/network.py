"""VPC, subnets and zones, service addresses, the API server's endpoint, and what is placed in which subnets."""

from __future__ import annotations

import re
from ipaddress import IPv4Network
from typing import TYPE_CHECKING

from provision.config.rules.eks.cluster import is_region
from provision.config.rules.networks import ipv4_range, range_problem
from provision.config.rules.rulebook import entries, find_duplicates, is_set, section, text, texts
from provision.config.yaml.problem import Key, Problem, quote
from provision.model.eks import Subnets, Vpc
from provision.model.units import parse_ip, parse_ipv4_range

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


# Ranges that EKS accepts for services; for a VPC also the shared address space, which many companies use for pods.
_RFC1918 = tuple(IPv4Network(each) for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
_PRIVATE = (*_RFC1918, IPv4Network("100.64.0.0/10"))
_VPC, _SERVICES, _ANY = range(16, 25), range(12, 25), range(33)
_VPC_EXAMPLE = str(Vpc.model_fields["cidr"].default)
_SERVICE_EXAMPLES = ("10.100.0.0/16", "172.20.0.0/16")
_MOST_PUBLIC = 40  # ranges, a fixed quota of EKS
_SUBNET = re.compile(r"subnet-([0-9a-f]{8}|[0-9a-f]{17})")
_ZONES = range(2, 4)
_ZONE_ID = re.compile(r"[a-z]+[0-9]-az[0-9]+")


def vpc_range(key: Key, value: str) -> Iterator[Problem]:
    """Demand a private range that can be divided among two or three zones."""
    yield from _private(key, value, _VPC, _VPC_EXAMPLE, _PRIVATE)


def service_range(key: Key, value: str) -> Iterator[Problem]:
    """Demand a range that CreateCluster accepts: /12 to /24 within RFC 1918."""
    yield from _private(key, value, _SERVICES, _SERVICE_EXAMPLES[0], _RFC1918)


def public_range(key: Key, value: str) -> Iterator[Problem]:
    """Demand a range of public addresses: the public endpoint gets no requests from private ones."""
    if parse_ip(value) and ":" not in value:
        yield range_problem(key, f"{value} has no prefix length", f"write {value}/32")
        return
    problems = list(ipv4_range(key, value, _ANY, "203.0.113.0/24"))
    yield from problems
    found = None if problems else parse_ipv4_range(value)
    if found and any(found.subnet_of(each) for each in _PRIVATE):
        message = f"{value} is private: the public endpoint gets no requests from such addresses"
        yield range_problem(key, message, "write the public addresses of your clients, or take it out")


def subnet_id(key: Key, value: str) -> Iterator[Problem]:
    """Demand `subnet-` and 8 or 17 hex digits."""
    if not _SUBNET.fullmatch(value):
        fix = "`aws ec2 describe-subnets` lists them, for example subnet-0a1b2c3d4e5f6a7b8"
        message = f"{quote(value)} is not the id of a subnet"
        if re.fullmatch(r"vpc-[0-9a-f]+", value):
            message = f"{value} is a VPC; subnets are needed"
        yield Problem(key, "subnet", message, fix)


def overlapping_ranges(data: Mapping[str, object]) -> Iterator[Problem]:
    vpc = section(data, "vpc")
    services = parse_ipv4_range(data.get("service_cidr"))
    vpc_cidr = None if is_set(vpc, "subnets") else parse_ipv4_range(vpc.get("cidr", _VPC_EXAMPLE))
    if services and vpc_cidr and services.overlaps(vpc_cidr):
        free = (each for each in _SERVICE_EXAMPLES if not IPv4Network(each).overlaps(vpc_cidr))
        message = f"the service range {services} overlaps the VPC's {vpc_cidr}"
        fix = f"write {next(free, 'a private range that nothing else uses')}"
        yield Problem(("service_cidr",), "ranges-overlap", message, fix)


def endpoint_access(data: Mapping[str, object]) -> Iterator[Problem]:
    """Refuse an unreachable API server; warn of one that the whole internet reaches."""
    endpoint = section(data, "endpoint")
    key: Key = ("endpoint", "public_cidrs")
    yield from find_duplicates(
        (((*key, index), each) for index, each in texts(endpoint, "public_cidrs")), "range"
    )
    if endpoint.get("public", True) is False and endpoint.get("private", True) is False:
        message = "the endpoint is neither public nor private: the API server cannot be reached"
        yield _refused(("endpoint", "private"), message, "write private: true")
    ranges = endpoint.get("public_cidrs", ("0.0.0.0/0",))
    unclear = not isinstance(data.get("endpoint", {}), dict) or endpoint.get("public", True) is not True
    if unclear or not isinstance(ranges, tuple):
        return
    if not ranges:
        message = "the endpoint is public and public_cidrs is empty, which EKS treats as 0.0.0.0/0"
        yield _refused(key, message, "list ranges, or write public: false")
    elif len(ranges) > _MOST_PUBLIC:
        message = f"{len(ranges)} ranges are listed; EKS accepts at most {_MOST_PUBLIC}"
        yield _refused(key, message, "merge neighbouring ranges")
    elif any(each == "0.0.0.0/0" for each in ranges):
        message = "the API server can be reached from the whole internet"
        fix = "list the ranges of your clients, for example [203.0.113.0/24]"
        yield Problem(key, "endpoint", message, fix, severity="warning")


def _private(
    key: Key, value: str, prefixes: range, example: str, within: tuple[IPv4Network, ...]
) -> Iterator[Problem]:
    problems = list(ipv4_range(key, value, prefixes, example))
    yield from problems
    found = None if problems else parse_ipv4_range(value)
    if found and not any(found.subnet_of(each) for each in within):
        some = ", ".join(str(each) for each in within)
        message = f"{value} is not private; a range within {some} is needed"
        yield range_problem(key, message, f"for example {example}")


def _refused(key: Key, message: str, fix: str) -> Problem:
    return Problem(key, "endpoint", message, fix)


def zones(data: Mapping[str, object]) -> Iterator[Problem]:
    """Demand two or three different zones of the region."""
    region, vpc = text(data, "region"), section(data, "vpc")
    found = texts(vpc, "zones")
    for index, zone in found:
        yield from _zone(("vpc", "zones", index), zone, region)
    yield from find_duplicates(((("vpc", "zones", index), zone) for index, zone in found), "zone")
    listed = vpc.get("zones")
    if isinstance(listed, tuple) and listed and len(listed) not in _ZONES:
        what = "one zone is" if len(listed) == 1 else f"{len(listed)} zones are"
        message = f"{what} given; EKS needs two, and provision creates at most three"
        fix = "list two or three, or none to have them chosen"
        yield Problem(("vpc", "zones"), "zone", message, fix)


def subnets(data: Mapping[str, object]) -> Iterator[Problem]:
    """Demand at least two existing subnets, no duplicates, and none of the keys that describe a new VPC."""
    vpc = section(data, "vpc")
    given = section(vpc, "subnets")
    if not is_set(vpc, "subnets"):
        return
    for name in ("cidr", "zones", "nat"):
        if name in vpc:
            message = f"{name} describes a new VPC, but vpc.subnets names existing subnets"
            fix = f"take {name} out, or take subnets out"
            yield Problem(("vpc", name), "vpc", message, fix)
    every: list[tuple[Key, str]] = [
        (("vpc", "subnets", kind, index), each)
        for kind in ("private", "public")
        for index, each in texts(given, kind)
    ]
    yield from find_duplicates(every, "subnet")
    counted = sum(len(each) for each in given.values() if isinstance(each, tuple))
    if counted < _ZONES[0] and _readable(vpc):
        what = f"{counted} subnet{' is' if counted == 1 else 's are'} given"
        message = f"{what}; EKS needs at least two, in different zones"
        fix = "list their ids below private or public"
        yield Problem(("vpc", "subnets"), "subnet", message, fix)


def placement(data: Mapping[str, object]) -> Iterator[Problem]:
    """Refuse node groups and Fargate profiles without a subnet of their kind, or without a route to the internet."""
    vpc = section(data, "vpc")
    given = section(vpc, "subnets")
    existing = _readable(vpc)
    no_nat = not is_set(vpc, "subnets") and vpc.get("nat") == "none"
    for index, group in entries(data, "node_groups"):
        kind = text(group, "subnets", "private")
        key: Key = ("node_groups", index, "subnets")
        name = text(group, "name") or "this one"
        other = {"private": "public", "public": "private"}.get(kind, "")
        if existing and other and given.get(kind, ()) == ():
            message = f"node group {name} is in {kind} subnets, and vpc.subnets lists none"
            fix = f"list them below vpc.subnets.{kind}, or write subnets: {other}"
            yield Problem(key, "placement", message, fix)
        elif no_nat and kind == "private":
            message = (
                f"node group {name} is in private subnets, which have no route to the internet with nat: none"
            )
            fix = "write subnets: public here, or nat: single below vpc"
            yield Problem(key, "placement", message, fix)
    if is_set(data, "fargate_profiles") and data["fargate_profiles"] != ():
        if existing and given.get("private", ()) == ():
            message = "Fargate runs pods in private subnets, and vpc.subnets lists none"
            fix = "list them below vpc.subnets.private"
            yield Problem(("fargate_profiles",), "placement", message, fix)
        elif no_nat:
            message = (
                "Fargate runs pods in private subnets, which have no route to the internet with nat: none"
            )
            fix = "write nat: single below vpc"
            yield Problem(("fargate_profiles",), "placement", message, fix)


def _readable(vpc: Mapping[str, object]) -> bool:
    """Whether existing subnets are given, and no misspelt key hides some of them."""
    given = vpc.get("subnets")
    return isinstance(given, dict) and not set(given) - set(Subnets.model_fields)


def _zone(key: Key, zone: str, region: str) -> Iterator[Problem]:
    here = region if is_region(region) else ""
    example = f"{here or 'eu-central-1'}a"
    if here and re.fullmatch(rf"{re.escape(here)}[a-z]", zone):
        return
    message, fix = f"{quote(zone)} is not an availability zone", f"for example {example}"
    if _ZONE_ID.fullmatch(zone):
        message = f"{zone} is a zone's id, not its name in this account"
    elif is_region(zone):
        message = f"{zone} is a region"
        fix = f"add the zone's letter, for example {zone}a"
    elif re.fullmatch(r"[a-z]{2,4}-[a-z-]+-[0-9]+-[a-z0-9]+-[0-9]+[a-z]", zone):
        message = f"{zone} is a local zone, where EKS has no control plane"
    elif is_region(zone[:-1]) and zone[-1:].isalpha():
        if not here:
            return
        message = f"{quote(zone)} is not in region {here}"
    yield Problem(key, "zone", message, fix)
