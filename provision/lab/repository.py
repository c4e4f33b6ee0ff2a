"""Signed apt repositories made of files, in the two forms that the public ones have: flat, and with a suite."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

from provision.lab.signing import SigningKey, sign_release
from provision.lab.toolchain import run

TOOLS = ("apt-utils",)

_ORIGIN = "provision lab"


def sign_flat_repository(root: Path, debs: str, key: SigningKey) -> None:
    """Index the packages below `root/debs` and sign; the key is published as `Release.key`.

    What apt calls a flat repository: its source names the directory and the suite `/`.
    """
    _write_index(root, debs, root)
    shutil.copyfile(key.public, root / "Release.key")
    _write_release(root, {}, key)


def sign_suite_repository(
    root: Path, debs: str, key: SigningKey, *, suite: str, component: str, architecture: str
) -> None:
    """Index the packages below `root/debs` as `dists/<suite>/<component>` and sign; the key is `root/gpg`."""
    release = root / "dists" / suite
    _write_index(root, debs, release / component / f"binary-{architecture}")
    shutil.copyfile(key.public, root / "gpg")
    fields = {"Suite": suite, "Codename": suite, "Components": component, "Architectures": architecture}
    _write_release(release, fields, key)


def _write_index(root: Path, debs: str, into: Path) -> None:
    """Write `Packages` and `Packages.gz`; the file names in it are relative to `root`."""
    into.mkdir(parents=True, exist_ok=True)
    text = run(["apt-ftparchive", "packages", debs], cwd=root)
    (into / "Packages").write_text(text)
    (into / "Packages.gz").write_bytes(gzip.compress(text.encode(), mtime=0))


def _write_release(directory: Path, fields: dict[str, str], key: SigningKey) -> None:
    described = {"Origin": _ORIGIN, "Label": _ORIGIN, **fields}
    options = [f"-oAPT::FTPArchive::Release::{name}={value}" for name, value in described.items()]
    text = run(["apt-ftparchive", *options, "release", "."], cwd=directory)
    release = directory / "Release"
    release.write_text(text)
    sign_release(release, key)
