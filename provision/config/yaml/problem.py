"""A problem of the cluster file or of arguments, and its location: a line of the file, a variable of an inventory."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
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
# Key of a host in the cluster file -> the inventory's variables for it; the first one that is set is used.
VARIABLES: Mapping[str, tuple[str, ...]] = {
    "address": ("ansible_host", "ansible_ssh_host"),
    "port": ("ansible_port", "ansible_ssh_port"),
    "user": ("ansible_user", "ansible_ssh_user"),
    "host_key": ("provision_host_key",),
    "labels": ("provision_labels",),
    "taints": ("provision_taints",),
}
_LONGEST = 500  # characters of a message, whatever values it repeats
_LAST = 1 << 31  # sorts problems without a line behind those with one


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong at one key; `check` is the kebab-case name of the rule that found it.

    `line` is set only if it is not the line of the key (a duplicate key), else 0.
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
            text += f"[{quote(part, always=True)}]"
    return text


def quote(value: str, *, always: bool = False) -> str:
    """Return a value for a message: shortened, on one line, quoted unless it is plain (`always`: quoted anyway)."""
    short = value if len(value) <= _SHOWN else value[: _SHOWN - 1] + "…"
    if not always and _PLAIN.fullmatch(short):
        return short
    escaped = json.dumps(short, ensure_ascii=False)
    return "".join(sign if sign.isprintable() else f"\\x{ord(sign):02x}" for sign in escaped)


def closest(word: str, known: Iterable[str]) -> str:
    """Return the known word that is the closest match, or "" if none is close."""
    by_lower = {name.lower(): name for name in known}
    near = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[near[0]] if near else ""


class Locator(Protocol):
    """Finds where a value was written: in a file, in an inventory, or on a command line."""

    def line(self, problem: Problem) -> int:
        """Return the line to sort by, 0 for none."""

    def locate(self, problem: Problem) -> tuple[str, str]:
        """Return the fields `where` and `key` of a finding."""


@dataclass(frozen=True, slots=True)
class FileLocator:
    """Lines of a file, and the names of the hosts if these come from an inventory (`source`)."""

    path: Path
    lines: Mapping[Key, int]
    inventory_hosts: tuple[str, ...] = ()
    source: Path | None = None

    def line(self, problem: Problem) -> int:
        """Return the line of the key, or of what it is missing in; 0 for the file as a whole."""
        key = problem.key
        if self._is_in_inventory(key):
            return 0
        while key and key not in self.lines:
            key = key[:-1]
        return problem.line or (self.lines[key] if key else 0)

    def locate(self, problem: Problem) -> tuple[str, str]:
        key = problem.key
        if self._is_in_inventory(key) and isinstance(key[1], int):
            host, *rest = self.inventory_hosts[key[1]], *key[2:]
            rest[:1] = [VARIABLES[str(part)][0] for part in rest[:1] if str(part) in VARIABLES]
            return str(self.source), key_text((host, *rest))
        line = self.line(problem)
        return (f"{self.path}:{line}" if line else str(self.path)), key_text(key)

    def _is_in_inventory(self, key: Key) -> bool:
        return bool(self.inventory_hosts) and key[:1] == ("hosts",) and len(key) > 1


def to_findings(problems: Iterable[Problem], locator: Locator) -> tuple[Finding, ...]:
    """Return the findings with their locations, in the order of the file.

    If one key breaks several rules, only the first one is reported, errors before warnings: that `{{ x }}` is not a
    host name either is not worth a message.
    """
    by_location: dict[tuple[Key, int], list[Problem]] = {}
    for problem in problems:
        by_location.setdefault((problem.key, problem.line), []).append(problem)
    kept: dict[Problem, None] = {}
    for group in by_location.values():
        group.sort(key=lambda problem: problem.severity != "error")
        kept.update({problem: None for problem in group if problem.check == group[0].check})
    ordered = sorted(kept, key=lambda problem: locator.line(problem) or _LAST)
    return tuple(_finding(problem, locator) for problem in ordered)


def _finding(problem: Problem, locator: Locator) -> Finding:
    where, key = locator.locate(problem)
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
