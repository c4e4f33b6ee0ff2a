"""The region, the profile and the Kubernetes version."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from provision.config.problem import Key, Problem, meant, shown
from provision.versions import versions

if TYPE_CHECKING:
    from collections.abc import Iterator

_DIRECTIONS = (
    "central",
    "north",
    "northeast",
    "northwest",
    "east",
    "southeast",
    "south",
    "southwest",
    "west",
)
_REGION = re.compile(rf"([a-z]{{2,4}}(?:-[a-z]{{2,5}})?)-({'|'.join(_DIRECTIONS)})-([1-9][0-9]?)")
_NEARLY = re.compile(r"([a-z]{2}(?:-gov|-iso[a-z]?)?)-?([a-z]+)-?([1-9][0-9]?)")
_MINOR = re.compile(r"1\.[1-9][0-9]")
_PROFILE = re.compile(r"[^\[\]\s](?:[^\[\]]{0,126}[^\[\]\s])?")


def region(key: Key, value: str) -> Iterator[Problem]:
    """Demand a name like eu-central-1; whether the account may use it is known to AWS only."""
    if is_region(value):
        return
    lower, fix = value.strip().lower().replace("_", "-"), "for example eu-central-1"
    message = f"{shown(value)} is not a region"
    nearly = _NEARLY.fullmatch(lower)
    if is_region(lower):
        fix = f"write {lower}"
    elif is_region(lower[:-1]) and lower[-1:].isalpha():
        message, fix = f"{shown(value)} is an availability zone", f"write {lower[:-1]}"
    elif nearly and (direction := meant(nearly[2], _DIRECTIONS)):
        fix = f"did you mean {nearly[1]}-{direction}-{nearly[3]}?"
    yield Problem(key=key, check="region", message=message, fix=fix)


def is_region(text: str) -> bool:
    return bool(_REGION.fullmatch(text))


def profile(key: Key, value: str) -> Iterator[Problem]:
    """Demand what can be a section of ~/.aws/config."""
    if not _PROFILE.fullmatch(value):
        message = f"{shown(value)} is not the name of a profile"
        fix = "write the name as `aws configure list-profiles` has it, or take the key out"
        yield Problem(key=key, check="profile", message=message, fix=fix)


def kubernetes_minor(key: Key, value: str) -> Iterator[Problem]:
    """Demand a minor version: EKS chooses the patch release. `check` asks EKS which ones it has."""
    if _MINOR.fullmatch(value):
        return
    plain = value.strip().removeprefix("v")
    minor = ".".join(plain.split(".")[:2]).partition("-")[0]
    better = minor if _MINOR.fullmatch(minor) else versions().eks.default
    message = f"{shown(value)} is not a minor version of Kubernetes"
    if value.startswith("v") and _MINOR.fullmatch(plain):
        message = f"{shown(value)} begins with v"
    elif re.fullmatch(r"\d+\.\d+\.\d+.*", plain):
        message = f"{shown(value)} is a patch version; EKS chooses the patch release itself"
    yield Problem(key=key, check="kubernetes-version", message=message, fix=f'write "{better}"')
