"""The lab's signed apt repositories, under the paths of the public ones.

core:/stable:/v1.36/deb/                            kubeadm, kubelet, kubectl, cri-tools, kubernetes-cni
repositories/isv:/cri-o:/stable:/v1.36/deb/         cri-o with its own crun, runc and conmon
linux/debian/                                       containerd.io with runc, docker-ce, docker-ce-cli, cri-dockerd

The first two are one repository per minor. What a lab does not offer is not built.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from provision.lab.binaries import build_binaries, module_version
from provision.lab.cache import Progress, compute_key, get_or_build
from provision.lab.debian import SUITE, programs_of
from provision.lab.toolchain import require_packages
from provision.lab.versions import Offer, lab_versions
from provision.mirror import apt, signing
from provision.mirror.apt import Deb
from provision.mirror.signing import SigningKey
from provision.mirror.tools import run
from provision.model.units import minor_of
from provision.paths import content_root

if TYPE_CHECKING:
    from collections.abc import Mapping

TOOLS = ("mmdebstrap", *apt.TOOLS)  # Debian packages of this computer

_RELEASE = "13"  # of the machines
_CNI_DIRECTORY = "/opt/cni/bin"
_ORIGIN = "provision lab"  # of the repositories
_KEY_OWNER = f"{_ORIGIN} <lab@provision.invalid>"


@dataclass(frozen=True, slots=True)
class Packages:
    """Directory of the repositories, the root of an HTTP server, and fingerprint of their key (40 hex digits)."""

    directory: Path
    fingerprint: str


def build_packages(offer: Offer, progress: Progress) -> Packages:
    """Return the repositories, built if an input has changed. Raises LabError and ToolError."""
    require_packages(TOOLS, progress)
    key = ensure_signing_key(progress)
    architecture = run(["dpkg", "--print-architecture"]).strip()
    flat = {
        **{f"core:/stable:/v{minor}/deb": _kubernetes_debs(minor, progress) for minor in offer.minors},
        **{
            f"repositories/isv:/cri-o:/stable:/v{minor}/deb": (_crio_deb(minor, version, progress),)
            for minor, version in offer.crios().items()
        },
    }
    docker = _docker_debs(offer, progress)
    recipe = [_recipe(one) for debs in (*flat.values(), docker) for one in debs]

    def build(into: Path) -> None:
        for path, debs in flat.items():
            _add_flat(into / path, debs, architecture, key)
        if docker:
            _add_docker(into / "linux" / "debian", docker, architecture, key)

    inputs = (_definitions(), json.dumps([list(flat), recipe]), key.fingerprint, architecture, _ORIGIN)
    state = compute_key(*inputs, Path(apt.__file__))
    directory = get_or_build("packages", state, build, title="the signed apt repositories", progress=progress)
    return Packages(directory, key.fingerprint)


def ensure_signing_key(progress: Progress) -> SigningKey:
    """Return the lab's key, created if not in the cache. Raises ToolError if gpg fails."""
    require_packages(signing.TOOLS, progress)

    def build(into: Path) -> None:
        signing.create_key(into, _KEY_OWNER)

    state, title = compute_key(_KEY_OWNER, signing.ALGORITHM), "the key that signs the lab's packages"
    return SigningKey(get_or_build("signing", state, build, title=title, progress=progress))


def _kubernetes_debs(minor: str, progress: Progress) -> tuple[Deb, ...]:
    """Return the packages of that minor with the names and revisions of the public repository."""
    groups = (f"kubernetes-{minor}", "cri-tools", "cni-plugins")
    built, tools, plugins = (build_binaries(group, progress) for group in groups)
    version = lab_versions().kubernetes.minors[minor].version
    programs = ("kubeadm", "kubelet", "kubectl")
    files = [path for path in sorted(plugins.iterdir()) if path.is_file() and not path.name.startswith(".")]
    cni = {f"{_CNI_DIRECTORY}/{path.name}": path for path in files}
    return (
        *(Deb(name, f"{version}-1.1", {f"/usr/bin/{name}": built / name}) for name in programs),
        Deb("cri-tools", _module_revision("cri-tools"), {"/usr/bin/crictl": tools / "crictl"}),
        Deb("kubernetes-cni", _module_revision("cni-plugins"), cni),
    )


