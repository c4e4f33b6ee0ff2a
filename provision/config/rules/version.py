"""Which Kubernetes versions this release creates and looks after."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from provision.config.problem import Key, Problem, shown
from provision.model.units import minor_of
from provision.versions import versions

if TYPE_CHECKING:
    from collections.abc import Iterator

_FULL = re.compile(r"(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})")


def full_version(written: str) -> str:
    """Return the version that was probably meant, quoted: the newest known one of that minor, or the default."""
    known = versions().kubernetes
    minor = known.minors.get(minor_of(written.removeprefix("v")))
    supported = ", ".join(sorted(known.minors, key=_order))
    return f'"{minor.patch if minor else known.default}" (supported: {supported})'


def kubernetes_version(key: Key, value: str) -> Iterator[Problem]:
    """Demand a full version of a supported minor: what nobody wrote must never cause an upgrade."""
    known = versions().kubernetes
    fix = f"write {full_version(value)}"
    plain = value.removeprefix("v")
    message = ""
    if value != plain and _FULL.fullmatch(plain):
        message, fix = f"{shown(value)} begins with v", f'write "{plain}"'
    elif re.fullmatch(r"\d+\.\d+", plain):
        message = (
            f"{shown(value)} is a minor version; a full one is needed, so that nothing is upgraded unasked"
        )
    elif re.fullmatch(r"\d+\.\d+\.\d+[-+].+", plain):
        message = f"{shown(value)} is a pre-release or a build of its own; only releases are supported"
    elif not _FULL.fullmatch(plain):
        message = f"{shown(value)} is not a version like {known.default}"
    elif minor_of(plain) not in known.minors:
        newest = max(known.minors, key=_order)
        old = _order(minor_of(plain)) < _order(newest)
        what = "is no longer supported" if old else "is newer than this release knows"
        message = f"Kubernetes {minor_of(plain)} {what}"
    if message:
        yield Problem(key=key, check="kubernetes-version", message=message, fix=fix)


def _order(minor: str) -> tuple[int, ...]:
    return tuple(int(part) for part in minor.split("."))
