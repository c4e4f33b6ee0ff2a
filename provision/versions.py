"""Versions and checksums that the tool chooses, read from `versions.yaml` once per process."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import yaml
from pydantic import BaseModel, ConfigDict


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PackageSource(_Frozen):
    """A public package repository: base URL and the OpenPGP fingerprint (40 hex digits) of its key."""

    url: str
    fingerprint: str


class KubernetesMinor(_Frozen):
    """A Kubernetes minor: its newest known patch release, and the tag of the pause image that kubeadm uses."""

    patch: str
    pause: str


class KubernetesVersions(_Frozen):
    default: str
    minors: dict[str, KubernetesMinor]
    packages: PackageSource


class ContainerdVersions(_Frozen):
    """`version` is what new hosts get, `lines` are the minor versions that can be asked for."""

    version: str
    lines: tuple[str, ...]
    packages: PackageSource


class CalicoVersions(_Frozen):
    """`version` is the git tag that new clusters get; `manifests` has the digests of each version (without `v`)."""

    version: str
    url: str
    images: tuple[str, ...]
    manifests: dict[str, dict[str, str]]


class EksVersions(_Frozen):
    """`default` is the Kubernetes minor that `provision init eks` writes."""

    default: str


class SmokeTestVersions(_Frozen):
    image: str


class Versions(_Frozen):
    kubernetes: KubernetesVersions
    containerd: ContainerdVersions
    calico: CalicoVersions
    smoke_test: SmokeTestVersions
    eks: EksVersions


@cache
def versions() -> Versions:
    """Return the parsed `versions.yaml` of this release."""
    return Versions.model_validate(yaml.safe_load(files("provision").joinpath("versions.yaml").read_text()))
