"""Region, profile, Kubernetes version, add-ons, tags and logs of an EKS cluster."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

from provision.config.rules.rulebook import entries, find_duplicates, section, text, texts
from provision.config.yaml.problem import Key, Problem, closest, quote
from provision.versions import versions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_VERSION = re.compile(r"v[0-9]+\.[0-9]+\.[0-9]+(-[A-Za-z0-9.]+)*")
# Add-ons of AWS, to catch typing errors; there are others, and `provision check` asks EKS.
_KNOWN = (
    "adot",
    "amazon-cloudwatch-observability",
    "aws-ebs-csi-driver",
    "aws-efs-csi-driver",
    "aws-fsx-csi-driver",
    "aws-guardduty-agent",
    "aws-mountpoint-s3-csi-driver",
    "aws-network-flow-monitoring-agent",
    "cert-manager",
    "coredns",
    "eks-node-monitoring-agent",
    "eks-pod-identity-agent",
    "external-dns",
    "kube-proxy",
    "kube-state-metrics",
    "metrics-server",
    "prometheus-node-exporter",
    "snapshot-controller",
    "vpc-cni",
)
_OTHER_WORDS = {
    "cni": "vpc-cni",
    "aws-vpc-cni": "vpc-cni",
    "amazon-vpc-cni": "vpc-cni",
    "aws-node": "vpc-cni",
    "core-dns": "coredns",
    "kubeproxy": "kube-proxy",
    "ebs-csi": "aws-ebs-csi-driver",
    "ebs-csi-driver": "aws-ebs-csi-driver",
    "efs-csi-driver": "aws-efs-csi-driver",
    "pod-identity-agent": "eks-pod-identity-agent",
    "pod-identity": "eks-pod-identity-agent",
    "metrics": "metrics-server",
}
_NEAR = 0.85
_LONGEST_KEY, _LONGEST_VALUE = 128, 256
_MOST = 40  # of the 50 that a resource may have; ten are for provision, Kubernetes and EKS
_SIGNS = re.compile(r"[\w .:/=+@-]*")
_RESERVED = {
    "aws:": "AWS reserves",
    "provision/": "provision reserves",
    "kubernetes.io/": "controllers in the cluster use",
}


def region(key: Key, value: str) -> Iterator[Problem]:
    """Demand a name like eu-central-1; only AWS knows whether the account may use it."""
    if is_region(value):
        return
    lower, fix = value.strip().lower().replace("_", "-"), "for example eu-central-1"
    message = f"{quote(value)} is not a region"
    nearly = _NEARLY.fullmatch(lower)
    if is_region(lower):
        fix = f"write {lower}"
    elif is_region(lower[:-1]) and lower[-1:].isalpha():
        message, fix = f"{quote(value)} is an availability zone", f"write {lower[:-1]}"
    elif nearly and (direction := closest(nearly[2], _DIRECTIONS)):
        fix = f"did you mean {nearly[1]}-{direction}-{nearly[3]}?"
    yield Problem(key, "region", message, fix)


def is_region(text: str) -> bool:
    return bool(_REGION.fullmatch(text))


def profile(key: Key, value: str) -> Iterator[Problem]:
    """Demand a possible section name of ~/.aws/config."""
    if not _PROFILE.fullmatch(value):
        message = f"{quote(value)} is not the name of a profile"
        fix = "write the name as `aws configure list-profiles` has it, or take the key out"
        yield Problem(key, "profile", message, fix)


def kubernetes_minor(key: Key, value: str) -> Iterator[Problem]:
    """Demand a minor version: EKS chooses the patch release. `provision check` asks EKS for the versions it has."""
    if _MINOR.fullmatch(value):
        return
    plain = value.strip().removeprefix("v")
    minor = ".".join(plain.split(".")[:2]).partition("-")[0]
    better = minor if _MINOR.fullmatch(minor) else versions().eks.default
    message = f"{quote(value)} is not a minor version of Kubernetes"
    if value.startswith("v") and _MINOR.fullmatch(plain):
        message = f"{quote(value)} begins with v"
    elif re.fullmatch(r"\d+\.\d+\.\d+.*", plain):
        message = f"{quote(value)} is a patch version; EKS chooses the patch release itself"
    yield Problem(key, "kubernetes-version", message, f'write "{better}"')


def addon_name(key: Key, value: str) -> Iterator[Problem]:
    """Demand a well-formed name, and warn of one that is close to that of a known add-on."""
    if not _NAME.fullmatch(value):
        message = f"{quote(value)} is not the name of an add-on"
        yield Problem(key, "addon", message, "for example aws-ebs-csi-driver")
        return
    known = _OTHER_WORDS.get(value.lower(), "")
    if known:
        message = f"EKS has no add-on {value}"
        yield Problem(key, "addon", message, f"write {known}")
        return
    near = get_close_matches(value.lower(), _KNOWN, n=1, cutoff=_NEAR)
    if near and value not in _KNOWN:
        message = f"{value} is not an add-on that this release knows"
        yield Problem(key, "addon", message, f"did you mean {near[0]}?", severity="warning")


def addon_version(key: Key, value: str) -> Iterator[Problem]:
    """Demand an exact version with its `v`, as EKS lists them."""
    if _VERSION.fullmatch(value):
        return
    fix = "for example v1.20.1-eksbuild.1, or take the key out to have EKS's default"
    if _VERSION.fullmatch(f"v{value}"):
        fix = f"write v{value}"
    message = f"{quote(value)} is not an exact version of an add-on"
    yield Problem(key, "addon-version", message, fix)


def missing_addons(data: Mapping[str, object]) -> Iterator[Problem]:
    """Refuse pod identities without their agent; warn of nodes without a network plugin or kube-proxy."""
    if not isinstance(data.get("addons"), tuple):
        return
    names = {text(each, "name") for _, each in entries(data, "addons")}
    if entries(data, "pod_identities") and "eks-pod-identity-agent" not in names:
        message = "pod identities work through the add-on eks-pod-identity-agent, which is not in the list"
        fix = "add `- name: eks-pod-identity-agent`"
        yield Problem(("addons",), "addons", message, fix)
    for name, what in (("vpc-cni", "never become Ready"), ("kube-proxy", "reach no service")):
        if entries(data, "node_groups") and name not in names:
            message = f"{name} is not in the list: without it, or what you install instead, nodes {what}"
            yield Problem(("addons",), "addons", message, f"add `- name: {name}`", severity="warning")


def tag(key: Key, value: str) -> Iterator[Problem]:
    """Check one tag; the last part of the key is its name."""
    name = str(key[-1])
    message = ""
    reserved = next((each for each in _RESERVED if name.lower().startswith(each)), "")
    if not name.strip():
        message = "a tag has no name"
    elif reserved:
        message = f"{quote(name)} begins with {reserved}, which {_RESERVED[reserved]}"
    elif len(name) > _LONGEST_KEY:
        message = f"the name {quote(name)} has {len(name)} characters; at most {_LONGEST_KEY} are allowed"
    elif len(value) > _LONGEST_VALUE:
        message = f"the value has {len(value)} characters; at most {_LONGEST_VALUE} are allowed"
    elif not _SIGNS.fullmatch(name + value):
        message = f"{quote(name)}: {quote(value)} has characters that AWS does not accept"
    if message:
        fix = "use letters, digits, spaces and . : / = + - @ _; for example team: platform"
        yield Problem(key, "tag", message, "choose another name" if reserved else fix)


def tags(data: Mapping[str, object]) -> Iterator[Problem]:
    """Refuse too many tags, and names that differ in case only: to IAM, `Team` and `team` are the same."""
    given = section(data, "tags")
    if len(given) > _MOST:
        message = f"{len(given)} tags are given; there is room for {_MOST} beside provision's own"
        yield Problem(("tags",), "tag", message, "take some out")
    yield from find_duplicates(((("tags", name), name) for name in given), "tag")


def log_types(data: Mapping[str, object]) -> Iterator[Problem]:
    yield from find_duplicates(((("logs", index), each) for index, each in texts(data, "logs")), "logs")
