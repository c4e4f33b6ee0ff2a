"""The registry's storage, written as docker-registry's filesystem driver lays it out.

An image is three kinds of files named by their digests, so no daemon, no mount and no second copy is needed to make
one: layers, a configuration that lists them, a manifest that names both. A registry then serves the directory as is.

Layers are zstd's: a machine of the lab pulls 100 MB of program in 2.3 s where the plain tar file takes 3.4 s.
"""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import dataclass
from pathlib import Path

from provision.errors import LabError
from provision.lab.toolchain import run

TOOLS = ("zstd",)  # Debian packages of this computer

_OCI = "application/vnd.oci.image"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class Blob:
    """Something in the storage: media type, digest (`sha256:...`), size in bytes."""

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
    """A registry's root directory."""

    root: Path

    def add_layer(self, layer: Path) -> Layer:
        """Put the tar file `layer` into the storage, compressed. Raises LabError."""
        packed = self.root / "layer.new"
        run(["zstd", "-3", "-T0", "--quiet", "--force", str(layer), "-o", str(packed)])
        blob = Blob(f"{_OCI}.layer.v1.tar+zstd", _digest(packed), packed.stat().st_size)
        data = self._data(blob.digest)
        data.parent.mkdir(parents=True, exist_ok=True)
        packed.replace(data)
        return Layer(blob, _digest(layer))

    def add_image(self, reference: str, layers: tuple[Layer, ...], settings: dict[str, object]) -> None:
        """Make the image `repository:tag` of layers that are in the storage; `settings` say how it starts."""
        repository, _, tag = reference.rpartition(":")
        config = self._add_json(f"{_OCI}.config.v1+json", _configuration(layers, settings))
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


def _configuration(layers: tuple[Layer, ...], settings: dict[str, object]) -> dict[str, object]:
    return {
        "architecture": _architecture(),
        "os": "linux",
        "config": settings,
        "rootfs": {"type": "layers", "diff_ids": [layer.content for layer in layers]},
    }


def _architecture() -> str:
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        raise LabError(f"the lab has no images for the architecture {machine}")
    return _ARCHITECTURES[machine]
