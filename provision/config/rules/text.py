"""No text of the file can become a template, a shell command or an option of a program.

Values travel to ssh, Ansible and kubeadm as data; this is the second lock, and it acts before anything runs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from provision.config.problem import Key, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

_FORBIDDEN = (
    (re.compile(r"\{\{|\{%|\{#"), "holds a template expression ({sign}), which is never resolved here"),
    (re.compile(r"\$\(|\$\{|\$|`"), "holds a shell substitution ({sign}), which is never resolved here"),
    (re.compile(r"[\r\n]"), "is text on several lines; one line is needed"),
    (re.compile(r"[\x00-\x1f\x7f]"), "holds a control character"),
    (re.compile(r"^-"), "begins with `-`, which programs read as an option"),
    (re.compile(r"[;|<>&\"'\\]"), "holds the sign {sign}, which no value of this file needs"),
)


def unsafe_text(key: Key, value: object) -> Iterator[Problem]:
    """Look at every text at or below a key, names of labels included."""
    if isinstance(value, str):
        for pattern, message in _FORBIDDEN:
            found = pattern.search(value)
            if found:
                said = message.format(sign=found[0])
                yield Problem(key=key, check="plain-text", message=said, fix="write plain text")
                return
    elif isinstance(value, dict):
        for name, item in value.items():
            refused = list(unsafe_text((*key, name), name))
            yield from refused or unsafe_text((*key, name), item)
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from unsafe_text((*key, index), item)
