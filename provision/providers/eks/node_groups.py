"""A node group of the file against one of AWS: what to make, what to change. Pure; used by plan, checks and actions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.providers.eks import desired

if TYPE_CHECKING:
    from collections.abc import Iterable

    from provision.model.eks import NodeGroup
    from provision.providers.eks.facts import NodeGroupFacts

_CAPACITY = {"on-demand": "ON_DEMAND", "spot": "SPOT"}


def creation(group: NodeGroup, version: str) -> dict[str, object]:
    """The node group as CreateNodegroup wants it, but for ids that are not known yet."""
    return {
        "scalingConfig": _scaling(group),
        "diskSize": group.disk,
        "instanceTypes": list(group.instance_types),
        "amiType": desired.ami_type(group),
        "capacityType": _CAPACITY[group.capacity],
        "labels": dict(group.labels),
        "taints": [desired.taint(text) for text in group.taints],
        "version": version,
    }


def differences(group: NodeGroup, found: NodeGroupFacts) -> tuple[str, ...]:
    """What differs and can be changed in place, as reasons.

    `desired` too: where an autoscaler moves it, the file must be kept like it, or min and max made equal to it.
    """
    reasons = [
        f"{name} is {seen}, not {wanted}"
        for name, seen, wanted in (
            ("min", found.min, group.min),
            ("desired", found.desired, group.desired),
            ("max", found.max, group.max),
        )
        if seen != wanted
    ]
    for key, value in group.labels.items():
        if found.labels.get(key) != value:
            reasons.append(f"lacks the label {key}={value}")
    reasons += [
        f"has the label {key}, which is not in the file" for key in found.labels if key not in group.labels
    ]
    wanted_taints = {_normal(text) for text in group.taints}
    reasons += [f"lacks the taint {text}" for text in sorted(wanted_taints - set(found.taints))]
    reasons += [
        f"has the taint {text}, which is not in the file"
        for text in sorted(set(found.taints) - wanted_taints)
    ]
    return tuple(reasons)


def update(group: NodeGroup, found: NodeGroupFacts) -> dict[str, object]:
    """The arguments of UpdateNodegroupConfig that bring it in step; empty if there is nothing to change."""
    changes: dict[str, object] = {}
    if (found.min, found.desired, found.max) != (group.min, group.desired, group.max):
        changes["scalingConfig"] = _scaling(group)
    added = {key: value for key, value in group.labels.items() if found.labels.get(key) != value}
    gone = sorted(key for key in found.labels if key not in group.labels)
    labels = _filled(addOrUpdateLabels=added, removeLabels=gone)
    if labels:
        changes["labels"] = labels
    wanted = [desired.taint(text) for text in group.taints]
    seen = [desired.taint(text) for text in found.taints]
    kept = {(taint["key"], taint["effect"]) for taint in wanted}
    taints = _filled(
        addOrUpdateTaints=[taint for taint in wanted if taint not in seen],
        removeTaints=[taint for taint in seen if (taint["key"], taint["effect"]) not in kept],
    )
    if taints:
        changes["taints"] = taints
    return changes


def refusals(
    group: NodeGroup, found: NodeGroupFacts, subnets: Iterable[str]
) -> tuple[tuple[str, str, str], ...]:
    """What differs and cannot be changed in place: key of the file, what it is, what is wanted."""
    pairs = (
        ("instance_types", ", ".join(found.instance_types), ", ".join(group.instance_types)),
        ("capacity", found.capacity, group.capacity),
        ("disk", str(found.disk or group.disk), str(group.disk)),
        ("ami", found.ami_type, desired.ami_type(group)),
        ("subnets", ", ".join(sorted(found.subnets)), ", ".join(sorted(subnets))),
    )
    return tuple((key, seen, wanted) for key, seen, wanted in pairs if seen != wanted)


def _scaling(group: NodeGroup) -> dict[str, int]:
    return {"minSize": group.min, "maxSize": group.max, "desiredSize": group.desired}


def _normal(text: str) -> str:
    """`key:Effect` for `key=:Effect`."""
    return text.replace("=:", ":")


def _filled(**parts: object) -> dict[str, object]:
    return {key: value for key, value in parts.items() if value}
