"""Ranges of IPv4 addresses: written right, and of a size that can be used."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING

from provision.config.problem import Key, Problem, shown
from provision.config.rules.unbuilt import ipv6_range
from provision.model.units import parse_ip

if TYPE_CHECKING:
    from collections.abc import Iterator


def parsed_range(text: object) -> IPv4Network | None:
    """Return the IPv4 range that a text is, or None; host bits are forgiven, another rule speaks of them."""
    try:
        found = ip_network(text, strict=False) if isinstance(text, str) else None
    except ValueError:
        return None
    return found if isinstance(found, IPv4Network) else None


def range_form(key: Key, value: str, prefixes: range, example: str) -> Iterator[Problem]:
    """Demand an IPv4 range in its one form, with a prefix length of `prefixes`; `example` is a good one."""
    if "," in value:
        yield ipv6_range(key, value)
        return
    if re.fullmatch(r"[^/]+/\d+\.\d+\.\d+\.\d+", value) or "/" not in value:
        what = "has no prefix length" if parse_ip(value) else "is not a range"
        what = "has a mask instead of a prefix length" if "/" in value else what
        yield refused_range(key, f"{shown(value)} {what}", f"for example {example}")
        return
    try:
        network = ip_network(value, strict=False)
    except ValueError:
        yield refused_range(key, f"{shown(value)} is not a range", f"for example {example}")
        return
    if isinstance(network, IPv6Network):
        yield ipv6_range(key, value)
    elif str(network) != value:
        fix = f"did you mean {network}?" if network.prefixlen in prefixes else f"for example {example}"
        yield refused_range(key, f"{shown(value)} has address bits set behind the prefix", fix)
    elif network.prefixlen not in prefixes:
        small = network.prefixlen > prefixes[-1]
        message = (
            f"{value} is too {'small' if small else 'large'}; /{prefixes[0]} to /{prefixes[-1]} is possible"
        )
        yield refused_range(key, message, f"for example {example}")
    elif network.is_loopback or network.is_multicast or network.is_link_local or network.is_reserved:
        yield refused_range(key, f"{value} is reserved", f"write a private range, for example {example}")


def refused_range(key: Key, message: str, fix: str) -> Problem:
    return Problem(key=key, check="range", message=message, fix=fix)
