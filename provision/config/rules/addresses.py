"""Addresses, DNS names and ports of hosts, endpoint and bastion; base URLs of mirrors."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from provision.config.rules.names import SUBDOMAIN, user_name
from provision.config.yaml.problem import Key, Problem, quote
from provision.model.units import join_host_port, parse_ip, split_host_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LOCAL_ENDPOINT = "local"
_PORTS = range(1, 65536)
_LONGEST_DNS_NAME = 253
_URL = re.compile(r"(?P<scheme>https?)://(?P<place>[^/?#@\s]+)(?P<path>(?:/[A-Za-z0-9._~+:@=-]+)*)")


def host_address(key: Key, value: str) -> Iterator[Problem]:
    """Demand an address that SSH and every other node can reach."""
    yield from _host_problem(key, value)


def port(key: Key, value: int) -> Iterator[Problem]:
    if value not in _PORTS:
        yield Problem(key, "port", f"{value} is not a port", "write 1 to 65535")


def endpoint(key: Key, value: str) -> Iterator[Problem]:
    """Demand `host:port`, IPv6 in brackets, or `local`, a load balancer on every node."""
    if value == LOCAL_ENDPOINT:
        return
    if "://" in value:
        yield _refused(key, f"{quote(value)} is a URL", f"write {value.split('://')[1].strip('/')}")
        return
    parts = split_host_port(f"[{value}]" if parse_ip(value) and ":" in value else value)
    if not parts:
        yield _refused(
            key, f"{quote(value)} is not host:port", "for example 10.0.0.10:6443 or [fd00::10]:6443"
        )
        return
    host, number = parts
    if not number and not value.endswith(":0"):
        yield _refused(key, f"{quote(value)} has no port", f"write {join_host_port(host, 6443)}")
        return
    yield from port(key, number)
    yield from _host_problem(key, host)


def virtual_address(key: Key, value: str) -> Iterator[Problem]:
    """Demand an IPv4 address that hosts can have."""
    ip, example = parse_ip(value), "10.0.0.10"
    kind = _unusable(ip) if ip else ""
    if not isinstance(ip, IPv4Address):
        fix = f"for example {example}" if ip else _fix(value, example)
        yield _refused(key, f"{quote(value)} is not an IPv4 address", fix)
    elif kind:
        fix = "write a free address of the control planes' own network"
        yield _refused(key, f"{quote(value)} is {kind}", fix)


def bastion(key: Key, value: str) -> Iterator[Problem]:
    """Demand `[user@]host[:port]`."""
    user, at, rest = value.rpartition("@")
    parts = split_host_port(rest)
    if not parts or (at and not user):
        fix = "write [user@]host[:port], for example ubuntu@bastion.example.com"
        yield _refused(key, f"{quote(value)} is not a jump host", fix)
        return
    host, number = parts
    if user:
        yield from user_name(key, user)
    if number or value.endswith(":0"):
        yield from port(key, number)
    if not parse_ip(host):
        yield from _host_problem(key, host)


def _host_problem(key: Key, value: str) -> Iterator[Problem]:
    ip = parse_ip(value)
    if ip:
        kind = _unusable(ip)
        if kind:
            fix = "write an address that the other nodes can reach"
            yield _refused(key, f"{quote(value)} is {kind}", fix)
        return
    if value.lower() == "localhost":
        fix = "write an address that the other nodes can reach"
        yield _refused(key, "localhost is a different machine on every host", fix)
    elif not SUBDOMAIN.fullmatch(value.lower()) or re.fullmatch(r"[0-9.]+", value) or _too_long(value):
        message = f"{quote(value)} is not an IPv4 or IPv6 address or a host name"
        yield _refused(key, message, _fix(value))


def _too_long(name: str) -> bool:
    return len(name) > _LONGEST_DNS_NAME or any(len(part) > 63 for part in name.split("."))  # noqa: PLR2004 RFC 1035


def _unusable(ip: IPv4Address | IPv6Address) -> str:
    if ip.is_loopback:
        return "a loopback address"
    if ip.is_unspecified:
        return "the unspecified address"
    if ip.is_multicast:
        return "a multicast address"
    if ip.is_link_local:
        return "a link-local address"
    reserved = isinstance(ip, IPv4Address) and (ip.is_reserved or ip.packed[0] == 0)
    return "a reserved address" if reserved else ""


def _fix(value: str, example: str = "10.0.0.11 or w1.example.com") -> str:
    if "://" in value:
        return "write the host without the URL around it"
    if "@" in value:
        return "write the user below `user`"
    if parse_ip(value.strip("[]")):
        return f"write {value.strip('[]')}"
    before = value.partition("/")[0]
    if parse_ip(before):
        return f"write {before}, without the prefix length"
    parts = split_host_port(value)
    if parts and parts[1]:
        return f"write {parts[0]}, and the port below `port`"
    return f"for example {example}"


def _refused(key: Key, message: str, fix: str) -> Problem:
    return Problem(key, "address", message, fix)


def base_url(key: Key, value: str) -> Iterator[Problem]:
    """Demand `http(s)://host[:port][/path]`: paths are appended to it, and it is written to files on hosts."""
    found = _URL.fullmatch(value)
    if not found:
        yield Problem(key, "mirror-url", f"{_without_password(value)} {_url_problem(value)}", _url_fix(value))
        return
    parts = split_host_port(found["place"])
    host, number = parts or ("", 0)
    named = parse_ip(host) or SUBDOMAIN.fullmatch(host.lower())
    if not named or (number or 1) not in _PORTS:
        message = f"{quote(found['place'])} is not host[:port]"
        yield Problem(key, "mirror-url", message, "for example https://mirror.example.com")


def packages_key(key: Key, value: str) -> Iterator[Problem]:
    """Demand a whole fingerprint: a short key id can be forged."""
    plain = value.replace(" ", "").removeprefix("0x")
    if re.fullmatch(r"[0-9A-Fa-f]{40}", value):
        return
    fix = "`gpg --show-keys --with-fingerprint KEYFILE` prints it"
    if re.fullmatch(r"[0-9A-Fa-f]{40}", plain):
        fix = f"write {plain}"
    message = f"{quote(value)} is not an OpenPGP fingerprint of 40 hex digits"
    yield Problem(key, "mirror-key", message, fix)


def key_without_packages(data: Mapping[str, object]) -> Iterator[Problem]:
    """Refuse a key without a mirror for packages: the public repositories have their own keys."""
    mirror = data.get("mirror")
    if isinstance(mirror, dict) and mirror.get("packages_key") and not mirror.get("packages"):
        yield Problem(
            ("mirror", "packages_key"),
            "mirror-key",
            "a key is given, but packages come from the public repositories",
            "write mirror.packages too, or take packages_key out",
        )


def _url_problem(value: str) -> str:
    if "@" in value:
        return "holds a user name or password, which would be written to every host"
    if "?" in value or "#" in value:
        return "has a query or a fragment"
    return "ends with a slash" if _URL.fullmatch(value.rstrip("/")) else "is not a URL"


def _url_fix(value: str) -> str:
    tidy = value.rstrip("/")
    if tidy != value and _URL.fullmatch(tidy):
        return f"write {tidy}"
    if "://" not in value and _URL.fullmatch(f"https://{tidy}"):
        return f"write https://{tidy}"
    return "write http(s)://host[:port][/path], for example https://mirror.example.com"


def _without_password(value: str) -> str:
    return quote(re.sub(r"//[^@/]*@", "//...@", value))
