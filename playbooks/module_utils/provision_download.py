"""Files of package repositories and releases, fetched over HTTP."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, TypeVar

from ansible.module_utils.provision_errors import HostError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # of the kernel, as packages and releases spell them
_TRIES = 3


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
