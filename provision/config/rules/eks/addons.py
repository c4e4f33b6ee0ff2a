"""Add-ons: names, versions, and what needs which."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

from provision.config.problem import Key, Problem, shown
from provision.config.rules.eks.parts import entries, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_VERSION = re.compile(r"v[0-9]+\.[0-9]+\.[0-9]+(-[A-Za-z0-9.]+)*")
# Those of AWS, to notice a slip; there are others, and `check` asks EKS.
KNOWN = (
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


def addon_name(key: Key, value: str) -> Iterator[Problem]:
    """Demand a name, and notice one that is nearly that of a known add-on."""
    if not _NAME.fullmatch(value):
        message = f"{shown(value)} is not the name of an add-on"
        yield Problem(key=key, check="addon", message=message, fix="for example aws-ebs-csi-driver")
        return
    known = _OTHER_WORDS.get(value.lower(), "")
    if known:
        message = f"EKS has no add-on {value}"
        yield Problem(key=key, check="addon", message=message, fix=f"write {known}")
        return
    near = get_close_matches(value.lower(), KNOWN, n=1, cutoff=_NEAR)
    if near and value not in KNOWN:
        message = f"{value} is no add-on that this release knows"
        yield Problem(
            key=key, check="addon", message=message, fix=f"did you mean {near[0]}?", severity="warning"
        )


def addon_version(key: Key, value: str) -> Iterator[Problem]:
    """Demand an exact version with its `v`, as EKS lists them."""
    if _VERSION.fullmatch(value):
        return
    fix = "for example v1.20.1-eksbuild.1, or take the key out to have EKS's default"
    if _VERSION.fullmatch(f"v{value}"):
        fix = f"write v{value}"
    message = f"{shown(value)} is not an exact version of an add-on"
    yield Problem(key=key, check="addon-version", message=message, fix=fix)


def needed_addons(data: Mapping[str, object]) -> Iterator[Problem]:
    """Refuse pod identities without their agent; warn of nodes that would have no network."""
    if not isinstance(data.get("addons"), tuple):
        return
    names = {text(each, "name") for _, each in entries(data, "addons")}
    if entries(data, "pod_identities") and "eks-pod-identity-agent" not in names:
        message = "pod identities work through the add-on eks-pod-identity-agent, which is not in the list"
        fix = "add `- name: eks-pod-identity-agent`"
        yield Problem(key=("addons",), check="addons", message=message, fix=fix)
    for name, what in (("vpc-cni", "never become Ready"), ("kube-proxy", "reach no service")):
        if entries(data, "node_groups") and name not in names:
            message = f"{name} is not in the list: without it, or what you install instead, nodes {what}"
            yield Problem(
                key=("addons",),
                check="addons",
                message=message,
                fix=f"add `- name: {name}`",
                severity="warning",
            )
