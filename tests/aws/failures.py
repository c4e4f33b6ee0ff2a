"""Error responses of AWS."""

from __future__ import annotations

from typing import Any


class AwsError(Exception):
    """Becomes a ClientError in the client: `code`, `message`, HTTP `status` and the members of the error's shape."""

    def __init__(self, code: str, message: str, *, status: int = 400, **members: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.members = members


class ShimError(Exception):
    """A defect of the shim, or a request that no AWS client sends; fails the test."""
