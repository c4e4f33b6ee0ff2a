"""What can be taken out of a file that may still be wrong in places."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from provision.config.problem import Key, Problem, key_text, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_NOTHING: Mapping[str, object] = MappingProxyType({})


def section(data: Mapping[str, object], name: str) -> Mapping[str, object]:
    """Return the mapping below a key; empty where something else, or nothing, was written."""
    found = data.get(name)
    return found if isinstance(found, dict) else _NOTHING


def entries(data: Mapping[str, object], name: str) -> tuple[tuple[int, Mapping[str, object]], ...]:
    """Return the mappings of a list, each with its place in it."""
    found = data.get(name)
    items = found if isinstance(found, tuple) else ()
    return tuple((index, item) for index, item in enumerate(items) if isinstance(item, dict))


def texts(data: Mapping[str, object], name: str) -> tuple[tuple[int, str], ...]:
    """Return the texts of a list, each with its place in it."""
    found = data.get(name)
    items = found if isinstance(found, tuple) else ()
    return tuple((index, item) for index, item in enumerate(items) if isinstance(item, str))


def text(data: Mapping[str, object], name: str, default: str = "") -> str:
    """Return the text below a key; "" where something else was written."""
    found = data.get(name, default)
    return found if isinstance(found, str) else ""


def number(data: Mapping[str, object], name: str, default: int) -> int | None:
    """Return the number below a key; None where something else was written."""
    found = data.get(name, default)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def holds(data: Mapping[str, object], name: str) -> bool:
    """Whether something other than null is written below a key."""
    return data.get(name) is not None


def repeated(values: Iterable[tuple[Key, str]], check: str) -> Iterator[Problem]:
    """Refuse a text that is there a second time; capital letters make no difference."""
    seen: dict[str, Key] = {}
    for key, value in values:
        first = seen.setdefault(value.lower(), key)
        if value and first != key:
            message = f"{shown(value)} is {key_text(first)} too"
            yield Problem(key=key, check=check, message=message, fix="keep one, or write another")
