"""Rules by the path of a value, access to data that is not validated yet, and the rule for every text.

Values travel to ssh, Ansible and kubeadm as data; refusing templates, shell syntax and options here is the second
safeguard, and it acts before anything runs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from provision.config.yaml.problem import Key, Problem, key_text, quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

_FORBIDDEN = (
    (re.compile(r"\{\{|\{%|\{#"), "holds a template expression ({sign}), which is never resolved here"),
    (re.compile(r"\$\(|\$\{|\$|`"), "holds a shell substitution ({sign}), which is never resolved here"),
    (re.compile(r"[\r\n]"), "is text on several lines; one line is needed"),
    (re.compile(r"[\x00-\x1f\x7f]"), "holds a control character"),
    (re.compile(r"^-"), "begins with `-`, which programs read as an option"),
    (re.compile(r"[;|<>&\"'\\]"), "holds the sign {sign}, which no value of this file needs"),
)
ANY = "*"  # any item of a list, any name of a mapping whose names the user chooses
_CHOSEN = {"digests", "labels", "tags"}  # mappings of that kind


def unsafe_text(key: Key, value: object) -> Iterator[Problem]:
    """Refuse unsafe characters in every text at or below a key, names of labels included."""
    if isinstance(value, str):
        for pattern, message in _FORBIDDEN:
            found = pattern.search(value)
            if found:
                found_text = message.format(sign=found[0])
                yield Problem(key, "plain-text", found_text, "write plain text")
                return
    elif isinstance(value, dict):
        for name, item in value.items():
            refused = list(unsafe_text((*key, name), name))
            yield from refused or unsafe_text((*key, name), item)
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from unsafe_text((*key, index), item)


def section(data: Mapping[str, object], name: str) -> Mapping[str, object]:
    """Return the mapping below a key; empty if it is missing or of another type."""
    found = data.get(name)
    return found if isinstance(found, dict) else {}


def entries(data: Mapping[str, object], name: str) -> tuple[tuple[int, Mapping[str, object]], ...]:
    """Return the mappings of a list, each with its index."""
    found = data.get(name)
    items = found if isinstance(found, tuple) else ()
    return tuple((index, item) for index, item in enumerate(items) if isinstance(item, dict))


def texts(data: Mapping[str, object], name: str) -> tuple[tuple[int, str], ...]:
    """Return the texts of a list, each with its index."""
    found = data.get(name)
    items = found if isinstance(found, tuple) else ()
    return tuple((index, item) for index, item in enumerate(items) if isinstance(item, str))


def text(data: Mapping[str, object], name: str, default: str = "") -> str:
    """Return the text below a key; "" if it is of another type."""
    found = data.get(name, default)
    return found if isinstance(found, str) else ""


def number(data: Mapping[str, object], name: str, default: int) -> int | None:
    """Return the number below a key; None if it is of another type."""
    found = data.get(name, default)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def is_set(data: Mapping[str, object], name: str) -> bool:
    """Whether a key has a value other than null."""
    return data.get(name) is not None


def find_duplicates(values: Iterable[tuple[Key, str]], check: str) -> Iterator[Problem]:
    """Refuse duplicate texts, compared without case."""
    seen: dict[str, Key] = {}
    for key, value in values:
        first = seen.setdefault(value.lower(), key)
        if value and first != key:
            message = f"{quote(value)} is {key_text(first)} too"
            yield Problem(key, check, message, "keep one, or write another")


@dataclass(frozen=True, slots=True)
class Rulebook:
    """Rules for single texts and numbers, by their path, and rules that compare several values."""

    texts: Mapping[tuple[str, ...], Callable[[Key, str], Iterator[Problem]]]
    numbers: Mapping[tuple[str, ...], Callable[[Key, int], Iterator[Problem]]]
    comparing: tuple[Callable[[Mapping[str, object]], Iterator[Problem]], ...]

    def validate(self, data: Mapping[str, object]) -> Iterator[Problem]:
        """Yield the problems of plain data (dicts, tuples, scalars), those of single values first."""
        yield from unsafe_text((), data)
        for key, value in _leaves((), data):
            pattern = _pattern(key)
            if isinstance(value, str) and pattern in self.texts:
                yield from self.texts[pattern](key, value)
            elif isinstance(value, int) and not isinstance(value, bool) and pattern in self.numbers:
                yield from self.numbers[pattern](key, value)
        for rule in self.comparing:
            yield from rule(data)


def _leaves(key: Key, value: object) -> Iterator[tuple[Key, object]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _leaves((*key, name), item)
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _leaves((*key, index), item)
    else:
        yield key, value


def _pattern(key: Key) -> tuple[str, ...]:
    """`("hosts", 0, "labels", "disk")` -> `("hosts", "*", "labels", "*")`."""
    return tuple(
        ANY if isinstance(part, int) or _CHOSEN & set(key[:index]) else part for index, part in enumerate(key)
    )
