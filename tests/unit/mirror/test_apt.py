"""A signed apt repository, made without a lab; that apt accepts it is shown by the lab's packages."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from provision.errors import ProvisionError, ToolError
from provision.lab.toolchain import require_packages
from provision.mirror import apt, signing

CONTROL = "Package: tool\nVersion: @VERSION@\nArchitecture: @ARCHITECTURE@\nInstalled-Size: @SIZE@\n"


@pytest.fixture(scope="session", autouse=True)
def tools() -> None:
    try:
        require_packages((*apt.TOOLS, *signing.TOOLS), print)
    except ProvisionError as error:
        pytest.skip(f"{error.message}: {error.fix}")


@pytest.fixture
def definition(tmp_path: Path) -> Path:
    control = tmp_path / "definition" / "DEBIAN" / "control"
    control.parent.mkdir(parents=True)
    control.write_text(f"{CONTROL}Maintainer: me <me@example.org>\nDescription: a tool\n")
    return control.parents[1]


def test_a_flat_repository_names_its_packages_and_origin_and_is_signed_by_the_key(
    tmp_path: Path, definition: Path
) -> None:
    private, root, home = (tmp_path / name for name in ("key", "packages", "gpg"))
    private.mkdir()
    home.mkdir(mode=0o700)
    program = tmp_path / "tool"
    program.write_text("#!/bin/sh\n")
    key = signing.create_key(private, "me <me@example.org>")

    deb = apt.Deb("tool", "1.0-1", {"/usr/bin/tool": program})
    apt.build_deb(deb, definition, "amd64", root / "amd64")
    apt.write_flat_repository(root, "amd64", key, origin="example")

    assert "Filename: amd64/tool_1.0-1_amd64.deb\n" in (root / "Packages").read_text()
    assert "Origin: example\n" in (root / "Release").read_text()
    gpg = ["gpg", "--homedir", str(home), "--batch", "--status-fd", "1"]
    subprocess.run([*gpg, "--import", str(root / "Release.key")], check=True, capture_output=True)
    for signed in (["Release.gpg", "Release"], ["InRelease"]):
        argv = [*gpg, "--verify", *(str(root / name) for name in signed)]
        shown = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
        assert f"VALIDSIG {key.fingerprint}" in shown


def test_a_definition_without_a_control_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="has no DEBIAN/control, so package tool cannot be built"):
        apt.build_deb(apt.Deb("tool", "1.0-1", {}), tmp_path, "amd64", tmp_path / "amd64")
