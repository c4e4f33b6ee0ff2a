"""Makes what AWS would make twice if it were asked twice: VPCs, subnets, addresses, gateways, roles.

Their requests have no token. So an answer that is lost, or that says to ask later, is followed by a look for what may
have been made, before the request is sent again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError, HTTPClientError

from provision.providers.eks.aws.errors import THROTTLED, UNAVAILABLE, code_of

if TYPE_CHECKING:
    from provision.providers.eks.work import Work

_LIMIT = 300.0  # seconds
_TRIES = 8
_LOOKS = 3  # before the request is sent again: AWS may show late what it has made
# What AWS answers where a request whose answer was lost is sent again, and had been carried out.
_DONE = frozenset({"Resource.AlreadyAssociated", "RouteAlreadyExists"})


def make(
    work: Work, resource: str, what: str, *, find: Callable[[], str | None], create: Callable[[], str]
) -> str:
    """The id of what `create` makes, or of what `find` shows once an answer was lost.

    `create` must use a client that tries nothing again. Raises what AWS says to the last try.
    """
    tries = looks = 0

    def look() -> str | None:
        nonlocal tries, looks
        if tries:
            looks += 1
            found = find()
            if found is not None or looks % _LOOKS:
                return found
        work.heed()
        tries += 1
        try:
            return create()
        except (ClientError, HTTPClientError) as error:
            passing = isinstance(error, HTTPClientError) or code_of(error) in THROTTLED | UNAVAILABLE
            if not passing or tries >= _TRIES:
                raise
            work.note(resource, f"no answer from AWS: looks whether it did {what}", passing=True)
            return None

    return work.until(resource, what, look, limit=_LIMIT)


def link(call: Callable[[], object]) -> Callable[[], None]:
    """The call, content with an answer that says that it is so already."""

    def linked() -> None:
        try:
            call()
        except ClientError as error:
            if code_of(error) not in _DONE:
                raise

    return linked