def _crio_deb(minor: str, version: str, progress: Progress) -> Deb:
    built = build_binaries(f"crio-{minor}", progress)
    beside = {**programs_of("crio", progress), **programs_of("runc", progress)}
    programs = {
        **_at("/usr/bin", {name: built / name for name in ("crio", "pinns")}),
        **_at("/usr/libexec/crio", beside),
    }
    return Deb("cri-o", f"{version}-1.1", programs)


def _docker_debs(offer: Offer, progress: Progress) -> tuple[Deb, ...]:
    """Return every containerd.io that the lab offers and, for Docker, its engine, command line and CRI server."""
    return (
        *(_containerd_deb(version, progress) for version in offer.containerds()),
        *(_engine_debs(progress) if "docker" in offer.runtimes else ()),
    )


def _containerd_deb(version: str, progress: Progress) -> Deb:
    built = build_binaries(f"containerd-{minor_of(version)}", progress)
    own = {name: built / name for name in ("containerd", "containerd-shim-runc-v2", "ctr")}
    programs = _at("/usr/bin", {**own, **programs_of("runc", progress)})
    return Deb("containerd.io", _docker_revision(version), programs)


def _engine_debs(progress: Progress) -> tuple[Deb, ...]:
    wanted, found = lab_versions().docker, programs_of("docker", progress)
    engine = {name: path for name, path in found.items() if name != "docker"}
    server = build_binaries("cri-dockerd", progress) / "cri-dockerd"
    version = f"5:{_docker_revision(wanted.engine)}"
    return (
        Deb("docker-ce", version, _at("/usr/bin", engine)),
        Deb("docker-ce-cli", version, _at("/usr/bin", {"docker": found["docker"]})),
        Deb("cri-dockerd", _docker_revision(wanted.cri_dockerd), {"/usr/bin/cri-dockerd": server}),
    )


def _docker_revision(version: str) -> str:
    """`2.3.7` -> `2.3.7-1~debian.13~trixie`."""
    return f"{version}-1~debian.{_RELEASE}~{SUITE}"


def _module_revision(group: str) -> str:
    """`v1.9.1` -> `1.9.1-1.1`."""
    return f"{module_version(group).removeprefix('v')}-1.1"


def _at(directory: str, programs: Mapping[str, Path]) -> dict[str, Path]:
    return {f"{directory}/{name}": path for name, path in programs.items()}


def _recipe(one: Deb) -> list[object]:
    """Return a package's inputs for the cache key; a program's directory is named by its own cache key."""
    programs = {at: f"{program.parent.name}/{program.name}" for at, program in one.programs.items()}
    return [one.name, one.version, programs]


def _add_flat(directory: Path, debs: tuple[Deb, ...], architecture: str, key: SigningKey) -> None:
    for one in debs:
        apt.build_deb(one, _definitions() / one.name, architecture, directory / architecture)
    apt.write_flat_repository(directory, architecture, key, origin=_ORIGIN)


def _add_docker(directory: Path, debs: tuple[Deb, ...], architecture: str, key: SigningKey) -> None:
    pool = f"dists/{SUITE}/pool/stable/{architecture}"
    for one in debs:
        apt.build_deb(one, _definitions() / one.name, architecture, directory / pool)
    apt.write_suite_repository(
        directory, pool, key, suite=SUITE, component="stable", architecture=architecture, origin=_ORIGIN
    )


def _definitions() -> Path:
    """Return the directory with one definition per package: control files, units, configuration."""
    return content_root() / "lab" / "packages"
