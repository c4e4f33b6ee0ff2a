"""A signed repository of small packages over HTTP, for the real rpm and dnf below a directory; no machine."""

from __future__ import annotations

import functools
import http.server
import threading
from typing import TYPE_CHECKING, Any

from provision.lab.toolchain import require_packages
from provision.mirror import rpm, signing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOOLS = (*rpm.TOOLS, *signing.TOOLS, "dnf")
ROCKY = 'ID="rocky"\nVERSION_ID="9.4"\nID_LIKE="rhel centos fedora"\n'
_KUBELET = "Requires: conntrack-tools\nRequires: /usr/bin/ethtool"
_PACKAGES = {  # name-version-release: tags and scriptlets
    "rocky-release-9.4-1": "Provides: system-release(releasever) = 9\nProvides: /bin/sh",
    "conntrack-tools-1.4.7-1": "",
    "ethtool-6-1": "",
    "kubelet-1.36.5-150500.1.1": _KUBELET,
    "kubelet-1.36.6-150500.1.1": _KUBELET,
    "mesh-1-1": "Requires: (conntrack-tools if kubelet)",
    "slow-1-1": "%post -p <lua>\nposix.sleep(600)",
}


def build(directory: Path, key: signing.SigningKey) -> None:
    """Write a repository with the packages, each of which has one program."""
    program = directory / "program"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    for full, lines in _PACKAGES.items():
        name, version, release = full.rsplit("-", 2)
        tags, _, script = lines.partition("%")
        spec = f"Summary: a package\n{tags}\n%description\nA package.\n" + (f"%{script}\n" if script else "")
        package = rpm.Rpm(name, f"{version}-{release}", spec, {f"/usr/bin/{name}": program})
        rpm.build_rpm(package, None, "noarch", directory / "served/noarch")
    rpm.write_repository(directory / "served", key)


class _Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


def served(directory: Path) -> Iterator[str]:
    """Serve a directory on the loopback address; yields its URL."""
    handler = functools.partial(_Handler, directory=str(directory))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def require_tools() -> None:
    require_packages(TOOLS, print)
