"""Names of clusters, hosts and users; labels and taints of nodes as the API server accepts them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from provision.config.yaml.problem import Key, Problem, closest, quote

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST = 63  # a DNS label, and the value of the label kubernetes.io/hostname
_LABEL = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
LABEL = re.compile(_LABEL)
SUBDOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")
# Names with a meaning for every machine, or for Ansible (groups of hosts).
_RESERVED = {"localhost", "all", "ungrouped", "workers"}
_LONGEST_NAME, _LONGEST_PREFIX = 63, 253
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?")
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
# The kubelet sets these itself; a wrong value breaks scheduling.
_KUBELET_OWN = {"kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch"}


def cluster_name(key: Key, value: str) -> Iterator[Problem]:
    """Demand a DNS label: it becomes part of file names, of the kubeconfig and of kubeadm's settings."""
    yield from _name(key, value, LABEL, "a cluster name has lower-case letters, digits and - only")


def host_name(key: Key, value: str) -> Iterator[Problem]:
    """Demand a name as in RFC 1123: it becomes the host name and the node's name."""
    plain = value.rstrip(".").lower()
    if plain in _RESERVED or plain.startswith("localhost."):
        yield _refused_name(key, f"{quote(value)} is a reserved name", "choose another, for example w1")
    elif re.fullmatch(r"[0-9.]+", plain):
        fix = "choose a name with a letter, and write the address below `address`"
        yield _refused_name(key, f"{quote(value)} looks like an IPv4 address", fix)
    else:
        yield from _name(key, value, SUBDOMAIN, "a host name has lower-case letters, digits, - and . only")


def user_name(key: Key, value: str) -> Iterator[Problem]:
    if not _USER.fullmatch(value):
        fix = "write the user only; the host is below `address`" if "@" in value else "for example ubuntu"
        yield Problem(key, "user-name", f"{quote(value)} is not a user name", fix)


def _name(key: Key, value: str, pattern: re.Pattern[str], rule: str) -> Iterator[Problem]:
    tidy = value.lower().replace("_", "-").rstrip(".")
    better = f"write {tidy}" if tidy != value and pattern.fullmatch(tidy) else rule
    if len(value) > _LONGEST:
        message = f"{quote(value)} has {len(value)} characters; at most {_LONGEST} are allowed"
        yield _refused_name(key, message, "choose a shorter one")
    elif not value:
        yield _refused_name(key, "the name is empty", rule)
    elif not pattern.fullmatch(value):
        yield _refused_name(key, f"{quote(value)} {_name_problem(value)}", better)


def _name_problem(value: str) -> str:
    if value != value.lower():
        return "has upper-case letters"
    if "_" in value:
        return "has an underscore"
    if value.endswith("."):
        return "ends with a dot"
    if ".." in value or "/" in value:
        return "is a path, not a name"
    return "begins or ends with -" if value.strip("-") != value else "has characters that a name may not have"


def _refused_name(key: Key, message: str, fix: str) -> Problem:
    return Problem(key, "name", message, fix)


def label(key: Key, value: str) -> Iterator[Problem]:
    """Check one label; the last part of the key is its name."""
    name = str(key[-1])
    wrong = _wrong_name(name)
    if wrong:
        yield Problem(key, "label", f"the label's name {quote(name)} {wrong}", "for example disk: ssd")
    elif name in _KUBELET_OWN:
        yield Problem(key, "label", f"the kubelet sets the label {name} itself", "take it out")
    elif value and _wrong_value(value):
        fix = "letters, digits, -, _ and . only, at most 63"
        yield Problem(key, "label", f"the label's value {quote(value)} {_wrong_value(value)}", fix)


def taint(key: Key, value: str) -> Iterator[Problem]:
    """Demand `key=value:Effect` or `key:Effect`."""
    body, colon, effect = value.rpartition(":")
    if not colon:
        fix = f"write {value.rstrip('-')}:NoSchedule, or another effect: {', '.join(_EFFECTS)}"
        yield Problem(key, "taint", f"{quote(value)} has no effect", fix)
        return
    if effect not in _EFFECTS:
        near = closest(effect, _EFFECTS)
        fix = f"did you mean {near}?" if near else f"write one of {', '.join(_EFFECTS)}"
        if effect.endswith("-"):
            fix = "to remove a taint, take it out of the list"
        yield Problem(key, "taint", f"{quote(effect)} is not an effect", fix)
        return
    name, _, content = body.partition("=")
    wrong = _wrong_name(name) or (content and _wrong_value(content))
    if wrong:
        fix = "write key=value:Effect, for example dedicated=database:NoSchedule"
        yield Problem(key, "taint", f"{quote(value)}: {quote(body)} {wrong}", fix)


def _wrong_name(text: str) -> str:
    prefix, slash, name = text.rpartition("/")
    if slash and (not SUBDOMAIN.fullmatch(prefix) or len(prefix) > _LONGEST_PREFIX):
        return "has a prefix that is not a DNS name"
    return _wrong_value(name) if name else "has no name"


def _wrong_value(text: str) -> str:
    if len(text) > _LONGEST_NAME:
        return f"has {len(text)} characters; at most {_LONGEST_NAME} are allowed"
    return "" if _NAME.fullmatch(text) else "has characters that Kubernetes does not allow there"
