"""A host with rpm and dnf below a directory, and a signed repository over HTTP: the real programs, no machine."""

from __future__ import annotations

import functools
import http.server
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provision.lab.toolchain import require_packages

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TOOLS = ("rpm", "dnf", "createrepo-c", "gnupg")
ROCKY = 'ID="rocky"\nVERSION_ID="9.4"\nID_LIKE="rhel centos fedora"\n'
_SPEC = """\
Name: {name}
Version: {version}
Release: {release}
Summary: a package
License: none
BuildArch: noarch
{lines}
%description
A package.
%install
mkdir -p %{{buildroot}}/usr/bin
echo {name} > %{{buildroot}}/usr/bin/{name}
%files
/usr/bin/{name}
"""
_PACKAGES = (
    ("rocky-release", "9.4", "1", ("Provides: system-release(releasever) = 9", "Provides: /bin/sh")),
    ("conntrack-tools", "1.4.7", "1", ()),
    ("ethtool", "6", "1", ()),
    ("kubelet", "1.36.5", "150500.1.1", ("Requires: conntrack-tools", "Requires: /usr/bin/ethtool")),
    ("kubelet", "1.36.6", "150500.1.1", ("Requires: conntrack-tools", "Requires: /usr/bin/ethtool")),
    ("mesh", "1", "1", ("Requires: (conntrack-tools if kubelet)",)),
    ("slow", "1", "1", ("%post -p <lua>", "posix.sleep(600)")),
)


def build(directory: Path, key_name: str, environment: dict[str, str]) -> None:
    """Build the packages, signed by the key of that name, and their index."""
    specs = []
    for name, version, release, lines in _PACKAGES:
        tags = "\n".join(line for line in lines if ":" in line)
        script = "\n".join(line for line in lines if ":" not in line)
        spec = directory / f"{name}-{version}.spec"
        text = _SPEC.format(name=name, version=version, release=release, lines=tags)
        spec.write_text(f"{text}{script}\n", encoding="utf-8")
        specs.append(str(spec))
    places = {"_topdir": directory / "build", "_rpmdir": directory / "served"}
    define = [word for name, value in places.items() for word in ("--define", f"{name} {value}")]
    _run(["rpmbuild", "--quiet", "-bb", *define, *specs], environment)
    built = sorted(str(path) for path in (directory / "served/noarch").glob("*.rpm"))
    signing = ["--define", f"_gpg_name {key_name}", "--define", "__gpg /usr/bin/gpg"]
    _run(["rpmsign", *signing, "--addsign", *built], environment)
    _run(["createrepo_c", "--quiet", str(directory / "served")], environment)


def _run(argv: Sequence[str], environment: dict[str, str]) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True, env=environment).stdout


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
