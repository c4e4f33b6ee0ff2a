"""The lab's signed package repositories, under the paths of the public ones.

core:/stable:/v1.36/deb/, .../rpm/                       kubeadm, kubelet, kubectl, cri-tools, kubernetes-cni
repositories/isv:/cri-o:/stable:/v1.36/deb/, .../rpm/    cri-o with its own crun, runc and conmon
linux/debian/, linux/centos/9/x86_64/stable/             containerd.io with runc, docker-ce, docker-ce-cli, cri-dockerd

The first two are one repository per minor. What a lab does not offer is not built: rpm packages only for machines of
the RHEL family. Both formats are made of the same programs and definitions.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from provision.lab.binaries import build_binaries, module_version
from provision.lab.cache import Progress, compute_key, get_or_build
from provision.lab.debian import SUITE, programs_of
from provision.lab.toolchain import require_packages
from provision.lab.versions import Offer, lab_versions
from provision.mirror import apt, rpm, signing, tools
from provision.mirror.apt import Deb
from provision.mirror.rpm import Rpm
from provision.mirror.signing import SigningKey
from provision.mirror.tools import run
from provision.model.units import minor_of
from provision.paths import content_root

if TYPE_CHECKING:
    from collections.abc import Mapping

TOOLS = ("mmdebstrap", *apt.TOOLS)  # Debian packages of this computer, with `rpm.TOOLS` for the RHEL family

_RELEASE = "13"  # of the Debian machines
_RPM_ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}
_EPOCHS = {
    "docker-ce": ("5", "3"),
    "docker-ce-cli": ("5", "1"),
}  # in Docker's repositories for apt and for dnf
_SETTINGS = {"/etc/default": "/etc/sysconfig"}  # where the RHEL family has the variables of units
_CNI_DIRECTORY = "/opt/cni/bin"
_ORIGIN = "provision lab"  # of the repositories
_KEY_OWNER = f"{_ORIGIN} <lab@provision.invalid>"


@dataclass(frozen=True, slots=True)
class Packages:
    """Directory of the apt repositories, the root of an HTTP server, and fingerprint of all keys (40 hex digits).

    `rpms` is path in URLs -> directory of the repositories for dnf.
    """

    directory: Path
    fingerprint: str
    rpms: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Package:
    """A package of either format: upstream's version, `programs` as absolute target path -> file."""

    name: str
    version: str
    programs: Mapping[str, Path]

    def recipe(self) -> list[object]:
        """Return its inputs for the cache key; a program's directory is named by its own cache key."""
        programs = {at: f"{program.parent.name}/{program.name}" for at, program in self.programs.items()}
        return [self.name, self.version, programs]


def build_packages(offer: Offer, progress: Progress) -> Packages:
    """Return the repositories, built if an input has changed. Raises LabError and ToolError."""
    require_packages((*TOOLS, *(rpm.TOOLS if offer.majors() else ())), progress)
    key, architecture = ensure_signing_key(progress), run(["dpkg", "--print-architecture"]).strip()
    flat = {
        **{f"core:/stable:/v{minor}": _kubernetes(minor, progress) for minor in offer.minors},
        **{
            f"repositories/isv:/cri-o:/stable:/v{minor}": (_crio(minor, version, progress),)
            for minor, version in offer.crios().items()
        },
    }
    docker = _docker(offer, progress)
    recipe = [one.recipe() for packages in (*flat.values(), docker) for one in packages]
    inputs = (_definitions(), json.dumps([list(flat), recipe]), key.fingerprint, architecture, _ORIGIN)

    def build_debs(into: Path) -> None:
        for path, packages in flat.items():
            _add_flat(into / path / "deb", packages, architecture, key)
        if docker:
            _add_docker(into / "linux" / "debian", docker, architecture, key)

    def build_rpms(into: Path) -> None:
        for path, packages in flat.items():
            _add_rpms(into / path / "rpm", packages, "-150500.1.1", _RPM_ARCHITECTURES[architecture], key)
        for major in offer.majors() if docker else ():
            place = into / "linux" / "centos" / major / _RPM_ARCHITECTURES[architecture] / "stable"
            _add_rpms(place, docker, f"-1.el{major}", _RPM_ARCHITECTURES[architecture], key)
            shutil.copyfile(key.public, into / "linux" / "centos" / "gpg")

    state, title = (
        compute_key(*inputs, Path(apt.__file__), Path(tools.__file__)),
        "the signed {} repositories",
    )
    debs = get_or_build("packages", state, build_debs, title=title.format("apt"), progress=progress)
    if not offer.majors():
        return Packages(debs, key.fingerprint)
    state = compute_key(*inputs, *offer.majors(), Path(rpm.__file__), Path(tools.__file__))
    rpms = get_or_build("packages", state, build_rpms, title=title.format("rpm"), progress=progress)
    served = {f"/{path}/rpm/": rpms / path / "rpm" for path in flat}
    others = {f"/linux/{system}/": rpms / "linux" / "centos" for system in ("centos", "rhel") if docker}
    return Packages(debs, key.fingerprint, {**served, **others})


