"""Layers of images: what they hold, and that the same contents make the same file."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from provision.mirror.images import Storage, filter_layer, write_layer


@pytest.fixture
def contents(tmp_path: Path) -> Path:
    place = tmp_path / "contents"
    (place / "tree" / "sub").mkdir(parents=True)
    (place / "program").write_bytes(b"program")
    (place / "tree" / "sub" / "run").write_bytes(b"#!/bin/sh\n")
    return place


def members(path: Path) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(path) as archive:
        return {member.name: member for member in archive.getmembers()}


def test_every_file_of_a_layer_is_roots_and_executable_below_its_directories(
    tmp_path: Path, contents: Path
) -> None:
    layer = tmp_path / "layer.tar"
    write_layer(layer, files={"/usr/bin/program": contents / "program", "/etc/service": contents / "tree"})
    found = members(layer)

    assert list(found) == [
        "usr",
        "usr/bin",
        "usr/bin/program",
        "etc",
        "etc/service",
        "etc/service/sub",
        "etc/service/sub/run",
    ]
    assert {(one.mode, one.uid, one.gid, one.mtime) for one in found.values()} == {(0o755, 0, 0, 0)}


def test_directories_have_their_owner_and_mode_and_links_their_target(tmp_path: Path) -> None:
    layer = tmp_path / "layer.tar"
    write_layer(layer, directories={"/status": (999, 0o700)}, links={"/sbin/a": "b"})
    found = members(layer)

    assert (found["status"].isdir(), found["status"].uid, found["status"].mode) == (True, 999, 0o700)
    assert (found["sbin/a"].issym(), found["sbin/a"].linkname) == (True, "b")


def test_the_same_programs_make_the_same_layer(tmp_path: Path, contents: Path) -> None:
    first, second = tmp_path / "first.tar", tmp_path / "second.tar"
    write_layer(first, files={"/x": contents / "tree"})
    (contents / "tree" / "sub" / "run").touch()
    write_layer(second, files={"/x": contents / "tree"})

    assert first.read_bytes() == second.read_bytes()


def test_what_nothing_needs_is_left_out_of_the_tree(tmp_path: Path) -> None:
    whole, kept = tmp_path / "whole.tar", tmp_path / "layer.tar"
    with tarfile.open(whole, "w") as archive:
        for name in ("./usr/share/doc/a", "./usr/bin/a", "./etc/service"):
            archive.addfile(tarfile.TarInfo(name))
        link = tarfile.TarInfo("./bin")
        link.type, link.linkname = tarfile.SYMTYPE, "usr/bin"
        archive.addfile(link)

    filter_layer(whole, kept, ("usr/share/*", "etc/service"))

    assert list(members(kept)) == ["bin", "usr/bin/a"]


def test_an_image_names_its_platform_and_a_time_which_dockers_clients_demand(tmp_path: Path) -> None:
    root = tmp_path / "storage"
    root.mkdir()
    Storage(root, "amd64").add_image("one/image:1.0", (), {"Cmd": ["run"]})
    documents = [json.loads(path.read_bytes()) for path in root.rglob("data")]
    (found,) = (one for one in documents if "rootfs" in one)

    assert found["created"] == "1970-01-01T00:00:00Z"
    assert (found["os"], found["architecture"], found["config"]) == ("linux", "amd64", {"Cmd": ["run"]})
