"""Events and results as JSON: one object per line for a run, one document for a query.

An event is `{"event": "step-started", "at": 1700000000.0, ...}`: its class name in kebab case and its fields. No event
holds a secret; in addition, everything that looks like one is redacted here.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from pydantic import BaseModel

from provision.redact import redact

if TYPE_CHECKING:
    from provision.engine.events import Event
    from provision.errors import ProvisionError


def event_line(event: Event) -> str:
    """One line of JSON without its newline."""
    name = re.sub(r"(?<!^)(?=[A-Z])", "-", type(event).__name__).lower()
    return json.dumps({"event": name, **_plain(event)}, ensure_ascii=False)


def error_line(error: ProvisionError) -> str:
    """An error as the last line of `-o json`: `{"event": "error", "exit_code": 4, "message": ..., ...}`."""
    return json.dumps(
        {
            "event": "error",
            "exit_code": error.exit_code,
            "message": redact(error.message),
            "fix": redact(error.fix),
            "detail": _plain(error.detail),
            "findings": _plain(getattr(error, "findings", ())),
        },
        ensure_ascii=False,
    )


def document(value: object) -> str:
    """Indented JSON of a result (a dataclass, a model, a tuple of them) with a final newline."""
    return json.dumps(_plain(value), indent=2, ensure_ascii=False) + "\n"


class JsonLines:
    """Write every event at once."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def __call__(self, event: Event) -> None:
        self._file.write(event_line(event) + "\n")
        self._file.flush()


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in (sorted(value) if isinstance(value, (set, frozenset)) else value)]
    if isinstance(value, str):
        return redact(value)
    return str(value) if isinstance(value, Path) else value
