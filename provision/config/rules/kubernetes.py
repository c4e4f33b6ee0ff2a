"""What this release supports: Kubernetes versions, container runtimes and kubeadm's preflight checks.

The names of preflight checks are those of kubeadm 1.36 (cmd/kubeadm/app/preflight/checks.go in k8s.io/kubernetes).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from provision.config.rules.rulebook import section, text
from provision.config.yaml.problem import Key, Problem, closest, quote
from provision.model.cluster import Cluster
from provision.model.matrix import containerd_mismatch
from provision.model.units import minor_of, numbers_of
from provision.versions import versions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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
_OLDEST_ENGINE = (23,)  # cri-dockerd since 0.3.12 asks for version 1.42 of its API
_DOCKER_ENDS = (1, 38)  # the first Kubernetes that no cri-dockerd is known to work with
_ARCHIVE = re.compile(r"cri-dockerd-(\d+\.\d+\.\d+)\.(amd64|arm64)\.tgz")
_OLDEST_CRI_DOCKERD = (0, 3, 17)  # the first one with RuntimeConfig of the CRI


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
    """Demand a full version that goes with Kubernetes: a known line of containerd, CRI-O's minor, Docker Engine's."""
    key: Key = ("runtime_version",)
    value, runtime = data.get("runtime_version"), data.get("runtime", _DEFAULT_RUNTIME)
    if not isinstance(value, str) or runtime not in ("containerd", "crio", "docker"):
        return
    kubernetes, known = minor_of(text(data, "kubernetes")), versions().containerd
    minor = versions().kubernetes.minors.get(kubernetes)
    example = versions().docker.engine if runtime == "docker" else known.version
    example = minor.crio if runtime == "crio" and minor else example
    plain = value.removeprefix("v")
    message, fix = "", f'write "{example}"'
    if value != plain and _FULL.fullmatch(plain):
        message, fix = f"{quote(value)} begins with v", f'write "{plain}"'
    elif not _FULL.fullmatch(plain):
        message = f"{quote(value)} is not a full version like {example}"
    else:
        message = _runtime_mismatch(runtime, plain, text(data, "kubernetes"))
    if message:
        yield Problem(key=key, check="runtime-version", message=message, fix=fix)


def _runtime_mismatch(runtime: str, version: str, kubernetes: str) -> str:
    """Return why a full version of a runtime does not go with a Kubernetes, or with provision; "" if it does."""
    minor = minor_of(kubernetes)
    if runtime == "docker":
        old = numbers_of(version) < _OLDEST_ENGINE
        needed = f"{_OLDEST_ENGINE[0]}.0 or newer is needed"
        return f"Docker Engine {version} is too old for cri-dockerd, {needed}" if old else ""
    if runtime == "crio":
        same = minor_of(version) == minor
        return (
            ""
            if same
            else f"CRI-O {version} does not go with Kubernetes {minor}: their minor versions are the same"
        )
    if numbers_of(version) < _OLDEST_CONTAINERD:
        return f"containerd {version} is too old, 2.0 or newer is needed"
    if minor_of(version) not in versions().containerd.ends:
        return f"containerd {minor_of(version)} is not known to this release"
    return containerd_mismatch(kubernetes, version)


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


def docker_support(data: Mapping[str, object]) -> Iterator[Problem]:
    """Refuse Docker on a Kubernetes for which no cri-dockerd is known to work."""
    kubernetes = text(data, "kubernetes").removeprefix("v")
    if not _FULL.fullmatch(kubernetes) or numbers_of(minor_of(kubernetes)) < _DOCKER_ENDS:
        return
    for key, value in _runtimes(data):
        if value == "docker":
            yield Problem(
                key,
                "docker-support",
                f"Docker does not go with Kubernetes {minor_of(kubernetes)}: no cri-dockerd is tested with 1.38 or "
                "newer, and with the present ones `kubectl exec` depends on a feature gate of 1.36 and 1.37",
                "write containerd or crio, or stay with Kubernetes 1.37",
            )


def docker_dataplane(data: Mapping[str, object]) -> Iterator[Problem]:
    """Refuse nftables with Docker, whose own rules of iptables drop what is forwarded."""
    if section(data, "network").get("dataplane") == "nftables" and any(
        value == "docker" for _, value in _runtimes(data)
    ):
        message = (
            "Docker sets the policy of iptables' FORWARD to DROP, which accepts of nftables cannot overrule"
        )
        fix = "write dataplane: iptables, or runtime: containerd or crio"
        yield Problem(("network", "dataplane"), "docker-dataplane", message, fix)


def mirror_path(data: Mapping[str, object]) -> Iterator[Problem]:
    """Refuse a registry below a path for runtimes that know a mirror by its host and a prefix of names alone."""
    mirror = data.get("mirror")
    url = mirror.get("images") if isinstance(mirror, dict) else None
    if not isinstance(url, str) or "/" not in url.partition("://")[2].rstrip("/"):
        return
    found = {value for _, value in _runtimes(data) if value in ("crio", "docker")}
    for runtime in sorted(map(str, found)):
        yield Problem(
            ("mirror", "images"),
            "mirror-path",
            f"{quote(url)} has a path; {runtime} reaches a registry at the root of its host alone",
            "write http(s)://host[:port] of a registry, or runtime: containerd",
        )


def _runtimes(data: Mapping[str, object]) -> Iterator[tuple[Key, object]]:
    yield ("runtime",), data.get("runtime")
    hosts = data.get("hosts")
    for number, one in enumerate(hosts if isinstance(hosts, tuple | list) else ()):
        if isinstance(one, dict):
            yield ("hosts", number, "runtime"), one.get("runtime")


def archive_digest(key: Key, value: str) -> Iterator[Problem]:
    """Demand the name of an archive that is downloaded, and a whole digest."""
    found, example = (
        _ARCHIVE.fullmatch(str(key[-1])),
        f"cri-dockerd-{versions().docker.cri_dockerd}.amd64.tgz",
    )
    message, fix = "", f"write `{example}: ` and 64 hex digits; `sha256sum FILE` prints them"
    if not found:
        message = f"{quote(str(key[-1]))} is no file that provision downloads"
    elif numbers_of(found[1]) < _OLDEST_CRI_DOCKERD:
        message, fix = f"cri-dockerd {found[1]} is too old", "0.3.17 or newer is needed"
    elif not re.fullmatch(r"[0-9a-f]{64}", value):
        message = f"{quote(value)} is not a sha256 digest"
    if message:
        yield Problem(key, "mirror-digest", message, fix)


def one_archive_version(data: Mapping[str, object]) -> Iterator[Problem]:
    """Refuse digests of several versions: they choose the one that is installed."""
    mirror = data.get("mirror")
    digests = mirror.get("digests") if isinstance(mirror, dict) else None
    names = digests if isinstance(digests, dict) else {}
    found = {match[1] for name in names if (match := _ARCHIVE.fullmatch(str(name)))}
    if len(found) > 1:
        message = f"digests of several versions of cri-dockerd: {', '.join(sorted(found))}"
        yield Problem(("mirror", "digests"), "mirror-digest", message, "leave those of one version")
