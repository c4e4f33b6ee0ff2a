"""Serves files over HTTP inside a lab's network: packages and manifests, each below its own path.

Runs as a program: `python -m provision.lab.serve SETTINGS`, a JSON file with `address`, `port` and `paths`
(path in URLs -> directory; the longest that fits wins).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote


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
        """Say nothing of what went well; a file that is missing is worth a line."""
        if isinstance(code, HTTPStatus) and code >= HTTPStatus.BAD_REQUEST:
            super().log_request(code, size)

    def log_error(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        """Everything that it would say is in log_request's line, save that a connection was idle for long."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def serve(address: str, port: int, paths: Mapping[str, str]) -> None:
    """Serve until the process is stopped. Raises OSError if the address cannot be had."""
    handler = type("Files", (_Files,), {"paths": dict(paths)})
    with _Server((address, port), handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    serve(**json.loads(Path(sys.argv[1]).read_text()))
