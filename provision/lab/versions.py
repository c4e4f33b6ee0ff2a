"""What the lab can build and offer, read from `lab/versions.yaml` once per process."""

from __future__ import annotations

from functools import cache

import yaml
from pydantic import BaseModel, ConfigDict

from provision.paths import content_root


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Minor(_Frozen):
    """A Kubernetes minor: its one version here, and the etcd that its kubeadm asks for."""

    version: str
    etcd: str


class KubernetesVersions(_Frozen):
    """`default` is the minor of a new lab."""

    default: str
    minors: dict[str, Minor]


class LabVersions(_Frozen):
    """Full versions without `v`."""

    kubernetes: KubernetesVersions
    calico: str
    containerd: str


@cache
def lab_versions() -> LabVersions:
    """Return the parsed `lab/versions.yaml`."""
    text = (content_root() / "lab" / "versions.yaml").read_text()
    return LabVersions.model_validate(yaml.safe_load(text))
