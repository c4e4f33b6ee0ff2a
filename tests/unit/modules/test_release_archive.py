"""A program out of an archive with a known digest; the web server is real."""

from __future__ import annotations

import functools
import hashlib
import io
import tarfile
import threading
from http.server import HTTPServer, SimpleHTTPRequestHandler
from typing import TYPE_CHECKING, Any

import pytest

from .conftest import library

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

release_archive = library("release_archive")
host = library("provision_host")

NAME = "cri-dockerd-0.4.0.amd64.tgz"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        """A test is quiet."""


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """URL of a directory with an archive, and the digest of that."""
    directory = tmp_path / "mirror"
    directory.mkdir()
    with tarfile.open(directory / NAME, "w:gz") as archive:
        member = tarfile.TarInfo("cri-dockerd/cri-dockerd")
        member.size = 7
        archive.addfile(member, io.BytesIO(b"program"))
    with HTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(directory))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        digest = hashlib.sha256((directory / NAME).read_bytes()).hexdigest()
        yield f"http://127.0.0.1:{server.server_port}", digest
        server.shutdown()


def provide(root: Path, url: str, digest: str, *, dry: bool = False, **changed: Any) -> list[str]:
    changes = host.Changes(dry=dry)
    wanted = {
        "url": f"{url}/cri-dockerd-0.4.0.{{architecture}}.tgz",
        "digests": {"amd64": digest},
        "member": "cri-dockerd/cri-dockerd",
        "path": "/opt/cri-dockerd/0.4.0/cri-dockerd",
        **changed,
    }
    release_archive.provide(wanted, changes, root=root, machine="x86_64")
    found: list[str] = changes.sentences
    return found


def test_the_program_is_installed_once(root: Path, mirror: tuple[str, str]) -> None:
    url, digest = mirror
    path = root / "opt/cri-dockerd/0.4.0/cri-dockerd"
    assert provide(root, url, digest) == [f"installed {path} from {url}/{NAME}"]
    assert path.read_bytes() == b"program"
    assert path.stat().st_mode & 0o777 == 0o755
    assert provide(root, "http://127.0.0.1:1", digest) == []


def test_an_archive_with_another_digest_is_refused_and_nothing_is_installed(
    root: Path, mirror: tuple[str, str]
) -> None:
    with pytest.raises(host.HostError, match=r"is expected: is this the right mirror.*mirror\.digests"):
        provide(root, mirror[0], "0" * 64)
    assert not (root / "opt/cri-dockerd/0.4.0").exists()


def test_an_architecture_without_a_digest_is_refused_before_anything_is_fetched(root: Path) -> None:
    with pytest.raises(host.HostError, match="is not known for the architecture x86_64"):
        provide(root, "http://127.0.0.1:1", "", digests={"arm64": "0" * 64})


def test_an_archive_without_the_program_is_refused(root: Path, mirror: tuple[str, str]) -> None:
    with pytest.raises(host.HostError, match="holds no other"):
        provide(root, *mirror, member="other")


def test_an_archive_that_is_not_there_is_named(root: Path, mirror: tuple[str, str]) -> None:
    with pytest.raises(host.HostError, match=r"cannot fetch .*missing/.*\.tgz: HTTP Error 404"):
        provide(root, f"{mirror[0]}/missing", mirror[1])


def test_a_dry_run_fetches_nothing(root: Path) -> None:
    assert len(provide(root, "http://127.0.0.1:1", "0" * 64, dry=True)) == 1
    assert not (root / "opt").exists()
