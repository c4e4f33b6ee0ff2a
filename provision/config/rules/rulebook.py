"""Rules by the place of a value, and the walk over plain data that asks them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from provision.config.rules.text import unsafe_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from provision.config.problem import Key, Problem

ANY = "*"  # any item of a list, any name of a mapping whose names the user chooses
_CHOSEN = {"labels", "tags"}  # mappings of that kind


@dataclass(frozen=True, slots=True)
class Rulebook:
    """What single values may be, and what several must be beside each other."""

    texts: Mapping[tuple[str, ...], Callable[[Key, str], Iterator[Problem]]]
    numbers: Mapping[tuple[str, ...], Callable[[Key, int], Iterator[Problem]]]
    comparing: tuple[Callable[[Mapping[str, object]], Iterator[Problem]], ...]

    def problems(self, data: Mapping[str, object]) -> Iterator[Problem]:
        """Yield what every rule finds in plain data (dicts, tuples, scalars), single values first."""
        yield from unsafe_text((), data)
        for key, value in _leaves((), data):
            place = _place(key)
            if isinstance(value, str) and place in self.texts:
                yield from self.texts[place](key, value)
            elif isinstance(value, int) and not isinstance(value, bool) and place in self.numbers:
                yield from self.numbers[place](key, value)
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


def _place(key: Key) -> tuple[str, ...]:
    """`("hosts", 0, "labels", "disk")` -> `("hosts", "*", "labels", "*")`."""
    return tuple(
        ANY if isinstance(part, int) or _CHOSEN & set(key[:index]) else part for index, part in enumerate(key)
    )
