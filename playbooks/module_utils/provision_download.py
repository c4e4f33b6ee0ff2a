"""Files of package repositories and releases, fetched over HTTP."""

from __future__ import annotations

import os
import re
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, TypeVar

from ansible.module_utils.provision_errors import HostError
from ansible.module_utils.provision_openpgp import dearmor, fingerprints

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # of the kernel, as packages and releases spell them
_TRIES = 3
_URL = re.compile(r"https?://[^\s/]+[^\s]*")


def fetched(url: str, what: str, read: Callable[[Any], T], *, timeout: float) -> T:
    """What `read` makes of the answer; a lost connection is tried again, an HTTP error is not. Raises HostError.

    `what` names the file in messages; `timeout` is in seconds, for each wait on the connection.
    """
    for attempt in range(_TRIES):
        try:
            with urllib.request.urlopen(url, timeout=timeout) as answer:
                return read(answer)
        except (OSError, urllib.error.URLError) as error:
            if attempt == _TRIES - 1 or isinstance(error, urllib.error.HTTPError):
                raise HostError(f"cannot fetch {what}{url}: {error}") from error
            time.sleep(1 + attempt)
    raise AssertionError


def package_architecture() -> str:
    """The machine's architecture as its kernel spells it. HostError for one that has no packages."""
    machine = os.uname().machine
    if machine not in ARCHITECTURES:
        raise HostError(f"no packages for the architecture {machine}, only for {', '.join(ARCHITECTURES)}")
    return machine


def repository_url(url: str) -> str:
    """The URL, if it is one of a package repository."""
    if not _URL.fullmatch(url):
        raise HostError(f"{url!r} is no http or https URL of a package repository")
    return url


def repository_key(
    path: Path, url: str, fingerprint: str, fetch: Callable[[str], bytes]
) -> tuple[bytes, str] | None:
    """The key of that fingerprint, and no other, for `path`, and what is said of it; None if it is there already.

    Without a fingerprint the key is trusted that an https server says is its own, and kept from then on.
    """
    expected = fingerprint.replace(" ", "").upper()
    if _holds(path, expected):
        return None
    if not expected and not url.startswith("https://"):
        raise HostError(f"{url} is not fetched by https, and the fingerprint of its key is not known: pin it")
    key: bytes = dearmor(fetch(url))
    found = fingerprints(key)
    if len(found) != 1 or found[0] != (expected or found[0]):
        seen = ", ".join(found) or "no key"
        raise HostError(
            f"{url} holds {seen}, but {f'the key {expected}' if expected else 'one key'} is expected: "
            "is this the right mirror?"
        )
    how = "" if expected else f", as {url} says"
    return key, f"trusted the key {found[0]} for its repository{how}"


def _holds(path: Path, fingerprint: str) -> bool:
    try:
        found: list[str] = fingerprints(dearmor(path.read_bytes()))
    except (FileNotFoundError, HostError):
        return False
    return len(found) == 1 and found[0] == (fingerprint or found[0])
