"""The two servers of a lab's mirror: started once, found again, started anew when what they serve has changed."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from provision.errors import LabError
from provision.lab import processes
from provision.lab.cache import Tell, digest_of, entry
from provision.lab.state import write_private
from provision.lab.toolchain import require_packages, run, unpack

TOOLS = ("mmdebstrap", "debian-archive-keyring")  # Debian packages of this computer

_LIMIT = 30.0  # seconds until a server listens; a fraction of one is usual
_LAST_LINES = 6
_LOCAL, _STATE, _INODE = 1, 3, 9  # columns of /proc/PID/net/tcp
_SUITE = "trixie"  # its registry runs on any computer with glibc 2.34 or newer


@dataclass(frozen=True, slots=True)
class Server:
    """A program whose last argument is the path of its settings, which is how it is found again."""

    argv: tuple[str, ...]
    settings: Path
    text: str
    port: int


def registry(program: Path, storage: Path, address: str, port: int, settings: Path) -> Server:
    """A read-only OCI registry over that storage."""
    configuration = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(storage)},
            "cache": {"blobdescriptor": "inmemory"},
            "maintenance": {"uploadpurging": {"enabled": False}, "readonly": {"enabled": True}},
        },
        "http": {"addr": f"{address}:{port}"},
    }
    return Server((str(program), "serve"), settings, json.dumps(configuration, indent=2) + "\n", port)


def files(paths: Mapping[str, Path], address: str, port: int, settings: Path) -> Server:
    """A plain HTTP server: each directory below its path (`/` or `/some/path/`)."""
    body = {"address": address, "port": port, "paths": {path: str(place) for path, place in paths.items()}}
    argv = (sys.executable, "-P", "-m", "provision.lab.serve")
    return Server(argv, settings, json.dumps(body, indent=2) + "\n", port)


def ensure(server: Server, inside: tuple[str, ...]) -> None:
    """Let the server run in the network that the command prefix `inside` enters; returns when it listens.

    One that runs there with the same settings is left alone. Raises LabError with the last lines that it said.
    """
    if _runs(server, inside):
        return
    stop(server.settings)
    write_private(server.settings, server.text)
    argv = (*inside, *server.argv, str(server.settings))
    pid = processes.spawn(argv, log=_log(server), environment=os.environ)
    _wait(server, pid)


def stop(settings: Path) -> None:
    """Stop the server with these settings; harmless if none runs. Raises LabError."""
    for process in processes.having(str(settings)):
        processes.stop(process)


def registry_program(tell: Tell) -> Path:
    """Debian's docker-registry, unpacked and not installed: its package would start a service on this computer."""

    def build(into: Path) -> None:
        require_packages(TOOLS, tell)
        root = into / "root"
        unpack(["docker-registry"], _SUITE, root)
        shutil.copy(root / "usr/bin/docker-registry", into)
        shutil.rmtree(root)

    place = entry("registry", digest_of(_SUITE), build, title="the registry", tell=tell)
    return place / "docker-registry"


def _runs(server: Server, inside: tuple[str, ...]) -> bool:
    """Whether it runs as it should: one process, these settings, and not in a network that was made anew since."""
    running = processes.having(str(server.settings))
    if len(running) != 1 or not server.settings.exists() or server.settings.read_text() != server.text:
        return False
    network = run([*inside, "readlink", "/proc/self/ns/net"]).strip()
    try:
        return str(Path(f"/proc/{running[0].pid}/ns/net").readlink()) == network
    except FileNotFoundError:  # it has just ended
        return False


def _wait(server: Server, pid: int) -> None:
    """Return once the process (a child of ours) listens on the server's port."""
    deadline = time.monotonic() + _LIMIT
    while not _listens(pid, server.port):
        ended = os.waitpid(pid, os.WNOHANG)[0] == pid
        if ended or time.monotonic() > deadline:
            happened = "ended at once" if ended else f"does not listen after {_LIMIT:.0f} s"
            said = tuple(_log(server).read_text(errors="replace").splitlines()[-_LAST_LINES:])
            raise LabError(f"the mirror's server for port {server.port} {happened}", detail=said)
        time.sleep(0.02)


def _listens(pid: int, port: int) -> bool:
    """Whether the process itself listens on the port: in another network, others may."""
    try:
        opened = {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}
        rows = [row.split() for row in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    except OSError:  # it has just ended, or closed what we looked at
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
