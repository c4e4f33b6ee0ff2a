"""Addresses, ports, versions, times, durations and counts as text, and the values that they stand for."""

from __future__ import annotations

import calendar
import re
import time
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_HOST_PORT = re.compile(r"(?:\[(?P<v6>[^\]]+)\]|(?P<host>[^:\[\]]+))(?::(?P<port>\d{1,9}))?")
_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_LONGEST = 365 * _SECONDS["d"]
_MOST_NAMES = 6


def parse_ip(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def parse_ipv4_range(text: object) -> IPv4Network | None:
    """Return the IPv4 network that a text is, address bits behind the prefix cleared; None for anything else."""
    try:
        found = ip_network(text, strict=False) if isinstance(text, str) else None
    except ValueError:
        return None
    return found if isinstance(found, IPv4Network) else None


def is_ip(text: str) -> bool:
    return parse_ip(text) is not None


def join_host_port(host: str, port: int) -> str:
    """`10.0.0.11:6443`, `[fd00::11]:6443`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def split_host_port(text: str) -> tuple[str, int] | None:
    """`10.0.0.1:6443`, `[fd00::1]:6443`, `name:6443` -> host and port; port 0: not given. None: neither."""
    found = _HOST_PORT.fullmatch(text)
    return (found["v6"] or found["host"], int(found["port"] or 0)) if found else None


def split_destination(text: str) -> tuple[str, str, int]:
    """`user@host:22`, `[2001:db8::1]:22`, `host` or `2001:db8::1` -> user, host and port; "" and 0: not given."""
    user, _, place = text.rpartition("@")
    host, port = (None if parse_ip(place) else split_host_port(place)) or (place, 0)
    return user, host, port


def minor_of(version: str) -> str:
    """`1.36.3` -> `1.36`."""
    return ".".join(version.split(".")[:2])


def numbers_of(version: str) -> tuple[int, ...]:
    """`1.36.3` -> (1, 36, 3), to compare versions; of a pre-release the release's."""
    return tuple(int(part) for part in version.partition("-")[0].split(".") if part.isdigit())


def epoch(timestamp: str) -> float:
    """RFC 3339 (`2026-11-21T14:00:00Z`, or with any offset) -> seconds since the epoch."""
    stamp, zone = timestamp[:19], timestamp[19:].lstrip(".0123456789")
    ahead = 0
    if zone and zone != "Z":
        hours, _, minutes = zone[1:].partition(":")
        ahead = (int(hours) * 60 + int(minutes)) * (-60 if zone[0] == "-" else 60)
    return float(calendar.timegm(time.strptime(stamp, "%Y-%m-%dT%H:%M:%S")) - ahead)


def seconds_of(duration: str) -> int | None:
    """`15m`, `2h30m`, `1d` -> seconds; None for anything else, for zero and for more than a year."""
    if not re.fullmatch(r"(\d+[dhms])+", duration, re.ASCII):
        return None
    parts = re.findall(r"(\d+)([dhms])", duration, re.ASCII)
    total = sum(int(number) * _SECONDS[unit] for number, unit in parts)
    return total if 0 < total <= _LONGEST else None


def counted(number: int, noun: str) -> str:
    """`1 step`, `2 steps`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 05 s`."""
    if seconds < 9.95:  # noqa: PLR2004  (below ten seconds a tenth matters)
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def enumerated(texts: Sequence[str], word: str = "and") -> str:
    """`cp1, cp2 and cp3`; "" for none."""
    return f"{', '.join(texts[:-1])} {word} {texts[-1]}" if len(texts) > 1 else "".join(texts)


def names(hosts: Sequence[str]) -> str:
    """`cp1, w1`; of more than six only these and how many more."""
    if len(hosts) <= _MOST_NAMES:
        return ", ".join(hosts)
    return f"{', '.join(hosts[:_MOST_NAMES])} and {len(hosts) - _MOST_NAMES} more"
