"""A problem of the cluster file or of arguments, and its location: a line of the file, a variable of an inventory."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Protocol

from provision.model.plan import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from provision.model.plan import Severity

Key = tuple[str | int, ...]  # ("hosts", 2, "address")

_SHOWN = 80  # characters of a value that a message repeats
_PLAIN = re.compile(r"[\w.,:/@+~=*{}\[\]<>-]+")
# Key of a host in the cluster file -> the inventory's variables for it, the first one that is set counts.
VARIABLES: Mapping[str, tuple[str, ...]] = {
    "address": ("ansible_host", "ansible_ssh_host"),
    "port": ("ansible_port", "ansible_ssh_port"),
    "user": ("ansible_user", "ansible_ssh_user"),
    "host_key": ("provision_host_key",),
    "labels": ("provision_labels",),
    "taints": ("provision_taints",),
}
_LONGEST = 500  # characters of a message, whatever values it repeats
_LAST = 1 << 31  # what has no line is listed after what has one


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
            text += f"[{quote(part, quoted=True)}]"
    return text


def quote(value: str, *, quoted: bool = False) -> str:
    """Return the value as a message repeats it: short, on one line, in quotes where it would be unclear."""
    short = value if len(value) <= _SHOWN else value[: _SHOWN - 1] + "…"
    if not quoted and _PLAIN.fullmatch(short):
        return short
    escaped = json.dumps(short, ensure_ascii=False)
    return "".join(sign if sign.isprintable() else f"\\x{ord(sign):02x}" for sign in escaped)


def closest(word: str, known: Iterable[str]) -> str:
    """Return the known word that was probably meant, or "" when none is near."""
    by_lower = {name.lower(): name for name in known}
    near = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[near[0]] if near else ""


class Locator(Protocol):
    """Knows where values were written: in a file, in an inventory, or on a command line."""

    def line(self, problem: Problem) -> int:
        """Return the line to sort by, 0 for none."""

    def named(self, problem: Problem) -> tuple[str, str]:
        """Return (where, key) as a finding has them."""


@dataclass(frozen=True, slots=True)
class FileLocator:
    """Lines of a file, and the names of the hosts if these come from an inventory (`source`)."""

    path: Path
    lines: Mapping[Key, int]
    inventory_hosts: tuple[str, ...] = ()
    source: Path | None = field(default=None)

    def line(self, problem: Problem) -> int:
        """Return the line of the key, or of what it is missing in; 0: the file as a whole."""
        key = problem.key
        if self._is_in_inventory(key):
            return 0
        while key and key not in self.lines:
            key = key[:-1]
        return problem.line or (self.lines[key] if key else 0)

    def named(self, problem: Problem) -> tuple[str, str]:
        """Return (where, key) as a finding has them."""
        key = problem.key
        if self._is_in_inventory(key) and isinstance(key[1], int):
            host, *rest = self.inventory_hosts[key[1]], *key[2:]
            rest[:1] = [VARIABLES[str(part)][0] for part in rest[:1] if str(part) in VARIABLES]
            return str(self.source), key_text((host, *rest))
        line = self.line(problem)
        return (f"{self.path}:{line}" if line else str(self.path)), key_text(key)

    def _is_in_inventory(self, key: Key) -> bool:
        return bool(self.inventory_hosts) and key[:1] == ("hosts",) and len(key) > 1


def to_findings(problems: Iterable[Problem], places: Locator) -> tuple[Finding, ...]:
    """Give every problem its place, in the order of the file.

    Where one key breaks several rules only the first rule speaks, errors before warnings: `{{ x }}` need not
    hear that it is no host name either.
    """
    by_place: dict[tuple[Key, int], list[Problem]] = {}
    for problem in problems:
        by_place.setdefault((problem.key, problem.line), []).append(problem)
    kept: dict[Problem, None] = {}
    for group in by_place.values():
        group.sort(key=lambda problem: problem.severity != "error")
        kept.update({problem: None for problem in group if problem.check == group[0].check})
    ordered = sorted(kept, key=lambda problem: places.line(problem) or _LAST)
    return tuple(_finding(problem, places) for problem in ordered)


def _finding(problem: Problem, places: Locator) -> Finding:
    where, key = places.named(problem)
    return Finding(
        severity=problem.severity,
        check=problem.check,
        where=where,
        key=_one_line(key),
        message=_one_line(problem.message),
        fix=_one_line(problem.fix),
    )


def _one_line(text: str) -> str:
    clean = "".join(sign if sign.isprintable() else f"\\x{ord(sign):02x}" for sign in text)
    return clean if len(clean) <= _LONGEST else f"{clean[: _LONGEST - 1]}…"
