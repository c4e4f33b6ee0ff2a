"""Servers of a mirror: their commands and settings, and the file server itself.

The file server runs as a program: `python -m provision.mirror.servers SETTINGS`, a JSON file with `address`, `port` and
`paths` (path in URLs -> directory; the longest match wins). Images are served by docker-registry.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Server:
    """A server to start as `argv` followed by the path `settings`, a file that holds `text`."""

    argv: tuple[str, ...]
    settings: Path
    text: str
    port: int


def registry(program: Path, storage: Path, address: str, port: int, settings: Path) -> Server:
    """Return a read-only OCI registry of that storage; `program` is docker-registry."""
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
    """Return a file server that offers each directory below its path (`/` or `/some/path/`)."""
    body = {"address": address, "port": port, "paths": {path: str(place) for path, place in paths.items()}}
    argv = (sys.executable, "-P", "-m", "provision.mirror.servers")
    return Server(argv, settings, json.dumps(body, indent=2) + "\n", port)


class _Files(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # apt asks for many files over one connection
    timeout = 60  # seconds a silent connection is kept
    paths: Mapping[str, str]

    def translate_path(self, path: str) -> str:
        wanted = unquote(path.partition("?")[0])
        prefix = max((one for one in self.paths if wanted.startswith(one)), key=len, default=None)
        if prefix is None:
            return "/nowhere"
        self.directory = self.paths[prefix]
        return super().translate_path("/" + quote(wanted[len(prefix) :]))

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log failed requests only."""
        if isinstance(code, HTTPStatus) and code >= HTTPStatus.BAD_REQUEST:
            super().log_request(code, size)

    def log_error(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        """Log nothing: the request line has it already, and idle connections are no error."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def serve(address: str, port: int, paths: Mapping[str, str]) -> None:
    """Serve until the process is stopped. Raises OSError if the address is not available."""
    handler = type("Files", (_Files,), {"paths": dict(paths)})
    with _Server((address, port), handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    serve(**json.loads(Path(sys.argv[1]).read_text()))
