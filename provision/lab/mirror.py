"""Where a lab's machines get packages, images and manifests from: built once, then served inside the lab's network.

Paths and names are those of the public places, so a cluster file only names another base URL. Built without a lab,
for example to fill a cache beforehand: `python -m provision.lab.mirror`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from provision.lab import images, packages, servers
from provision.lab.binaries import binaries
from provision.lab.state import GATEWAY
from provision.lab.toolchain import require_packages
from provision.versions import versions

if TYPE_CHECKING:
    from provision.lab.cache import Tell

TOOLS = (*images.TOOLS, *packages.TOOLS)  # Debian packages of this computer
FILES_PORT, IMAGES_PORT = 8080, 5000


@dataclass(frozen=True, slots=True)
class Mirror:
    """Everything a cluster in the lab downloads.

    `packages` is a directory of signed apt repositories and `fingerprint` their key's (40 hex digits), `images` a
    registry's root directory, `references` what it holds (`repository:tag`), `manifests` Calico's directory,
    `registry` the program that serves images.
    """

    packages: Path
    fingerprint: str
    images: Path
    references: tuple[str, ...]
    manifests: Path
    registry: Path


def build(tell: Tell) -> Mirror:
    """Build what is not in the cache: a quarter of an hour on two cores when it is empty, seconds when it is full.

    Raises LabError.
    """
    require_packages(TOOLS, tell)
    registry = servers.registry_program(tell)
    signed, pulled = packages.packages(tell), images.images(tell)
    return Mirror(
        packages=signed.directory,
        fingerprint=signed.fingerprint,
        images=pulled.directory,
        references=pulled.references,
        manifests=binaries("calico", tell) / "manifests",
        registry=registry,
    )


def start(mirror: Mirror, directory: Path, inside: tuple[str, ...], address: str = GATEWAY) -> None:
    """Serve it on `address` in the network that the command prefix `inside` enters; returns when both servers listen.

    Their settings and logs are kept in `directory`. Harmless if they run already; started anew if the content
    is another. Raises LabError.
    """
    calico = f"/projectcalico/calico/{versions().calico.version}/manifests/"
    paths = {"/": mirror.packages, calico: mirror.manifests}
    servers.ensure(
        servers.registry(mirror.registry, mirror.images, address, IMAGES_PORT, _images(directory)), inside
    )
    servers.ensure(servers.files(paths, address, FILES_PORT, _files(directory)), inside)


def stop(directory: Path) -> None:
    """Stop the servers that `start` began with that directory; harmless if there are none. Raises LabError."""
    for settings in (_images(directory), _files(directory)):
        servers.stop(settings)


def _images(directory: Path) -> Path:
    return directory / "mirror-images.json"


def _files(directory: Path) -> Path:
    return directory / "mirror-files.json"


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    build(_tell)
