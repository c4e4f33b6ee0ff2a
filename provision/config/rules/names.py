"""Names of clusters, hosts and users."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from provision.config.problem import Key, Problem, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST = 63  # a DNS label, and the value of the label kubernetes.io/hostname
_LABEL = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
LABEL = re.compile(_LABEL)
SUBDOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")
# Names that mean something else to every machine, or to Ansible (a group of hosts).
_RESERVED = {"localhost", "all", "ungrouped", "workers"}


def cluster_name(key: Key, value: str) -> Iterator[Problem]:
    """Demand a DNS label: it becomes part of file names, of the kubeconfig and of kubeadm's settings."""
    yield from _name(key, value, LABEL, "a cluster name has lower-case letters, digits and - only")


def host_name(key: Key, value: str) -> Iterator[Problem]:
    """Demand what RFC 1123 says, because it becomes the host name and the node's name."""
    plain = value.rstrip(".").lower()
    if plain in _RESERVED or plain.startswith("localhost."):
        yield _refused(key, f"{shown(value)} is a reserved name", "choose another, for example w1")
    elif re.fullmatch(r"[0-9.]+", plain):
        fix = "choose a name with a letter, and write the address below `address`"
        yield _refused(key, f"{shown(value)} looks like an IPv4 address", fix)
    else:
        yield from _name(key, value, SUBDOMAIN, "a host name has lower-case letters, digits, - and . only")


def user_name(key: Key, value: str) -> Iterator[Problem]:
    """Demand a Linux user name."""
    if not _USER.fullmatch(value):
        fix = "write the user only; the host is below `address`" if "@" in value else "for example ubuntu"
        yield Problem(key=key, check="user-name", message=f"{shown(value)} is not a user name", fix=fix)


def _name(key: Key, value: str, pattern: re.Pattern[str], rule: str) -> Iterator[Problem]:
    tidy = value.lower().replace("_", "-").rstrip(".")
    better = f"write {tidy}" if tidy != value and pattern.fullmatch(tidy) else rule
    if len(value) > _LONGEST:
        message = f"{shown(value)} has {len(value)} characters; at most {_LONGEST} are allowed"
        yield _refused(key, message, "choose a shorter one")
    elif not value:
        yield _refused(key, "the name is empty", rule)
    elif not pattern.fullmatch(value):
        yield _refused(key, f"{shown(value)} {_why(value)}", better)


def _why(value: str) -> str:
    if value != value.lower():
        return "has upper-case letters"
    if "_" in value:
        return "has an underscore"
    if value.endswith("."):
        return "ends with a dot"
    if ".." in value or "/" in value:
        return "is a path, not a name"
    return "begins or ends with -" if value.strip("-") != value else "has other signs than a name may have"


def _refused(key: Key, message: str, fix: str) -> Problem:
    return Problem(key=key, check="name", message=message, fix=fix)
