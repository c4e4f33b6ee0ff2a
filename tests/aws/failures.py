"""An answer of AWS that is an error."""

from __future__ import annotations

from typing import Any


class AwsError(Exception):
    """What a client meets as a ClientError: `code`, `message`, HTTP `status` and the members of the error's shape."""

    def __init__(self, code: str, message: str, *, status: int = 400, **members: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.members = members


class ShimError(Exception):
    """The shim itself is wrong, or was called as no AWS client calls: fails the test loudly."""
