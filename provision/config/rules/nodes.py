"""Labels and taints of nodes, as the API server will accept them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from provision.config.problem import Key, Problem, meant, shown
from provision.config.rules.names import SUBDOMAIN

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST_NAME, _LONGEST_PREFIX = 63, 253
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?")
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
# The kubelet sets these from what the node is; a wrong value breaks scheduling.
_KUBELET_OWN = {"kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch"}


def label(key: Key, value: str) -> Iterator[Problem]:
    """Check one label; the last part of the key is its name."""
    name = str(key[-1])
    wrong = _wrong_name(name)
    if wrong:
        yield _refused(key, "label", f"the label's name {shown(name)} {wrong}", "for example disk: ssd")
    elif name in _KUBELET_OWN:
        yield _refused(key, "label", f"the kubelet sets the label {name} itself", "take it out")
    elif value and _wrong_value(value):
        fix = "letters, digits, -, _ and . only, at most 63"
        yield _refused(key, "label", f"the label's value {shown(value)} {_wrong_value(value)}", fix)


def taint(key: Key, value: str) -> Iterator[Problem]:
    """Demand `key=value:Effect` or `key:Effect`."""
    body, colon, effect = value.rpartition(":")
    if not colon:
        fix = f"write {value.rstrip('-')}:NoSchedule, or another effect: {', '.join(_EFFECTS)}"
        yield _refused(key, "taint", f"{shown(value)} has no effect", fix)
        return
    if effect not in _EFFECTS:
        near = meant(effect, _EFFECTS)
        fix = f"did you mean {near}?" if near else f"write one of {', '.join(_EFFECTS)}"
        if effect.endswith("-"):
            fix = "to remove a taint, take it out of the list"
        yield _refused(key, "taint", f"{shown(effect)} is not an effect", fix)
        return
    name, _, content = body.partition("=")
    wrong = _wrong_name(name) or (content and _wrong_value(content))
    if wrong:
        fix = "write key=value:Effect, for example dedicated=database:NoSchedule"
        yield _refused(key, "taint", f"{shown(value)}: {shown(body)} {wrong}", fix)


def _wrong_name(text: str) -> str:
    prefix, slash, name = text.rpartition("/")
    if slash and (not SUBDOMAIN.fullmatch(prefix) or len(prefix) > _LONGEST_PREFIX):
        return "has a prefix that is not a DNS name"
    return _wrong_value(name) if name else "has no name"


def _wrong_value(text: str) -> str:
    if len(text) > _LONGEST_NAME:
        return f"has {len(text)} characters; at most {_LONGEST_NAME} are allowed"
    return "" if _NAME.fullmatch(text) else "has signs that Kubernetes does not allow there"


def _refused(key: Key, check: str, message: str, fix: str) -> Problem:
    return Problem(key=key, check=check, message=message, fix=fix)