def ensure_signing_key(progress: Progress) -> SigningKey:
    """Return the lab's key, created if not in the cache. Raises ToolError if gpg fails."""
    require_packages(signing.TOOLS, progress)

    def build(into: Path) -> None:
        signing.create_key(into, _KEY_OWNER)

    state, title = compute_key(_KEY_OWNER, signing.ALGORITHM), "the key that signs the lab's packages"
    return SigningKey(get_or_build("signing", state, build, title=title, progress=progress))


def _kubernetes(minor: str, progress: Progress) -> tuple[_Package, ...]:
    """Return the packages of that minor."""
    groups = (f"kubernetes-{minor}", "cri-tools", "cni-plugins")
    built, crictl, plugins = (build_binaries(group, progress) for group in groups)
    version = lab_versions().kubernetes.minors[minor].version
    programs = ("kubeadm", "kubelet", "kubectl")
    files = [path for path in sorted(plugins.iterdir()) if path.is_file() and not path.name.startswith(".")]
    cni = {f"{_CNI_DIRECTORY}/{path.name}": path for path in files}
    return (
        *(_Package(name, version, {f"/usr/bin/{name}": built / name}) for name in programs),
        _Package("cri-tools", _module_version("cri-tools"), {"/usr/bin/crictl": crictl / "crictl"}),
        _Package("kubernetes-cni", _module_version("cni-plugins"), cni),
    )


def _crio(minor: str, version: str, progress: Progress) -> _Package:
    built = build_binaries(f"crio-{minor}", progress)
    beside = {**programs_of("crio", progress), **programs_of("runc", progress)}
    programs = {
        **_at("/usr/bin", {name: built / name for name in ("crio", "pinns")}),
        **_at("/usr/libexec/crio", beside),
    }
    return _Package("cri-o", version, programs)


def _docker(offer: Offer, progress: Progress) -> tuple[_Package, ...]:
    """Return every containerd.io that the lab offers and, for Docker, its engine, command line and CRI server."""
    return (
        *(_containerd(version, progress) for version in offer.containerds()),
        *(_engine(progress) if "docker" in offer.runtimes else ()),
    )


def _containerd(version: str, progress: Progress) -> _Package:
    built = build_binaries(f"containerd-{minor_of(version)}", progress)
    own = {name: built / name for name in ("containerd", "containerd-shim-runc-v2", "ctr")}
    return _Package("containerd.io", version, _at("/usr/bin", {**own, **programs_of("runc", progress)}))


def _engine(progress: Progress) -> tuple[_Package, ...]:
    wanted, found = lab_versions().docker, programs_of("docker", progress)
    engine = {name: path for name, path in found.items() if name != "docker"}
    server = build_binaries("cri-dockerd", progress) / "cri-dockerd"
    return (
        _Package("docker-ce", wanted.engine, _at("/usr/bin", engine)),
        _Package("docker-ce-cli", wanted.engine, _at("/usr/bin", {"docker": found["docker"]})),
        _Package("cri-dockerd", wanted.cri_dockerd, {"/usr/bin/cri-dockerd": server}),
    )


def _module_version(group: str) -> str:
    """`v1.9.1` -> `1.9.1`."""
    return module_version(group).removeprefix("v")


def _at(directory: str, programs: Mapping[str, Path]) -> dict[str, Path]:
    return {f"{directory}/{name}": path for name, path in programs.items()}


def _add_flat(directory: Path, packages: tuple[_Package, ...], architecture: str, key: SigningKey) -> None:
    for one in packages:
        deb = Deb(one.name, f"{one.version}-1.1", one.programs)
        apt.build_deb(deb, _definitions() / one.name, architecture, directory / architecture)
    apt.write_flat_repository(directory, architecture, key, origin=_ORIGIN)


def _add_docker(directory: Path, packages: tuple[_Package, ...], architecture: str, key: SigningKey) -> None:
    pool = f"dists/{SUITE}/pool/stable/{architecture}"
    for one in packages:
        version = f"{_epoch(one, 0)}{one.version}-1~debian.{_RELEASE}~{SUITE}"
        deb = Deb(one.name, version, one.programs)
        apt.build_deb(deb, _definitions() / one.name, architecture, directory / pool)
    apt.write_suite_repository(
        directory, pool, key, suite=SUITE, component="stable", architecture=architecture, origin=_ORIGIN
    )


def _add_rpms(
    directory: Path, packages: tuple[_Package, ...], revision: str, architecture: str, key: SigningKey
) -> None:
    for one in packages:
        definition, version = _definitions() / one.name, f"{_epoch(one, 1)}{one.version}{revision}"
        spec = (definition / "RPM" / "spec").read_text()
        package = Rpm(one.name, version, spec, one.programs, renamed=_SETTINGS)
        rpm.build_rpm(package, definition, architecture, directory / architecture)
    rpm.write_repository(directory, key)


def _epoch(package: _Package, of: int) -> str:
    epochs = _EPOCHS.get(package.name)
    return f"{epochs[of]}:" if epochs else ""


def _definitions() -> Path:
    """Return the directory with one definition per package: metadata of both formats, units, configuration."""
    return content_root() / "lab" / "packages"
