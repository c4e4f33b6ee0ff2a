"""Node groups with their instance types, and Fargate profiles."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from provision.config.rules import names as nodes
from provision.config.rules.names import LABEL
from provision.config.rules.rulebook import entries, find_duplicates, number, text, texts
from provision.config.yaml.problem import Key, Problem, quote
from provision.model.eks import NodeGroup

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_LONGEST = 63
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_DISK = range(20, 16385)
_SELECTORS = range(1, 6)
_NAMESPACE = re.compile(r"[a-z0-9*?]([a-z0-9*?-]*[a-z0-9*?])?")
# Label domains that the kubelet may not set on its node, or that EKS sets; the kubelet may set `_ALLOWED` ones.
_RESERVED = ("kubernetes.io", "k8s.io", "eks.amazonaws.com")
_ALLOWED = ("node.kubernetes.io", "kubelet.kubernetes.io")
_SIZES = r"nano|micro|small|medium|large|xlarge|[1-9][0-9]{0,2}xlarge|metal(?:-[0-9]+xl)?"
_TYPE = re.compile(rf"(?P<family>[a-z]+)(?P<options>-?[0-9][a-z0-9]*(?:-[a-z0-9]+)*)\.(?P<size>{_SIZES})")
_MOST = 20  # types of a node group, a fixed quota of EKS


def group_name(key: Key, value: str) -> Iterator[Problem]:
    """Demand a name that EKS accepts for node groups and Fargate profiles."""
    kind = "node group" if key[0] == "node_groups" else "Fargate profile"
    message = ""
    if not value:
        message = f"a {kind} has no name"
    elif len(value) > _LONGEST:
        message = f"{quote(value)} has {len(value)} characters; at most {_LONGEST} are allowed"
    elif not _NAME.fullmatch(value):
        message = f"{quote(value)} is not a name for a {kind}"
    elif key[0] == "fargate_profiles" and value.startswith("eks-"):
        message = f"{value} begins with eks-, which AWS reserves"
    if message:
        fix = "use letters, digits, - and _, beginning with a letter or digit"
        yield Problem(key, "name", message, fix)


def disk(key: Key, value: int) -> Iterator[Problem]:
    """Demand a size in GiB that the image needs and EBS offers."""
    if value not in _DISK:
        fix = f"write {_DISK[0]} to {_DISK[-1]}"
        yield Problem(key, "disk", f"{value} GiB is not possible", fix)


def node_label(key: Key, value: str) -> Iterator[Problem]:
    """Check one label of a node group's nodes."""
    name = str(key[-1])
    domain = name.rpartition("/")[0]
    below = next((each for each in _RESERVED if domain == each or domain.endswith(f".{each}")), "")
    if below and domain not in _ALLOWED:
        message = f"labels below {below} are set by Kubernetes and EKS themselves"
        fix = "write the name without that prefix, or with one of your own (example.com/...)"
        yield Problem(key, "label", message, fix)
    else:
        yield from nodes.label(key, value)


def namespace_pattern(key: Key, value: str) -> Iterator[Problem]:
    """Demand a namespace; `*` and `?` are wildcards, as in EKS."""
    if len(value) > _LONGEST or not _NAMESPACE.fullmatch(value):
        message = f"{quote(value)} is not a namespace"
        yield Problem(key, "namespace", message, "for example batch, or prod-*")


def is_namespace(value: str) -> bool:
    return len(value) <= _LONGEST and bool(LABEL.fullmatch(value))


def sizes(data: Mapping[str, object]) -> Iterator[Problem]:
    """Demand 0 <= min <= desired <= max and max >= 1; missing values are the defaults."""
    for index, group in entries(data, "node_groups"):
        key: Key = ("node_groups", index)
        least, now, most = (
            number(group, name, NodeGroup.model_fields[name].default) for name in ("min", "desired", "max")
        )
        low, size, high = (
            f"{name} {value}" + ("" if name in group else " (the default)")
            for name, value in (("min", least), ("desired", now), ("max", most))
        )
        if least is not None and least < 0:
            yield _size((*key, "min"), f"min {least} is less than 0", "write min: 0 or more")
        elif most is not None and most < 1:
            yield _size((*key, "max"), f"max {most} is less than 1", "write max: 1 or more")
        elif least is not None and most is not None and least > most:
            yield _size((*key, "min"), f"min {least} is more than {high}", f"write max: {least} or more")
        elif now is not None and most is not None and now > most:
            wrong = "desired" if "desired" in group else "max"
            fix = f"max: {now} or more" if wrong == "desired" else f"desired: {most} too"
            yield _size((*key, wrong), f"{size} is more than {high}", f"write {fix}")
        elif now is not None and least is not None and now < least:
            wrong = "desired" if "desired" in group else "min"
            fix = f"min: {now}" if wrong == "desired" else f"desired: {least} too"
            yield _size((*key, wrong), f"{size} is less than {low}", f"write {fix}")


