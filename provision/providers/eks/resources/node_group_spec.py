"""A node group of the file compared with one of AWS: what to create, change or refuse. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from provision.model.eks import NodeGroup
    from provision.providers.eks.facts import NodeGroupFacts

_EFFECTS = {"NoSchedule": "NO_SCHEDULE", "NoExecute": "NO_EXECUTE", "PreferNoSchedule": "PREFER_NO_SCHEDULE"}
_ACCELERATED = re.compile(r"(?:p\d|g\d|gr\d)")
_NO_NVIDIA = re.compile(r"g4ad")
_NEURON = re.compile(r"(?:inf|trn)\d")
_GRAVITON = re.compile(r"a1|[a-z]+\d+g")  # m7g, c6gn, im4gn, g5g: a g right behind the generation
_CAPACITY = {"on-demand": "ON_DEMAND", "spot": "SPOT"}


def creation(group: NodeGroup, version: str) -> dict[str, object]:
    """The node group as CreateNodegroup wants it, but for ids that are not known yet."""
    return {
        "scalingConfig": _scaling(group),
        "diskSize": group.disk,
        "instanceTypes": list(group.instance_types),
        "amiType": ami_type(group),
        "capacityType": _CAPACITY[group.capacity],
        "labels": dict(group.labels),
        "taints": [_taint(text) for text in group.taints],
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
    wanted = [_taint(text) for text in group.taints]
    seen = [_taint(text) for text in found.taints]
    kept = {(taint["key"], taint["effect"]) for taint in wanted}
    taints = _filled(
        addOrUpdateTaints=[taint for taint in wanted if taint not in seen],
        removeTaints=[taint for taint in seen if (taint["key"], taint["effect"]) not in kept],
    )
    if taints:
        changes["taints"] = taints
    return changes


def immutable_differences(
    group: NodeGroup, found: NodeGroupFacts, subnets: Iterable[str]
) -> tuple[tuple[str, str, str], ...]:
    """What differs and cannot be changed in place: key of the file, what it is, what is wanted."""
    pairs = (
        ("instance_types", ", ".join(found.instance_types), ", ".join(group.instance_types)),
        ("capacity", found.capacity, group.capacity),
        ("disk", str(found.disk or group.disk), str(group.disk)),
        ("ami", found.ami_type, ami_type(group)),
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


def ami_type(group: NodeGroup) -> str:
    """AWS's word for the family, the architecture and the accelerator of the first instance type."""
    kind = group.instance_types[0]
    arm = bool(_GRAVITON.match(kind))
    nvidia = bool(_ACCELERATED.match(kind)) and not _NO_NVIDIA.match(kind)
    if group.ami == "Bottlerocket":
        return f"BOTTLEROCKET_{'ARM_64' if arm else 'x86_64'}{'_NVIDIA' if nvidia else ''}"
    if _NEURON.match(kind):
        return "AL2023_x86_64_NEURON"
    return f"AL2023_{'ARM_64' if arm else 'x86_64'}_{'NVIDIA' if nvidia else 'STANDARD'}"


def _taint(text: str) -> dict[str, str]:
    """`dedicated=database:NoSchedule` as the API writes it."""
    pair, _, effect = text.rpartition(":")
    key, _, value = pair.partition("=")
    return {"key": key, "value": value, "effect": _EFFECTS[effect]}
