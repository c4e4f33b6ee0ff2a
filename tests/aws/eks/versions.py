"""Versions of Kubernetes and of add-ons that this EKS has. Dates are those of AWS's release calendar."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.aws.eks.resources import Eks, invalid, missing

DEFAULT = "1.35"
# Minor: patch, release on EKS, end of standard and of extended support.
CALENDAR: dict[str, tuple[str, str, str, str]] = {
    "1.31": ("1.31.14", "2024-09-26", "2025-11-26", "2026-11-26"),
    "1.32": ("1.32.13", "2025-01-23", "2026-03-23", "2027-03-23"),
    "1.33": ("1.33.10", "2025-05-29", "2026-07-29", "2027-07-29"),
    "1.34": ("1.34.6", "2025-10-02", "2026-12-02", "2027-12-02"),
    "1.35": ("1.35.3", "2026-01-28", "2027-03-27", "2028-03-27"),
    "1.36": ("1.36.1", "2026-06-10", "2027-08-10", "2028-08-10"),
}

# Add-on: versions, newest first, each with the minors that it supports; a minor's default is its second newest.
_ALL = tuple(CALENDAR)
ADDONS: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "vpc-cni": (("v1.21.1-eksbuild.1", _ALL), ("v1.20.4-eksbuild.2", _ALL), ("v1.19.6-eksbuild.7", _ALL[:4])),
    "coredns": (
        ("v1.13.2-eksbuild.1", ("1.35", "1.36")),
        ("v1.12.4-eksbuild.1", _ALL[2:]),
        ("v1.11.4-eksbuild.24", _ALL[:4]),
        ("v1.11.3-eksbuild.1", _ALL[:2]),
    ),
    "kube-proxy": tuple(
        (f"v{minor}.{patch}-eksbuild.2", (minor,))
        for minor, (full, *_) in reversed(CALENDAR.items())
        for patch in (full.rpartition(".")[2], "0")
    ),
    "eks-pod-identity-agent": (("v1.3.10-eksbuild.2", _ALL), ("v1.3.9-eksbuild.3", _ALL)),
    "metrics-server": (("v0.8.0-eksbuild.6", _ALL), ("v0.8.0-eksbuild.2", _ALL)),
    "aws-ebs-csi-driver": (("v1.54.0-eksbuild.1", _ALL), ("v1.53.0-eksbuild.1", _ALL)),
}
# Add-ons that are Deployments: without a node there are no replicas.
NEEDS_NODES = frozenset({"coredns", "metrics-server", "aws-ebs-csi-driver"})


def minors_of(addon: str, version: str) -> tuple[str, ...]:
    """Kubernetes minors that support an add-on's version; none if there is no such version."""
    return dict(ADDONS.get(addon, ())).get(version, ())


def default_addon_version(addon: str, minor: str) -> str:
    fitting = [version for version, minors in ADDONS[addon] if minor in minors]
    return fitting[1] if len(fitting) > 1 else fitting[0]


def _date(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def support_of(minor: str) -> str:
    _, _, standard, extended = CALENDAR[minor]
    today = datetime.now(UTC)
    if today < _date(standard):
        return "STANDARD_SUPPORT"
    return "EXTENDED_SUPPORT" if today < _date(extended) else "UNSUPPORTED"


def describe_cluster_versions(_eks: Eks, params: dict[str, Any]) -> dict[str, Any]:
    wanted = params.get("clusterVersions") or list(CALENDAR)
    unknown = [minor for minor in wanted if minor not in CALENDAR]
    if unknown:
        raise invalid(f"unsupported Kubernetes version {', '.join(unknown)}")
    rows = []
    for minor in reversed(CALENDAR):
        status = support_of(minor)
        if minor not in wanted or (params.get("defaultOnly") and minor != DEFAULT):
            continue
        if params.get("versionStatus", status) != status:
            continue
        if status == "UNSUPPORTED" and not (params.get("includeAll") or params.get("clusterVersions")):
            continue
        patch, released, standard, extended = CALENDAR[minor]
        rows.append(
            {
                "clusterVersion": minor,
                "clusterType": "eks",
                "defaultPlatformVersion": "eks.3",
                "defaultVersion": minor == DEFAULT,
                "releaseDate": _date(released),
                "endOfStandardSupportDate": _date(standard),
                "endOfExtendedSupportDate": _date(extended),
                "status": status.lower().replace("_", "-"),
                "versionStatus": status,
                "kubernetesPatchVersion": patch,
            }
        )
    return {"clusterVersions": rows}


def describe_addon_versions(_eks: Eks, params: dict[str, Any]) -> dict[str, Any]:
    name, minor = params.get("addonName"), params.get("kubernetesVersion")
    if name is not None and name not in ADDONS:
        raise missing(f"Addon {name} specified is not supported")
    if minor is not None and minor not in CALENDAR:
        raise invalid(f"Kubernetes version {minor} is not supported")
    return {"addons": [_addon(each, minor) for each in ADDONS if name in {None, each}]}


def _addon(name: str, minor: str | None) -> dict[str, Any]:
    rows = []
    for version, minors in ADDONS[name]:
        fitting = [each for each in minors if minor in {None, each}]
        if fitting:
            rows.append(
                {
                    "addonVersion": version,
                    "architecture": ["amd64", "arm64"],
                    "computeTypes": ["ec2", "fargate"] if name == "coredns" else ["ec2"],
                    "compatibilities": [
                        {
                            "clusterVersion": each,
                            "platformVersions": ["*"],
                            "defaultVersion": default_addon_version(name, each) == version,
                        }
                        for each in fitting
                    ],
                    "requiresConfiguration": False,
                    "requiresIamPermissions": name in {"vpc-cni", "aws-ebs-csi-driver"},
                }
            )
    return {
        "addonName": name,
        "type": "networking",
        "addonVersions": rows,
        "publisher": "eks",
        "owner": "aws",
    }
