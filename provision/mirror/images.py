"""Container images, written straight into the storage that docker-registry's filesystem driver reads.

An image is three kinds of files named by their digests, so no daemon, no mount and no second copy is needed to make
one: layers, a configuration that lists them, a manifest that names both. A registry then serves the directory as is.
Layers are tar files that are the same for the same contents, so that a rebuilt image keeps its digest.

They are compressed with zstd: a lab machine pulls 100 MB of program in 2.3 s instead of 3.4 s uncompressed.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from provision.mirror.tools import run

if TYPE_CHECKING:
    from collections.abc import Mapping

TOOLS = ("zstd",)  # Debian packages

_OCI = "application/vnd.oci.image"
_CREATED = "1970-01-01T00:00:00Z"  # of every image; clients of Docker cannot read one without a time
_BLOCK = 1 << 20  # bytes per read; tarfile's own 16 KiB make large programs slow


@dataclass(frozen=True, slots=True)
class Blob:
    """A file of the storage: media type, digest (`sha256:...`), size in bytes."""

    media_type: str
    digest: str
    size: int

    def descriptor(self) -> dict[str, object]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


@dataclass(frozen=True, slots=True)
class Layer:
    """A compressed layer in the storage, and the digest of the tar file that it holds."""

    blob: Blob
    content: str


@dataclass(frozen=True, slots=True)
class Storage:
    """A registry's root directory, which exists; its images are for one architecture as Go names it ("amd64")."""

    root: Path
    architecture: str

    def add_layer(self, layer: Path) -> Layer:
        """Put the tar file `layer` into the storage, compressed. Raises ToolError."""
        packed = self.root / "layer.new"
        run(["zstd", "-3", "-T0", "--quiet", "--force", str(layer), "-o", str(packed)])
        blob = Blob(f"{_OCI}.layer.v1.tar+zstd", _digest(packed), packed.stat().st_size)
        data = self._data(blob.digest)
        data.parent.mkdir(parents=True, exist_ok=True)
        packed.replace(data)
        return Layer(blob, _digest(layer))

    def add_image(self, reference: str, layers: tuple[Layer, ...], settings: dict[str, object]) -> None:
        """Write the image `repository:tag` with layers of this storage.

        `settings` is the `config` object of the OCI image configuration: Entrypoint, Env, User and so on.
        """
        repository, _, tag = reference.rpartition(":")
        config = self._add_json(f"{_OCI}.config.v1+json", self._configuration(layers, settings))
        body = {
            "schemaVersion": 2,
            "mediaType": f"{_OCI}.manifest.v1+json",
            "config": config.descriptor(),
            "layers": [layer.blob.descriptor() for layer in layers],
        }
        manifest = self._add_json(f"{_OCI}.manifest.v1+json", body)
        place = self.root / "docker/registry/v2/repositories" / repository
        for blob in (config, *(layer.blob for layer in layers)):
            _link(place / "_layers", blob)
        _link(place / "_manifests/revisions", manifest)
        _link(place / "_manifests/tags" / tag / "index", manifest)
        (place / "_manifests/tags" / tag / "current").mkdir(parents=True)
        (place / "_manifests/tags" / tag / "current/link").write_text(manifest.digest)

    def _configuration(self, layers: tuple[Layer, ...], settings: dict[str, object]) -> dict[str, object]:
        return {
            "architecture": self.architecture,
            "os": "linux",
            "created": _CREATED,
            "config": settings,
            "rootfs": {"type": "layers", "diff_ids": [layer.content for layer in layers]},
        }

    def _add_json(self, media_type: str, body: dict[str, object]) -> Blob:
        content = json.dumps(body, separators=(",", ":"), sort_keys=True).encode()
        blob = Blob(media_type, f"sha256:{hashlib.sha256(content).hexdigest()}", len(content))
        self._data(blob.digest).parent.mkdir(parents=True, exist_ok=True)
        self._data(blob.digest).write_bytes(content)
        return blob

    def _data(self, digest: str) -> Path:
        name = digest.removeprefix("sha256:")
        return self.root / "docker/registry/v2/blobs/sha256" / name[:2] / name / "data"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _link(place: Path, blob: Blob) -> None:
    directory = place / blob.digest.replace(":", "/")
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "link").write_text(blob.digest)


def write_layer(
    target: Path,
    *,
    directories: Mapping[str, tuple[int, int]] | None = None,
    files: Mapping[str, Path] | None = None,
    links: Mapping[str, str] | None = None,
) -> None:
    """Write a layer to `target`: its paths are absolute in the image, owned by root and 0755 unless said otherwise.

    `directories` maps a path to its owner's id and mode, `files` to a file or to a directory that is copied with all
    files below, `links` to the target of a symbolic link.
    """
    with tarfile.TarFile(target, "w", format=tarfile.PAX_FORMAT, copybufsize=_BLOCK) as layer:
        parents: set[str] = set()
        for path, (owner, mode) in (directories or {}).items():
            _add_parents(layer, path, parents)
            parents.add(_name(path))
            layer.addfile(_member(path, tarfile.DIRTYPE, mode, owner))
        for path, source in (files or {}).items():
            _add_copy(layer, path, source, parents)
        for path, link in (links or {}).items():
            _add_parents(layer, path, parents)
            member = _member(path, tarfile.SYMTYPE, 0o777)
            member.linkname = link
            layer.addfile(member)


def filter_layer(archive: Path, target: Path, without: tuple[str, ...]) -> None:
    """Write the tar file `archive` to `target` without the names that match a glob, sorted, with times of zero."""
    with tarfile.open(archive) as given, tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as kept:
        for member in sorted(given.getmembers(), key=lambda one: one.name):
            name = member.name.removeprefix("./")
            if name == "." or any(fnmatchcase(name, pattern) for pattern in without):
                continue
            content = given.extractfile(member) if member.isreg() else None
            member.name, member.mtime, member.pax_headers = name, 0, {}
            kept.addfile(member, content or io.BytesIO())


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
