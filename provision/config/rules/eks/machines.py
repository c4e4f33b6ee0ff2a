"""Instance types, as far as their names tell."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from provision.config.problem import Key, Problem, shown
from provision.config.rules.eks.parts import entries, repeated, texts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SIZES = r"nano|micro|small|medium|large|xlarge|[1-9][0-9]{0,2}xlarge|metal(?:-[0-9]+xl)?"
_TYPE = re.compile(rf"(?P<family>[a-z]+)(?P<options>-?[0-9][a-z0-9]*(?:-[a-z0-9]+)*)\.(?P<size>{_SIZES})")
_MOST = 20  # types of a node group, a fixed quota of EKS


def instance_type(key: Key, value: str) -> Iterator[Problem]:
    """Demand `family.size`; which zone offers it is known to AWS only."""
    if _TYPE.fullmatch(value):
        return
    tidy = value.strip().lower().replace("_", ".")
    fix = f"write {tidy}" if _TYPE.fullmatch(tidy) else "for example m7i.large"
    message = f"{shown(value)} is not an instance type"
    if re.fullmatch(r"[a-z]+[0-9][a-z0-9-]*", tidy):
        message, fix = f"{shown(value)} has no size", f"for example {tidy}.large"
    yield Problem(key=key, check="instance-type", message=message, fix=fix)


def architecture(instance: str) -> str:
    """`m7g.large` -> `arm64`, `m7i.large` -> `amd64`, anything that is no type -> "".

    A `g` among the letters behind the generation is Graviton (m7g, c7gn, im4gn, g5g); a1 was the first of them, and
    `gb` behind a dash is Nvidia's Grace.
    """
    found = _TYPE.fullmatch(instance)
    if not found:
        return ""
    letters, *rest = re.sub(r"^-?[0-9]+", "", found["options"]).split("-")
    is_arm = (found["family"] == "a" and found["options"] == "1") or "g" in letters
    return "arm64" if is_arm or any(each.startswith("gb") for each in rest) else "amd64"


def types_of_groups(data: Mapping[str, object]) -> Iterator[Problem]:
    """Demand at least one type, none twice, all of one architecture: a group runs one image."""
    for index, group in entries(data, "node_groups"):
        key: Key = ("node_groups", index, "instance_types")
        listed = group.get("instance_types")
        if listed == ():
            yield _refused(
                key, "no instance type is listed", "list one, or take the key out to have m7i.large"
            )
        if isinstance(listed, tuple) and len(listed) > _MOST:
            yield _refused(key, f"{len(listed)} types are listed; EKS takes at most {_MOST}", "take some out")
        found = texts(group, "instance_types")
        yield from repeated((((*key, place), each) for place, each in found), "instance-type")
        known = [(place, each, architecture(each)) for place, each in found if architecture(each)]
        for place, each, kind in known[1:]:
            if kind != known[0][2]:
                message = (
                    f"{each} is {kind}, {known[0][1]} is {known[0][2]}; the nodes of a group run one image"
                )
                yield _refused((*key, place), message, f"make a node group of its own for {kind}")


def _refused(key: Key, message: str, fix: str) -> Problem:
    return Problem(key=key, check="instance-type", message=message, fix=fix)
