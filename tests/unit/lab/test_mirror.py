"""Serving the mirror: each path from its directory, by processes that are started once."""

from __future__ import annotations

import hashlib
import http.client
import os
import socket
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provision.errors import LabError
from provision.lab import mirror, processes
from provision.lab.images import Images
from provision.lab.packages import Packages
from provision.lab.versions import choose_offer
from provision.mirror import servers

if TYPE_CHECKING:
    from provision.mirror.servers import Server

MANIFESTS = "/projectcalico/calico/v3.31.0/manifests/"
RELEASE = "/Mirantis/cri-dockerd/releases/download/v0.4.0/"
DEB = "core:/stable:/v1.36/deb/InRelease"


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "state" / "files.json"
    yield path
    mirror.stop_server(path)


@pytest.fixture
def server(tmp_path: Path, port: int, settings: Path) -> Server:
    packages, manifests = tmp_path / "packages", tmp_path / "manifests"
    (packages / DEB).parent.mkdir(parents=True)
    (packages / DEB).write_text("signed")
    manifests.mkdir()
    (manifests / "calico.yaml").write_text("kind: List")
    (tmp_path / "secret").write_text("not for guests")
    return servers.files({"/": packages, MANIFESTS: manifests}, "127.0.0.1", port, settings)


@pytest.mark.parametrize("runtimes", [("containerd",), ("containerd", "docker")])
def test_paths_are_the_public_ones_and_docker_adds_the_release_of_its_cri_server(
    runtimes: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cri-dockerd").write_bytes(b"program")
    monkeypatch.setenv("PROVISION_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(mirror, "TOOLS", ())
    monkeypatch.setattr(mirror, "unpack_registry", lambda _: tmp_path / "docker-registry")
    monkeypatch.setattr(mirror, "build_binaries", lambda _group, _: tmp_path)
    monkeypatch.setattr(
        "provision.lab.packages.build_packages", lambda *_: Packages(tmp_path / "apt", "A" * 40)
    )
    monkeypatch.setattr("provision.lab.images.build_images", lambda *_: Images(tmp_path / "images", ()))

    files = mirror.build(choose_offer((), runtimes), lambda _line: None).files

    assert (files["/"], files[MANIFESTS]) == (tmp_path / "apt", tmp_path / "manifests")
    assert (RELEASE in files) == ("docker" in runtimes)
    if RELEASE in files:
        archive = files[RELEASE] / "cri-dockerd-0.4.0.amd64.tgz"
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        assert archive.with_name(f"{archive.name}.sha256").read_text() == f"{digest}  {archive.name}\n"
        with tarfile.open(archive) as content:
            assert [(one.name, one.mode, one.size) for one in content] == [
                ("cri-dockerd/cri-dockerd", 0o755, 7)
            ]


def pids(settings: Path) -> list[int]:
    return [process.pid for process in processes.find(str(settings))]


def ask(port: int, *paths: str, method: str = "GET") -> list[tuple[int, bytes]]:
    """Status and body of every path, all over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    answers = []
    for path in paths:
        connection.request(method, path)
        response = connection.getresponse()
        answers.append((response.status, response.read()))
    connection.close()
    return answers


def test_each_path_is_served_from_its_own_directory(server: Server) -> None:
    mirror.ensure_server(server, ())

    assert ask(server.port, f"/{DEB}", f"{MANIFESTS}calico.yaml") == [(200, b"signed"), (200, b"kind: List")]


def test_an_escaped_path_is_the_same_path(server: Server) -> None:
    mirror.ensure_server(server, ())

    assert ask(server.port, "/" + DEB.replace(":", "%3a")) == [(200, b"signed")]


def test_head_has_no_body(server: Server) -> None:
    mirror.ensure_server(server, ())

    assert ask(server.port, f"/{DEB}", method="HEAD") == [(200, b"")]


@pytest.mark.parametrize("path", ["/missing", f"{MANIFESTS}other.yaml", "/../secret", "/%2e%2e/secret"])
def test_nothing_else_is_served(server: Server, path: str) -> None:
    mirror.ensure_server(server, ())

    assert ask(server.port, path)[0][0] == 404


def test_a_server_that_runs_with_the_same_settings_is_left_alone(server: Server) -> None:
    mirror.ensure_server(server, ())
    before = pids(server.settings)
    mirror.ensure_server(server, ())

    assert len(before) == 1
    assert pids(server.settings) == before


def test_other_content_is_served_by_a_new_process(server: Server, tmp_path: Path) -> None:
    mirror.ensure_server(server, ())
    before = pids(server.settings)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("new")
    mirror.ensure_server(
        servers.files({"/": tmp_path / "other"}, "127.0.0.1", server.port, server.settings), ()
    )

    assert pids(server.settings) != before
    assert ask(server.port, "/file", f"/{DEB}")[0] == (200, b"new")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes networks")
def test_a_server_in_another_network_is_restarted_in_this_one(server: Server) -> None:
    mirror.ensure_server(server, ())
    before = pids(server.settings)
    elsewhere = ("unshare", "--net", "--", "sh", "-c", 'ip link set lo up; exec "$@"', "sh")
    mirror.ensure_server(server, elsewhere)

    assert len(pids(server.settings)) == 1
    assert pids(server.settings) != before


def test_stopping_twice_is_harmless_and_leaves_no_process(server: Server) -> None:
    mirror.ensure_server(server, ())
    mirror.stop_server(server.settings)
    mirror.stop_server(server.settings)

    assert pids(server.settings) == []


def test_a_server_that_cannot_start_says_why(server: Server) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", server.port))
        taken.listen()
        with pytest.raises(LabError, match=f"server for port {server.port} ended at once") as failure:
            mirror.ensure_server(server, ())

    assert "Address already in use" in failure.value.detail[-1]


def test_a_server_that_runs_on_another_port_is_not_taken_for_ready(server: Server) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", server.port))
        other.listen()

        assert not mirror._listens(1, server.port)
