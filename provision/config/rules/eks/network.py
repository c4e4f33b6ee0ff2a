"""The VPC, service addresses and the API server's endpoint."""

from __future__ import annotations

import re
from ipaddress import IPv4Network
from typing import TYPE_CHECKING

from provision.config.problem import Key, Problem, shown
from provision.config.rules.eks.parts import holds, repeated, section, texts
from provision.config.rules.ranges import parsed_range, range_form, refused_range
from provision.model.eks import Vpc
from provision.model.units import parse_ip

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# What EKS takes for services; for a VPC also the shared address space, which many companies use for pods.
_RFC1918 = tuple(IPv4Network(each) for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
_PRIVATE = (*_RFC1918, IPv4Network("100.64.0.0/10"))
_VPC, _SERVICES, _ANY = range(16, 25), range(12, 25), range(33)
_VPC_EXAMPLE = str(Vpc.model_fields["cidr"].default)
_SERVICE_EXAMPLES = ("10.100.0.0/16", "172.20.0.0/16")
_MOST_PUBLIC = 40  # ranges, a fixed quota of EKS
_SUBNET = re.compile(r"subnet-([0-9a-f]{8}|[0-9a-f]{17})")


def vpc_range(key: Key, value: str) -> Iterator[Problem]:
    """Demand a private range that can be divided among two or three zones."""
    yield from _private(key, value, _VPC, _VPC_EXAMPLE, _PRIVATE)


def service_range(key: Key, value: str) -> Iterator[Problem]:
    """Demand what CreateCluster takes: /12 to /24 within RFC 1918."""
    yield from _private(key, value, _SERVICES, _SERVICE_EXAMPLES[0], _RFC1918)


def public_range(key: Key, value: str) -> Iterator[Problem]:
    """Demand a range of public addresses: requests from private ones never arrive at the public endpoint."""
    if parse_ip(value) and ":" not in value:
        yield refused_range(key, f"{value} has no prefix length", f"write {value}/32")
        return
    problems = list(range_form(key, value, _ANY, "203.0.113.0/24"))
    yield from problems
    found = None if problems else parsed_range(value)
    if found and any(found.subnet_of(each) for each in _PRIVATE):
        message = f"{value} is private: the public endpoint never sees such an address"
        yield refused_range(key, message, "write the public addresses that you come from, or take it out")


def subnet_id(key: Key, value: str) -> Iterator[Problem]:
    """Demand `subnet-` and 8 or 17 hex digits."""
    if not _SUBNET.fullmatch(value):
        fix = "`aws ec2 describe-subnets` lists them, for example subnet-0a1b2c3d4e5f6a7b8"
        message = f"{shown(value)} is not the id of a subnet"
        if re.fullmatch(r"vpc-[0-9a-f]+", value):
            message = f"{value} is a VPC; subnets are needed"
        yield Problem(key=key, check="subnet", message=message, fix=fix)


def ranges_apart(data: Mapping[str, object]) -> Iterator[Problem]:
    """Services and the VPC: an address must mean one thing."""
    vpc = section(data, "vpc")
    services = parsed_range(data.get("service_cidr"))
    ours = None if holds(vpc, "subnets") else parsed_range(vpc.get("cidr", _VPC_EXAMPLE))
    if services and ours and services.overlaps(ours):
        free = (each for each in _SERVICE_EXAMPLES if not IPv4Network(each).overlaps(ours))
        message = f"the service range {services} overlaps the VPC's {ours}"
        fix = f"write {next(free, 'a private range that nothing else uses')}"
        yield Problem(key=("service_cidr",), check="ranges-overlap", message=message, fix=fix)


def endpoint_reached(data: Mapping[str, object]) -> Iterator[Problem]:
    """Refuse an API server that nobody reaches; warn of one that everybody does."""
    endpoint = section(data, "endpoint")
    key: Key = ("endpoint", "public_cidrs")
    yield from repeated((((*key, index), each) for index, each in texts(endpoint, "public_cidrs")), "range")
    if endpoint.get("public", True) is False and endpoint.get("private", True) is False:
        message = "the endpoint is neither public nor private: nobody reaches the API server"
        yield _refused(("endpoint", "private"), message, "write private: true")
    ranges = endpoint.get("public_cidrs", ("0.0.0.0/0",))
    unclear = not isinstance(data.get("endpoint", {}), dict) or endpoint.get("public", True) is not True
    if unclear or not isinstance(ranges, tuple):
        return
    if not ranges:
        message = (
            "the endpoint is public, and the list of who may reach it is empty: EKS takes that for everybody"
        )
        yield _refused(key, message, "list ranges, or write public: false")
    elif len(ranges) > _MOST_PUBLIC:
        message = f"{len(ranges)} ranges are listed; EKS takes at most {_MOST_PUBLIC}"
        yield _refused(key, message, "merge neighbouring ranges")
    elif any(each == "0.0.0.0/0" for each in ranges):
        message = "the API server can be reached from the whole internet"
        fix = "list the ranges that you come from, for example [203.0.113.0/24]"
        yield Problem(key=key, check="endpoint", message=message, fix=fix, severity="warning")


def _private(
    key: Key, value: str, prefixes: range, example: str, within: tuple[IPv4Network, ...]
) -> Iterator[Problem]:
    problems = list(range_form(key, value, prefixes, example))
    yield from problems
    found = None if problems else parsed_range(value)
    if found and not any(found.subnet_of(each) for each in within):
        some = ", ".join(str(each) for each in within)
        message = f"{value} is not private; a range within {some} is needed"
        yield refused_range(key, message, f"for example {example}")


def _refused(key: Key, message: str, fix: str) -> Problem:
    return Problem(key=key, check="endpoint", message=message, fix=fix)
