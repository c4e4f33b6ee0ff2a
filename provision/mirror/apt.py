"""Debian packages and signed apt repositories, made of files alone."""

from __future__ import annotations

import gzip
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from provision.errors import ToolError
from provision.mirror.signing import SigningKey, sign_file
from provision.mirror.tools import copy_file, fill_tree, run

if TYPE_CHECKING:
    from collections.abc import Mapping

TOOLS = ("apt-utils",)  # Debian packages

# Fastest in sum of download and unpacking: a third of the bytes, unpacked at the speed of the disk.
_COMPRESSION = ("-Zzstd", "-z3")
_CONTROL = "DEBIAN"
_SCRIPTS = frozenset({"preinst", "postinst", "prerm", "postrm"})
_PLACEHOLDERS = ("@VERSION@", "@ARCHITECTURE@", "@SIZE@")


@dataclass(frozen=True, slots=True)
class Deb:
    """A package to build: `version` with Debian's revision, `programs` as absolute target path -> file (0755)."""

    name: str
    version: str
    programs: Mapping[str, Path]

    def file_name(self, architecture: str) -> str:
        """`kubelet_1.36.3-1.1_amd64.deb`; without the epoch, as in public repositories."""
        _, _, version = self.version.rpartition(":")
        return f"{self.name}_{version}_{architecture}.deb"


def build_deb(deb: Deb, definition: Path, architecture: str, into: Path) -> Path:
    """Build the package in the directory `into` and return its file.

    `definition` is the tree to install, with the control files in `DEBIAN/`; in `control`, @VERSION@, @ARCHITECTURE@
    and @SIZE@ are filled in. Modes are set here (a wheel keeps none): scripts and programs 0755, everything else 0644.
    Raises ToolError without a control file, or if dpkg-deb fails.
    """
    if not (definition / _CONTROL / "control").is_file():
        raise ToolError(f"{definition} has no {_CONTROL}/control, so package {deb.name} cannot be built")
    into.mkdir(parents=True, exist_ok=True)
    target = into / deb.file_name(architecture)
    with tempfile.TemporaryDirectory(dir=into) as scratch:
        tree = Path(scratch) / "tree"
        fill_tree(tree, definition, deb.programs)
        for source in sorted((definition / _CONTROL).iterdir()):
            copy_file(source, tree / _CONTROL / source.name, 0o755 if source.name in _SCRIPTS else 0o644)
        _fill_control(tree / _CONTROL / "control", deb.version, architecture, _installed_size(tree))
        run(["dpkg-deb", *_COMPRESSION, "--root-owner-group", "--build", str(tree), str(target)])
    return target


def write_flat_repository(root: Path, debs: str, key: SigningKey, *, origin: str) -> None:
    """Index the packages below `root/debs` as a flat repository and sign it; the key is published as `Release.key`.

    Its source names the directory and the suite `/`. `origin` is the repository's Origin and Label for apt.
    """
    _write_index(root, debs, root)
    shutil.copyfile(key.public, root / "Release.key")
    _write_release(root, {}, key, origin)


def write_suite_repository(
    root: Path, debs: str, key: SigningKey, *, suite: str, component: str, architecture: str, origin: str
) -> None:
    """Index the packages below `root/debs` as `dists/<suite>/<component>` and sign; the key is `root/gpg`."""
    release = root / "dists" / suite
    _write_index(root, debs, release / component / f"binary-{architecture}")
    shutil.copyfile(key.public, root / "gpg")
    fields = {"Suite": suite, "Codename": suite, "Components": component, "Architectures": architecture}
    _write_release(release, fields, key, origin)


def _installed_size(tree: Path) -> int:
    """Size of the installed files in KiB, which apt compares with the free space before it begins."""
    files = (path for path in tree.rglob("*") if path.is_file() and _CONTROL not in path.parts)
    return sum(-(-path.stat().st_size // 1024) for path in files)


def _fill_control(control: Path, version: str, architecture: str, size: int) -> None:
    text = control.read_text()
    for placeholder, value in zip(_PLACEHOLDERS, (version, architecture, str(size)), strict=True):
        text = text.replace(placeholder, value)
    control.write_text(text)


def _write_index(root: Path, debs: str, into: Path) -> None:
    """Write `Packages` and `Packages.gz`; the file names in it are relative to `root`."""
    into.mkdir(parents=True, exist_ok=True)
    text = run(["apt-ftparchive", "packages", debs], cwd=root)
    (into / "Packages").write_text(text)
    (into / "Packages.gz").write_bytes(gzip.compress(text.encode(), mtime=0))


def _write_release(directory: Path, fields: dict[str, str], key: SigningKey, origin: str) -> None:
    described = {"Origin": origin, "Label": origin, **fields}
    options = [f"-oAPT::FTPArchive::Release::{name}={value}" for name, value in described.items()]
    text = run(["apt-ftparchive", *options, "release", "."], cwd=directory)
    release = directory / "Release"
    release.write_text(text)
    sign_file(release, key, detached=release.with_name("Release.gpg"), inline=release.with_name("InRelease"))
