"""What this release supports: Kubernetes versions, container runtimes and kubeadm's preflight checks.

The names of preflight checks are those of kubeadm 1.36 (cmd/kubeadm/app/preflight/checks.go in k8s.io/kubernetes).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from provision.config.rules.rulebook import text
from provision.config.yaml.problem import Key, Problem, closest, quote
from provision.model.cluster import Cluster
from provision.model.matrix import containerd_mismatch
from provision.model.units import minor_of, numbers_of
from provision.versions import versions

if TYPE_CHECKING:
    from collections.abc import Iterator

_FULL = re.compile(r"(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})")
PREFLIGHT_CHECKS = (
    "CRI",
    "ContainerRuntimeVersion",
    "ExternalEtcdVersion",
    "Firewalld",
    "HTTPProxy",
    "HTTPProxyCIDR",
    "Hostname",
    "ImagePull",
    "IsPrivilegedUser",
    "KubeletVersion",
    "KubernetesVersion",
    "Mem",
    "NumCPU",
    "Swap",
    "SystemVerification",
)
PREFLIGHT_FAMILIES = (
    "DirAvailable-",
    "FileAvailable-",
    "FileContent-",
    "FileExisting-",
    "Port-",
)  # followed by a path, a port, ...
_MEMBER = re.compile(
    r"((DirAvailable|FileAvailable|FileContent|FileExisting)-[A-Za-z0-9._-]+|Port-[0-9]{1,5})"
)
_OLDEST_CONTAINERD = (2,)  # the first one with version 3 of the configuration, which the role writes
_DEFAULT_RUNTIME = Cluster.model_fields["runtime"].default
NOT_SUPPORTED_YET: dict[tuple[str | int, str], str] = {("runtime", "docker"): "containerd or crio"}


def full_version(written: str) -> str:
    """Return a supported version, quoted: the newest known one of the same minor, or the default."""
    known = versions().kubernetes
    minor = known.minors.get(minor_of(written.removeprefix("v")))
    supported = ", ".join(known.creatable)
    return f'"{minor.patch if minor else known.default}" (supported: {supported})'


def kubernetes_version(key: Key, value: str) -> Iterator[Problem]:
    """Demand a full version of a supported minor: a version that was not written must never cause an upgrade."""
    known = versions().kubernetes
    fix = f"write {full_version(value)}"
    plain = value.removeprefix("v")
    message = ""
    if value != plain and _FULL.fullmatch(plain):
        message, fix = f"{quote(value)} begins with v", f'write "{plain}"'
    elif re.fullmatch(r"\d+\.\d+", plain):
        message = (
            f"{quote(value)} is a minor version; a full one is needed, so that nothing is upgraded unasked"
        )
    elif re.fullmatch(r"\d+\.\d+\.\d+[-+].+", plain):
        message = f"{quote(value)} is a pre-release or a build of its own; only releases are supported"
    elif not _FULL.fullmatch(plain):
        message = f"{quote(value)} is not a version like {known.default}"
    elif minor_of(plain) not in known.minors:
        newest = max(known.minors, key=numbers_of)
        old = numbers_of(minor_of(plain)) < numbers_of(newest)
        what = "is no longer supported" if old else "is newer than this release knows"
        message = f"Kubernetes {minor_of(plain)} {what}"
    if message:
        yield Problem(key, "kubernetes-version", message, fix)


def network_version(key: Key, value: str) -> Iterator[Problem]:
    """Demand a version of Calico whose manifest this release knows by its digest."""
    known = sorted(versions().calico.manifests, key=numbers_of)
    plain = value.removeprefix("v")
    if value in known:
        return
    if plain in known:
        message, fix = f"{quote(value)} begins with v", f'write "{plain}"'
    else:
        message = f"the manifest of Calico {quote(value)} is not known to this release"
        fix = "write " + " or ".join(f'"{version}"' for version in known)
    yield Problem(key=key, check="network-version", message=message, fix=fix)


def runtime_version(data: Mapping[str, object]) -> Iterator[Problem]:
    """Demand a full version that goes with the file's Kubernetes: of a known line of containerd, or CRI-O's minor."""
    key: Key = ("runtime_version",)
    value, runtime = data.get("runtime_version"), data.get("runtime", _DEFAULT_RUNTIME)
    if not isinstance(value, str) or runtime not in ("containerd", "crio"):
        return
    kubernetes, known = minor_of(text(data, "kubernetes")), versions().containerd
    minor = versions().kubernetes.minors.get(kubernetes)
    example = known.version if runtime == "containerd" or minor is None else minor.crio
    plain = value.removeprefix("v")
    message, fix = "", f'write "{example}"'
    if value != plain and _FULL.fullmatch(plain):
        message, fix = f"{quote(value)} begins with v", f'write "{plain}"'
    elif not _FULL.fullmatch(plain):
        message = f"{quote(value)} is not a full version like {example}"
    elif runtime == "crio":
        if minor_of(plain) != kubernetes:
            message = (
                f"CRI-O {plain} does not go with Kubernetes {kubernetes}: their minor versions are the same"
            )
    elif numbers_of(plain) < _OLDEST_CONTAINERD:
        message = f"containerd {plain} is too old, 2.0 or newer is needed"
    elif minor_of(plain) not in known.ends:
        message = f"containerd {minor_of(plain)} is not known to this release"
    else:
        message = containerd_mismatch(text(data, "kubernetes"), plain)
    if message:
        yield Problem(key=key, check="runtime-version", message=message, fix=fix)


def preflight_check(key: Key, value: str) -> Iterator[Problem]:
    """Refuse `all`, and names that kubeadm would silently ignore."""
    if value in PREFLIGHT_CHECKS or _MEMBER.fullmatch(value):
        return
    if value.lower() == "all":
        message = "all would hide every problem that kubeadm finds"
        fix = "name the checks to ignore, one by one: kubeadm prints each name in brackets, [ERROR NumCPU]"
    else:
        message = f"kubeadm has no preflight check {quote(value)}"
        near = closest(value, (*PREFLIGHT_CHECKS, *PREFLIGHT_FAMILIES))
        known = ", ".join((*PREFLIGHT_CHECKS, *(f"{family}*" for family in PREFLIGHT_FAMILIES)))
        fix = f"did you mean {near}?" if near else f"known: {known}"
    yield Problem(key, "preflight-name", message, fix)


def not_supported_yet(key: Key, value: str) -> Iterator[Problem]:
    """Refuse a value that a later release will support."""
    instead = NOT_SUPPORTED_YET.get((key[-1], value))
    if instead:
        message = f"{key[-1]} {value} is not supported yet by this release"
        yield Problem(key, "not-yet", message, f"write {instead}")
