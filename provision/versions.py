"""Versions and checksums that the tool chooses, read from `versions.yaml` once per process."""

from __future__ import annotations

import datetime as dt
from functools import cache
from importlib.resources import files

import yaml
from pydantic import BaseModel, ConfigDict


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PackageSource(_Frozen):
    """A public package repository: base URL and the OpenPGP fingerprint (40 hex digits) of its key.

    `rpm_fingerprint` is that of another key for packages of rpm.
    """

    url: str
    fingerprint: str
    rpm_fingerprint: str = ""


class KubernetesMinor(_Frozen):
    """A Kubernetes minor: newest known patch release, last day of support, kubeadm's images, and what goes with it.

    `containerd` maps the lines that are tested with it to their oldest tested patch release, `calico` are the lines
    that are tested with it. `existing_only`: clusters of it are kept, but not created.
    """

    patch: str
    end: dt.date
    existing_only: bool = False
    etcd: str
    coredns: str
    pause: str
    crio: str
    containerd: dict[str, str]
    calico: tuple[str, ...]


class BrokenPatches(_Frozen):
    """Patch releases of one minor from `first` to the one before `fixed`."""

    first: str
    fixed: str
    why: str


class KubernetesVersions(_Frozen):
    """`default` is the version of new cluster files."""

    default: str
    minors: dict[str, KubernetesMinor]
    broken: tuple[BrokenPatches, ...]
    packages: PackageSource

    @property
    def creatable(self) -> tuple[str, ...]:
        """Minors that clusters are created of, oldest first."""
        return tuple(name for name, minor in reversed(self.minors.items()) if not minor.existing_only)


class ContainerdVersions(_Frozen):
    """`version` is what new hosts get; `ends` maps every known line to the last day of its support."""

    version: str
    ends: dict[str, dt.date]
    packages: PackageSource


class CrioVersions(_Frozen):
    """The versions are with the Kubernetes minors, whose minor CRI-O shares."""

    packages: PackageSource


class DockerVersions(_Frozen):
    """`engine` and `cri_dockerd` are what new hosts get; `digests` are those of cri-dockerd's archives by file name."""

    engine: str
    cri_dockerd: str
    url: str
    digests: dict[str, str]


class CalicoVersions(_Frozen):
    """`version` is what new clusters get; `manifests` has the digests of each version. Tags have a `v` in front."""

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
    crio: CrioVersions
    docker: DockerVersions
    calico: CalicoVersions
    smoke_test: SmokeTestVersions
    eks: EksVersions


@cache
def versions() -> Versions:
    return Versions.model_validate(yaml.safe_load(files("provision").joinpath("versions.yaml").read_text()))
