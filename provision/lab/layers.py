"""Layers of images: tar files that are the same for the same contents, so that a rebuilt image keeps its digest."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from provision.lab.cache import Tell, digest_of, entry
from provision.lab.toolchain import unpack

if TYPE_CHECKING:
    from provision.lab.image_definitions import Definition, Tree

TOOLS = ("mmdebstrap",)  # Debian packages of this computer

_BLOCK = 1 << 20  # bytes per read; tarfile's own 16 KiB make large programs slow


def tree_layer(tree: Tree, tell: Tell) -> Path:
    """The layer with the Debian tree, from the cache or made now in about 10 s. Raises LabError."""
    key = digest_of(tree.model_dump_json(), Path(__file__))

    def build(into: Path) -> None:
        whole = into / "whole.tar"
        unpack(tree.packages, tree.suite, whole)
        _filter(whole, into / "layer.tar", tree.without)
        whole.unlink()

    return entry("image-tree", key, build, title=f"the images' {tree.suite} tree", tell=tell) / "layer.tar"


def write_layer(definition: Definition, groups: Mapping[str, Path], target: Path) -> None:
    """Write the image's own layer to `target`; `groups` are the directories of its groups of binaries."""
    with tarfile.TarFile(target, "w", format=tarfile.PAX_FORMAT, copybufsize=_BLOCK) as layer:
        parents: set[str] = set()
        for path, owner_and_mode in definition.make.items():
            owner, mode = owner_and_mode.split(":")
            _add_parents(layer, path, parents)
            parents.add(_name(path))
            layer.addfile(_member(path, tarfile.DIRTYPE, int(mode, 8), int(owner)))
        for path, source in definition.copies.items():
            group, _, name = source.partition("/")
            _add_copy(layer, path, groups[group] / name, parents)
        for path, link in definition.links.items():
            _add_parents(layer, path, parents)
            member = _member(path, tarfile.SYMTYPE, 0o777)
            member.linkname = link
            layer.addfile(member)


def _add_copy(layer: tarfile.TarFile, path: str, source: Path, parents: set[str]) -> None:
    """Add a file, or every file below a directory."""
    if source.is_dir():
        for inner in sorted(source.rglob("*")):
            if inner.is_file():
                _add_copy(layer, f"{path}/{inner.relative_to(source)}", inner, parents)
        return
    _add_parents(layer, path, parents)
    member = _member(path, tarfile.REGTYPE, 0o755)
    member.size = source.stat().st_size
    with source.open("rb") as content:
        layer.addfile(member, content)


def _add_parents(layer: tarfile.TarFile, path: str, done: set[str]) -> None:
    for parent in reversed(Path(_name(path)).parents):
        name = str(parent)
        if name != "." and name not in done:
            done.add(name)
            layer.addfile(_member(name, tarfile.DIRTYPE, 0o755))


def _member(path: str, kind: bytes, mode: int, owner: int = 0) -> tarfile.TarInfo:
    member = tarfile.TarInfo(_name(path))
    member.type, member.mode, member.uid, member.gid = kind, mode, owner, owner
    return member


def _name(path: str) -> str:
    return path.strip("/")


def _filter(whole: Path, target: Path, without: tuple[str, ...]) -> None:
    """Copy the archive less what matches a pattern, names in order, times zero."""
    with tarfile.open(whole) as given, tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as kept:
        for member in sorted(given.getmembers(), key=lambda one: one.name):
            name = member.name.removeprefix("./")
            if name == "." or any(fnmatchcase(name, pattern) for pattern in without):
                continue
            content = given.extractfile(member) if member.isreg() else None
            member.name, member.mtime, member.pax_headers = name, 0, {}
            kept.addfile(member, content or io.BytesIO())
