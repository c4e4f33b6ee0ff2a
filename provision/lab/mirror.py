"""The lab's mirror of packages, images and manifests: built once, then served inside the lab's network.

Paths and names are the public ones, so a cluster file only sets other base URLs. To fill the cache without a lab:
`python -m provision.lab.mirror`.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import sys
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from provision.errors import LabError
from provision.lab import images, packages, processes, rocky
from provision.lab.binaries import build_binaries
from provision.lab.cache import Progress, compute_key, get_or_build
from provision.lab.state import GATEWAY, write_private
from provision.lab.toolchain import require_packages, unpack
from provision.lab.versions import Offer, choose_offer, lab_versions
from provision.mirror import servers
from provision.mirror.tools import run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provision.mirror.servers import Server

TOOLS = (*images.TOOLS, *packages.TOOLS)  # Debian packages of this computer
FILES_PORT, IMAGES_PORT = 8080, 5000

_REGISTRY_TOOLS = ("mmdebstrap", "debian-archive-keyring")
_REGISTRY_SUITE = "trixie"  # its docker-registry needs glibc 2.34
_LIMIT = 30.0  # seconds until a server listens; usually less than one
_LAST_LINES = 6
_LOCAL, _STATE, _INODE = 1, 3, 9  # columns of /proc/PID/net/tcp


@dataclass(frozen=True, slots=True)
class Mirror:
    """Everything that a cluster in the lab downloads.

    `files` is path in URLs -> directory: signed repositories, Calico's manifests, releases. `fingerprint` is that
    of the repositories' key (40 hex digits), `images` a registry's root directory, `references` what it holds
    (`repository:tag`), `registry` the program that serves images, `digests` the sha256 of releases by file name.
    """

    files: Mapping[str, Path]
    fingerprint: str
    images: Path
    references: tuple[str, ...]
    registry: Path
    digests: Mapping[str, str]


def build(offer: Offer, progress: Progress) -> Mirror:
    """Return the mirror, built as far as it is not in the cache: 15 minutes on two cores from nothing, else seconds.

    Raises LabError and ToolError.
    """
    require_packages(TOOLS, progress)
    registry = unpack_registry(progress)
    signed, pulled = packages.build_packages(offer, progress), images.build_images(offer.minors, progress)
    files = {
        "/": signed.directory,
        **signed.rpms,
        **rocky.build_repositories(offer.majors(), progress),
        f"/projectcalico/calico/v{lab_versions().calico}/manifests/": build_binaries("calico", progress)
        / "manifests",
    }
    digests: dict[str, str] = {}
    if "docker" in offer.runtimes:
        release = _release(progress)
        files[f"/Mirantis/cri-dockerd/releases/download/v{lab_versions().docker.cri_dockerd}/"] = release
        for path in release.glob("*.sha256"):
            digest, name = path.read_text().split()
            digests[name] = digest
    return Mirror(files, signed.fingerprint, pulled.directory, pulled.references, registry, digests)


def _release(progress: Progress) -> Path:
    """Return a directory with cri-dockerd's release archive as upstream names and fills it, and its digest."""
    version, built = lab_versions().docker.cri_dockerd, build_binaries("cri-dockerd", progress)
    name = f"cri-dockerd-{version}.{run(['dpkg', '--print-architecture']).strip()}.tgz"

    def pack(into: Path) -> None:
        member = tarfile.TarInfo("cri-dockerd/cri-dockerd")
        member.mode, member.size = 0o755, (built / "cri-dockerd").stat().st_size
        with (
            (into / name).open("wb") as target,
            gzip.GzipFile("", "wb", fileobj=target, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w") as archive,
            (built / "cri-dockerd").open("rb") as program,
        ):
            archive.addfile(member, program)
        digest = hashlib.sha256((into / name).read_bytes()).hexdigest()
        (into / f"{name}.sha256").write_text(f"{digest}  {name}\n")

    key = compute_key(built.name, name)
    return get_or_build("releases", key, pack, title=f"the release {name}", progress=progress)


def start(mirror: Mirror, directory: Path, inside: tuple[str, ...], address: str = GATEWAY) -> None:
    """Serve it on `address` in the network that the command prefix `inside` enters; return when both servers listen.

    Their settings and logs are kept in `directory`. Running servers are kept, or restarted if their settings differ.
    Raises LabError.
    """
    ensure_server(
        servers.registry(mirror.registry, mirror.images, address, IMAGES_PORT, _images(directory)), inside
    )
    ensure_server(servers.files(mirror.files, address, FILES_PORT, _files(directory)), inside)


def stop(directory: Path) -> None:
    """Stop the servers that have their settings in `directory`, if any. Raises LabError."""
    for settings in (_images(directory), _files(directory)):
        stop_server(settings)


def ensure_server(server: Server, inside: tuple[str, ...]) -> None:
    """Start the server in the network that the command prefix `inside` enters; return when it listens.

    One that runs there with the same settings is kept. Raises LabError with the last lines of its log.
    """
    if _runs(server, inside):
        return
    stop_server(server.settings)
    write_private(server.settings, server.text)
    argv = (*inside, *server.argv, str(server.settings))
    pid = processes.spawn(argv, log=_log(server), environment=os.environ)
    _wait(server, pid)


def stop_server(settings: Path) -> None:
    """Stop the server with these settings, if it runs. Raises LabError."""
    for process in processes.find(str(settings)):
        processes.stop(process)


def unpack_registry(progress: Progress) -> Path:
    """Return Debian's docker-registry, unpacked only: installing it would start a service on this computer."""

    def build(into: Path) -> None:
        require_packages(_REGISTRY_TOOLS, progress)
        root = into / "root"
        unpack(["docker-registry"], _REGISTRY_SUITE, root)
        shutil.copy(root / "usr/bin/docker-registry", into)
        shutil.rmtree(root)

    key = compute_key(_REGISTRY_SUITE)
    return get_or_build("registry", key, build, title="the registry", progress=progress) / "docker-registry"


def _runs(server: Server, inside: tuple[str, ...]) -> bool:
    """Whether one process serves these settings in the network that exists now."""
    running = processes.find(str(server.settings))
    if len(running) != 1 or not server.settings.exists() or server.settings.read_text() != server.text:
        return False
    network = run([*inside, "readlink", "/proc/self/ns/net"]).strip()
    try:
        return str(Path(f"/proc/{running[0].pid}/ns/net").readlink()) == network
    except FileNotFoundError:  # the process has ended
        return False


def _wait(server: Server, pid: int) -> None:
    """Return when the process, a child of this one, listens on the server's port. Raises LabError."""
    deadline = time.monotonic() + _LIMIT
    while not _listens(pid, server.port):
        ended = os.waitpid(pid, os.WNOHANG)[0] == pid
        if ended or time.monotonic() > deadline:
            reason = "ended at once" if ended else f"does not listen after {_LIMIT:.0f} s"
            lines = tuple(_log(server).read_text(errors="replace").splitlines()[-_LAST_LINES:])
            raise LabError(f"the mirror's server for port {server.port} {reason}", detail=lines)
        time.sleep(0.02)


def _listens(pid: int, port: int) -> bool:
    """Whether the process itself listens on the port; in another network other processes may."""
    try:
        opened = {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}
        rows = [row.split() for row in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    except OSError:  # the process has ended, or closed one of its files
        return False
    listening = {
        f"socket:[{row[_INODE]}]" for row in rows if row[_STATE] == "0A" and _port(row[_LOCAL]) == port
    }
    return not opened.isdisjoint(listening)


def _port(local: str) -> int:
    """`0100007F:1388` -> 5000."""
    return int(local.partition(":")[2], 16)


def _log(server: Server) -> Path:
    return server.settings.with_suffix(".log")


def _images(directory: Path) -> Path:
    return directory / "mirror-images.json"


def _files(directory: Path) -> Path:
    return directory / "mirror-files.json"


if __name__ == "__main__":
    build(choose_offer((), ()), lambda line: print(line, file=sys.stderr))  # noqa: T201  a program of its own