def duplicate_names(data: Mapping[str, object]) -> Iterator[Problem]:
    """Refuse node groups, Fargate profiles or add-ons with the same name."""
    for kind in ("node_groups", "fargate_profiles", "addons"):
        named: list[tuple[Key, str]] = [
            ((kind, index, "name"), text(each, "name")) for index, each in entries(data, kind)
        ]
        yield from find_duplicates(named, "duplicate-name")


def selectors(data: Mapping[str, object]) -> Iterator[Problem]:
    """Demand one to five selectors per Fargate profile."""
    for index, profile in entries(data, "fargate_profiles"):
        listed = profile.get("selectors")
        if isinstance(listed, tuple) and len(listed) not in _SELECTORS:
            message = f"{len(listed) or 'no'} selectors are given; one to five are possible"
            fix = "add `- namespace: batch`" if not listed else "add a second profile for the others"
            yield Problem(("fargate_profiles", index, "selectors"), "selectors", message, fix)


def eksctl_group_names(data: Mapping[str, object]) -> Iterator[Problem]:
    """Refuse underscores with eksctl, which names a CloudFormation stack after each node group."""
    if text(data, "backend") != "eksctl":
        return
    for index, group in entries(data, "node_groups"):
        name = text(group, "name")
        if "_" in name and _NAME.fullmatch(name):
            message = f"{name} has an underscore, which names of eksctl's CloudFormation stacks cannot have"
            fix = f"write {name.replace('_', '-')}, or backend: boto3"
            yield Problem(("node_groups", index, "name"), "eksctl", message, fix)


def coredns_capacity(data: Mapping[str, object]) -> Iterator[Problem]:
    """Warn if nothing can run the pods of kube-system: their add-ons would stay degraded."""
    groups = entries(data, "node_groups")
    if not isinstance(data.get("node_groups", ()), tuple):
        return
    fewest = [number(group, "desired", NodeGroup.model_fields["desired"].default) for _, group in groups]
    if (not groups and not data.get("fargate_profiles")) or any(each != 0 for each in fewest):
        return
    spaces = [
        text(selector, "namespace")
        for _, profile in entries(data, "fargate_profiles")
        for _, selector in entries(profile, "selectors")
    ]
    if any(
        re.fullmatch(re.escape(each).replace(r"\*", ".*").replace(r"\?", "."), "kube-system")
        for each in spaces
    ):
        return
    message = "no node and no Fargate profile runs the pods of kube-system, coredns among them"
    fix = "give a node group desired: 1 or more, or a profile the selector `namespace: kube-system`"
    key: Key = ("node_groups",) if groups else ("fargate_profiles",)
    yield Problem(key, "coredns", message, fix, severity="warning")


def _size(key: Key, message: str, fix: str) -> Problem:
    return Problem(key, "size", message, fix)


def instance_type(key: Key, value: str) -> Iterator[Problem]:
    """Demand `family.size`; only AWS knows which zones offer it."""
    if _TYPE.fullmatch(value):
        return
    tidy = value.strip().lower().replace("_", ".")
    fix = f"write {tidy}" if _TYPE.fullmatch(tidy) else "for example m7i.large"
    message = f"{quote(value)} is not an instance type"
    if re.fullmatch(r"[a-z]+[0-9][a-z0-9-]*", tidy):
        message, fix = f"{quote(value)} has no size", f"for example {tidy}.large"
    yield Problem(key, "instance-type", message, fix)


def architecture(instance: str) -> str:
    """`m7g.large` -> `arm64`, `m7i.large` -> `amd64`, anything else -> "".

    A `g` among the letters behind the generation is Graviton (m7g, c7gn, im4gn, g5g), and so is
    a1, the first of them; `gb` behind a dash is Nvidia's Grace.
    """
    found = _TYPE.fullmatch(instance)
    if not found:
        return ""
    letters, *rest = re.sub(r"^-?[0-9]+", "", found["options"]).split("-")
    is_arm = (found["family"] == "a" and found["options"] == "1") or "g" in letters
    return "arm64" if is_arm or any(each.startswith("gb") for each in rest) else "amd64"


def group_architectures(data: Mapping[str, object]) -> Iterator[Problem]:
    """Demand at least one type, no duplicates, one architecture: all nodes of a group run one image."""
    for index, group in entries(data, "node_groups"):
        key: Key = ("node_groups", index, "instance_types")
        listed = group.get("instance_types")
        if listed == ():
            yield _refused(
                key, "no instance type is listed", "list one, or take the key out to have m7i.large"
            )
        if isinstance(listed, tuple) and len(listed) > _MOST:
            yield _refused(
                key, f"{len(listed)} types are listed; EKS accepts at most {_MOST}", "take some out"
            )
        found = texts(group, "instance_types")
        yield from find_duplicates((((*key, place), each) for place, each in found), "instance-type")
        known = [(place, each, architecture(each)) for place, each in found if architecture(each)]
        for place, each, kind in known[1:]:
            if kind != known[0][2]:
                message = (
                    f"{each} is {kind}, {known[0][1]} is {known[0][2]}; the nodes of a group run one image"
                )
                yield _refused((*key, place), message, f"add a separate node group for {kind}")


def _refused(key: Key, message: str, fix: str) -> Problem:
    return Problem(key, "instance-type", message, fix)
