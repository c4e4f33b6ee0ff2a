"""Zones and subnets, and whether what is placed in them is possible there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from provision.config.problem import Key, Problem, shown
from provision.config.rules.eks.parts import entries, holds, repeated, section, text, texts
from provision.config.rules.eks.region import is_region
from provision.model.eks import Subnets

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_ZONES = range(2, 4)
_ZONE_ID = re.compile(r"[a-z]+[0-9]-az[0-9]+")


def zones(data: Mapping[str, object]) -> Iterator[Problem]:
    """Demand two or three different zones of the region."""
    region, vpc = text(data, "region"), section(data, "vpc")
    found = texts(vpc, "zones")
    for index, zone in found:
        yield from _zone(("vpc", "zones", index), zone, region)
    yield from repeated(((("vpc", "zones", index), zone) for index, zone in found), "zone")
    listed = vpc.get("zones")
    if isinstance(listed, tuple) and listed and len(listed) not in _ZONES:
        what = "one zone is" if len(listed) == 1 else f"{len(listed)} zones are"
        message = f"{what} given; EKS wants two, and more than three are not made"
        fix = "list two or three, or none at all to have them chosen"
        yield Problem(key=("vpc", "zones"), check="zone", message=message, fix=fix)


def subnets(data: Mapping[str, object]) -> Iterator[Problem]:
    """Demand two existing subnets or more, each once, and none of the keys that describe a VPC to be made."""
    vpc = section(data, "vpc")
    given = section(vpc, "subnets")
    if not holds(vpc, "subnets"):
        return
    for name in ("cidr", "zones", "nat"):
        if name in vpc:
            message = f"{name} says how to make a VPC, but vpc.subnets are there already"
            fix = f"take {name} out, or take subnets out"
            yield Problem(key=("vpc", name), check="vpc", message=message, fix=fix)
    every: list[tuple[Key, str]] = [
        (("vpc", "subnets", kind, index), each)
        for kind in ("private", "public")
        for index, each in texts(given, kind)
    ]
    yield from repeated(every, "subnet")
    counted = sum(len(each) for each in given.values() if isinstance(each, tuple))
    if counted < _ZONES[0] and _readable(vpc):
        what = f"{counted} subnet{' is' if counted == 1 else 's are'} given"
        message = f"{what}; EKS wants two at least, in different zones"
        fix = "list their ids below private or public"
        yield Problem(key=("vpc", "subnets"), check="subnet", message=message, fix=fix)


def placed(data: Mapping[str, object]) -> Iterator[Problem]:
    """Refuse node groups and Fargate profiles where no subnet of their kind is, or none with a way out."""
    vpc = section(data, "vpc")
    given = section(vpc, "subnets")
    existing = _readable(vpc)
    no_nat = not holds(vpc, "subnets") and vpc.get("nat") == "none"
    for index, group in entries(data, "node_groups"):
        kind = text(group, "subnets", "private")
        key: Key = ("node_groups", index, "subnets")
        name = text(group, "name") or "this one"
        other = {"private": "public", "public": "private"}.get(kind, "")
        if existing and other and given.get(kind, ()) == ():
            message = f"node group {name} is in {kind} subnets, and vpc.subnets lists none"
            fix = f"list them below vpc.subnets.{kind}, or write subnets: {other}"
            yield Problem(key=key, check="placement", message=message, fix=fix)
        elif no_nat and kind == "private":
            message = f"node group {name} is in private subnets, which have no way out with nat: none"
            fix = "write subnets: public here, or nat: single below vpc"
            yield Problem(key=key, check="placement", message=message, fix=fix)
    if holds(data, "fargate_profiles") and data["fargate_profiles"] != ():
        if existing and given.get("private", ()) == ():
            message = "Fargate runs pods in private subnets, and vpc.subnets lists none"
            fix = "list them below vpc.subnets.private"
            yield Problem(key=("fargate_profiles",), check="placement", message=message, fix=fix)
        elif no_nat:
            message = "Fargate runs pods in private subnets, which have no way out with nat: none"
            fix = "write nat: single below vpc"
            yield Problem(key=("fargate_profiles",), check="placement", message=message, fix=fix)


def _readable(vpc: Mapping[str, object]) -> bool:
    """Whether existing subnets are given, without a misspelt key that may hold the rest of them."""
    given = vpc.get("subnets")
    return isinstance(given, dict) and not set(given) - set(Subnets.model_fields)


def _zone(key: Key, zone: str, region: str) -> Iterator[Problem]:
    here = region if is_region(region) else ""
    example = f"{here or 'eu-central-1'}a"
    if here and re.fullmatch(rf"{re.escape(here)}[a-z]", zone):
        return
    message, fix = f"{shown(zone)} is not an availability zone", f"for example {example}"
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
        message = f"{shown(zone)} is not in region {here}"
    yield Problem(key=key, check="zone", message=message, fix=fix)
