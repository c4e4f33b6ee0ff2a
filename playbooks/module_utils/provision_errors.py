"""The one exception of host-side code. Light: packed programs import it, too."""

from __future__ import annotations

import re

TYPE_CHECKING = False  # importing `typing` costs 20 ms on a small machine
if TYPE_CHECKING:
    from collections.abc import Sequence

_SECRETS = r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b|(?<!sha256:)\b[0-9a-f]{64}\b"


class HostError(Exception):
    """Work on a host failed; `command` is the program that was run, `lines` its last lines, redacted."""

    def __init__(self, message: str, *, command: Sequence[str] = (), lines: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.command = " ".join(command)
        self.lines = [redact(line) for line in lines]


def redact(text: str) -> str:
    """Hide bootstrap tokens and certificate keys; `sha256:` digests stay readable."""
    return re.sub(_SECRETS, "[redacted]", text)
