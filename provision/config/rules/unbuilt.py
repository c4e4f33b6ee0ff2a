"""What the file may ask for one day and this release cannot do yet. The one place to lift it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.config.problem import Key, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

UNBUILT: dict[tuple[Key, str], str] = {
    (("runtime",), "crio"): "containerd",
    (("runtime",), "docker"): "containerd",
}


def not_yet(key: Key, value: str) -> Iterator[Problem]:
    """Refuse a value that is planned for, and say what to write until then."""
    instead = UNBUILT.get((key, value))
    if instead:
        message = f"{key[-1]} {value} is not supported yet by this release"
        yield Problem(key=key, check="not-yet", message=message, fix=f"write {instead}")


def ipv6_range(key: Key, value: str) -> Problem:
    """Return the refusal of an IPv6 or dual-stack range: Calico is set up for IPv4 pods only so far."""
    what = "dual-stack ranges are" if "," in value else "IPv6 ranges are"
    message = f"{what} not supported yet by this release"
    return Problem(key=key, check="not-yet", message=message, fix="write one IPv4 range")
