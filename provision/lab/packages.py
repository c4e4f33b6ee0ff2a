"""The lab's signed apt repositories, under the paths of the public ones.

core:/stable:/v1.36/deb/   kubeadm, kubelet, kubectl, cri-tools, kubernetes-cni (one directory per minor)
linux/debian/              containerd.io with runc, for Debian 13
"""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from provision.lab.binaries import build_binaries, module_version
from provision.lab.cache import Progress, compute_key, get_or_build
from provision.lab.toolchain import require_packages, unpack
from provision.lab.versions import lab_versions
from provision.mirror import apt, signing
from provision.mirror.apt import Deb
from provision.mirror.signing import SigningKey
from provision.mirror.tools import run
from provision.model.units import minor_of
from provision.paths import content_root

TOOLS = ("mmdebstrap", *apt.TOOLS)  # Debian packages of this computer

SUITE, _RELEASE = "trixie", "13"  # of the machines
_CNI_DIRECTORY = "/opt/cni/bin"
_ORIGIN = "provision lab"  # of the repositories
_KEY_OWNER = f"{_ORIGIN} <lab@provision.invalid>"


@dataclass(frozen=True, slots=True)
class Packages:
    """Directory of the repositories, the root of an HTTP server, and fingerprint of their key (40 hex digits)."""

    directory: Path
    fingerprint: str


def build_packages(progress: Progress) -> Packages:
    """Return the repositories, built if an input has changed. Raises LabError and ToolError."""
    require_packages(TOOLS, progress)
    key = ensure_signing_key(progress)
    architecture = run(["dpkg", "--print-architecture"]).strip()
    kubernetes = {version: _kubernetes_debs(version, progress) for version in _kubernetes_versions()}
    containerd = _containerd_deb(progress)
    recipe = [_recipe(one) for debs in kubernetes.values() for one in debs] + [_recipe(containerd)]

    def build(into: Path) -> None:
        for version, debs in kubernetes.items():
            _add_kubernetes(into, version, debs, architecture, key)
        _add_docker(into, containerd, architecture, key)

    inputs = (_definitions(), json.dumps(recipe), key.fingerprint, architecture, _ORIGIN, Path(apt.__file__))
    state = compute_key(*inputs)
    directory = get_or_build("packages", state, build, title="the signed apt repositories", progress=progress)
    return Packages(directory, key.fingerprint)


def ensure_signing_key(progress: Progress) -> SigningKey:
    """Return the lab's key, created if not in the cache. Raises ToolError if gpg fails."""
    require_packages(signing.TOOLS, progress)

    def build(into: Path) -> None:
        signing.create_key(into, _KEY_OWNER)

    state, title = compute_key(_KEY_OWNER, signing.ALGORITHM), "the key that signs the lab's packages"
    return SigningKey(get_or_build("signing", state, build, title=title, progress=progress))


def _kubernetes_versions() -> tuple[str, ...]:
    """Return the versions that the lab offers; each has its own group of binaries."""
    offered = lab_versions().kubernetes
    return (offered.minors[offered.default].version,)


def _kubernetes_debs(version: str, progress: Progress) -> tuple[Deb, ...]:
    """Return the packages of that version with the names and revisions of the public repository."""
    groups = (f"kubernetes-{minor_of(version)}", "cri-tools", "cni-plugins")
    built, tools, plugins = (build_binaries(group, progress) for group in groups)
    programs = ("kubeadm", "kubelet", "kubectl")
    files = [path for path in sorted(plugins.iterdir()) if path.is_file() and not path.name.startswith(".")]
    cni = {f"{_CNI_DIRECTORY}/{path.name}": path for path in files}
    return (
        *(Deb(name, f"{version}-1.1", {f"/usr/bin/{name}": built / name}) for name in programs),
        Deb("cri-tools", _module_revision("cri-tools"), {"/usr/bin/crictl": tools / "crictl"}),
        Deb("kubernetes-cni", _module_revision("cni-plugins"), cni),
    )


def _containerd_deb(progress: Progress) -> Deb:
    upstream = lab_versions().containerd
    built = build_binaries(f"containerd-{minor_of(upstream)}", progress)
    programs = {f"/usr/bin/{name}": built / name for name in ("containerd", "containerd-shim-runc-v2", "ctr")}
    version = f"{upstream}-1~debian.{_RELEASE}~{SUITE}"
    return Deb("containerd.io", version, {**programs, "/usr/bin/runc": _runc(progress)})


def _module_revision(group: str) -> str:
    """`v1.9.1` -> `1.9.1-1.1`."""
    return f"{module_version(group).removeprefix('v')}-1.1"


def _runc(progress: Progress) -> Path:
    """Return Debian's runc for the machines' release; it needs cgo and is therefore not built here."""
    key = compute_key("runc", SUITE)
    return get_or_build("runc", key, _extract_runc, title="runc", progress=progress) / "runc"


def _extract_runc(into: Path) -> None:
    with tempfile.TemporaryDirectory(dir=into) as scratch:
        root = Path(scratch) / "root"
        unpack(["runc"], SUITE, root)
        shutil.copyfile(root / "usr/sbin/runc", into / "runc")


def _recipe(one: Deb) -> list[object]:
    """Return a package's inputs for the cache key; a program's directory is named by its own cache key."""
    programs = {at: f"{program.parent.name}/{program.name}" for at, program in one.programs.items()}
    return [one.name, one.version, programs]


def _add_kubernetes(
    root: Path, version: str, debs: tuple[Deb, ...], architecture: str, key: SigningKey
) -> None:
    directory = root / "core:" / "stable:" / f"v{minor_of(version)}" / "deb"
    for one in debs:
        apt.build_deb(one, _definitions() / one.name, architecture, directory / architecture)
    apt.write_flat_repository(directory, architecture, key, origin=_ORIGIN)


def _add_docker(root: Path, containerd: Deb, architecture: str, key: SigningKey) -> None:
    directory, pool = root / "linux" / "debian", f"dists/{SUITE}/pool/stable/{architecture}"
    apt.build_deb(containerd, _definitions() / containerd.name, architecture, directory / pool)
    apt.write_suite_repository(
        directory, pool, key, suite=SUITE, component="stable", architecture=architecture, origin=_ORIGIN
    )


def _definitions() -> Path:
    """Return the directory with one definition per package: control files, units, configuration."""
    return content_root() / "lab" / "packages"
