"""Tags of the user, and log types."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from provision.config.problem import Key, Problem, shown
from provision.config.rules.eks.parts import repeated, section, texts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_LONGEST_KEY, _LONGEST_VALUE = 128, 256
_MOST = 40  # of the 50 that a resource may have; ten are for provision, Kubernetes and EKS
_SIGNS = re.compile(r"[\w .:/=+@-]*")
_RESERVED = {
    "aws:": "AWS keeps for itself",
    "provision/": "provision keeps for itself",
    "kubernetes.io/": "controllers in the cluster go by",
}


def tag(key: Key, value: str) -> Iterator[Problem]:
    """Check one tag; the last part of the key is its name."""
    name = str(key[-1])
    message = ""
    reserved = next((each for each in _RESERVED if name.lower().startswith(each)), "")
    if not name.strip():
        message = "a tag has no name"
    elif reserved:
        message = f"{shown(name)} begins with {reserved}, which {_RESERVED[reserved]}"
    elif len(name) > _LONGEST_KEY:
        message = f"the name {shown(name)} has {len(name)} characters; at most {_LONGEST_KEY} are allowed"
    elif len(value) > _LONGEST_VALUE:
        message = f"the value has {len(value)} characters; at most {_LONGEST_VALUE} are allowed"
    elif not _SIGNS.fullmatch(name + value):
        message = f"{shown(name)}: {shown(value)} has signs that AWS does not take"
    if message:
        fix = "use letters, digits, spaces and . : / = + - @ _; for example team: platform"
        yield Problem(key=key, check="tag", message=message, fix="choose another name" if reserved else fix)


def tags(data: Mapping[str, object]) -> Iterator[Problem]:
    """Demand no more tags than there is room for; IAM takes `Team` and `team` for one."""
    given = section(data, "tags")
    if len(given) > _MOST:
        message = f"{len(given)} tags are given; there is room for {_MOST} beside provision's own"
        yield Problem(key=("tags",), check="tag", message=message, fix="take some out")
    yield from repeated(((("tags", name), name) for name in given), "tag")


def log_types(data: Mapping[str, object]) -> Iterator[Problem]:
    """Refuse a log type twice."""
    yield from repeated(((("logs", index), each) for index, each in texts(data, "logs")), "logs")
