"""What is wrong with a value of the file, before it is known where the value was written."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from provision.model.plan import Severity

Key = tuple[str | int, ...]  # ("hosts", 2, "address")

_SHOWN = 80  # characters of a value that a message repeats
_PLAIN = re.compile(r"[\w.,:/@+~=*{}\[\]<>-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong at one key; `check` is the kebab-case name of the rule that found it.

    `line` is only set where the key alone does not tell it (a duplicate); 0: where the key was written.
    """

    key: Key
    check: str
    message: str
    fix: str = ""
    severity: Severity = "error"
    line: int = 0


def key_text(key: Key) -> str:
    """`("hosts", 2, "labels", "a/b")` -> `hosts[2].labels["a/b"]`."""
    text = ""
    for part in key:
        if isinstance(part, int):
            text += f"[{part}]"
        elif re.fullmatch(r"[\w-]+", part):
            text += f".{part}" if text else part
        else:
            text += f"[{shown(part, quoted=True)}]"
    return text


def shown(value: str, *, quoted: bool = False) -> str:
    """Return the value as a message repeats it: short, on one line, in quotes where it would be unclear."""
    short = value if len(value) <= _SHOWN else value[: _SHOWN - 1] + "…"
    if not quoted and _PLAIN.fullmatch(short):
        return short
    escaped = json.dumps(short, ensure_ascii=False)
    return "".join(sign if sign.isprintable() else f"\\x{ord(sign):02x}" for sign in escaped)


def meant(word: str, known: Iterable[str]) -> str:
    """Return the known word that was probably meant, or "" when none is near."""
    by_lower = {name.lower(): name for name in known}
    near = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[near[0]] if near else ""
