"""Where packages, images and manifests come from instead of the public places."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from provision.config.problem import Key, Problem, shown
from provision.config.rules.names import SUBDOMAIN
from provision.model.units import parse_ip, split_host_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_URL = re.compile(r"(?P<scheme>https?)://(?P<place>[^/?#@\s]+)(?P<path>(?:/[A-Za-z0-9._~+:@=-]+)*)")
_PORTS = range(1, 65536)


def base_url(key: Key, value: str) -> Iterator[Problem]:
    """Demand `http(s)://host[:port][/path]`: paths are put behind it, and it is written to files on hosts."""
    found = _URL.fullmatch(value)
    if not found:
        yield Problem(
            key=key, check="mirror-url", message=f"{_safe(value)} {_why(value)}", fix=_instead(value)
        )
        return
    parts = split_host_port(found["place"])
    host, number = parts or ("", 0)
    named = parse_ip(host) or SUBDOMAIN.fullmatch(host.lower())
    if not named or (number or 1) not in _PORTS:
        message = f"{shown(found['place'])} is not host[:port]"
        yield Problem(
            key=key, check="mirror-url", message=message, fix="for example https://mirror.example.com"
        )


def packages_key(key: Key, value: str) -> Iterator[Problem]:
    """Demand a whole fingerprint: a short key id can be forged."""
    plain = value.replace(" ", "").removeprefix("0x")
    if re.fullmatch(r"[0-9A-Fa-f]{40}", value):
        return
    fix = "`gpg --show-keys --with-fingerprint KEYFILE` prints it"
    if re.fullmatch(r"[0-9A-Fa-f]{40}", plain):
        fix = f"write {plain}"
    message = f"{shown(value)} is not an OpenPGP fingerprint of 40 hex digits"
    yield Problem(key=key, check="mirror-key", message=message, fix=fix)


def key_without_packages(data: Mapping[str, object]) -> Iterator[Problem]:
    """Refuse a key for packages that still come from the public places, which have their own."""
    mirror = data.get("mirror")
    if isinstance(mirror, dict) and mirror.get("packages_key") and not mirror.get("packages"):
        yield Problem(
            key=("mirror", "packages_key"),
            check="mirror-key",
            message="a key is given, but packages come from the public places",
            fix="write mirror.packages too, or take packages_key out",
        )


def _why(value: str) -> str:
    if "@" in value:
        return "holds a user name or password, which would be written to every host"
    if "?" in value or "#" in value:
        return "has a query or a fragment"
    return "ends with a slash" if _URL.fullmatch(value.rstrip("/")) else "is not a URL"


def _instead(value: str) -> str:
    tidy = value.rstrip("/")
    if tidy != value and _URL.fullmatch(tidy):
        return f"write {tidy}"
    if "://" not in value and _URL.fullmatch(f"https://{tidy}"):
        return f"write https://{tidy}"
    return "write http(s)://host[:port][/path], for example https://mirror.example.com"


def _safe(value: str) -> str:
    """Return the value without what may be a password."""
    return shown(re.sub(r"//[^@/]*@", "//...@", value))
