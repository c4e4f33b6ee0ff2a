"""The wheel is complete: installed into a clean environment, it works from any directory."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from provision.paths import content_root

ROOT = content_root()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as for a release: the sdist first, the wheel from it."""
    out = tmp_path_factory.mktemp("dist")
    uv = Path(sys.executable).parent / "uv"
    subprocess.run(
        [uv, "build", "--quiet", "--out-dir", out, ROOT], check=True, capture_output=True, text=True
    )
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `provision` of a clean virtual environment that holds the wheel and the locked requirements."""
    venv = tmp_path_factory.mktemp("venv")
    uv = Path(sys.executable).parent / "uv"
    environment = {**os.environ, "VIRTUAL_ENV": str(venv)}
    for command in (
        ["venv", "--quiet", "--python", sys.executable, str(venv)],
        ["pip", "install", "--quiet", "--require-hashes", "-r", str(ROOT / "requirements" / "runtime.txt")],
        ["pip", "install", "--quiet", "--no-deps", str(wheel)],
    ):
        subprocess.run([uv, *command], check=True, capture_output=True, text=True, env=environment)
    return venv / "bin" / "provision"


def run(*argv: str | Path) -> subprocess.CompletedProcess[str]:
    """Run in `/` without the PATH of the tests, as in a user's shell."""
    return subprocess.run(
        argv,
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_wheel_holds_every_tracked_playbook_inventory_and_lab_file(wheel: Path) -> None:
    tracked = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "playbooks", "inventories", "lab"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    names = set(zipfile.ZipFile(wheel).namelist())

    assert tracked
    assert {f"provision/_content/{path}" for path in tracked} <= names


def test_the_wheel_holds_every_data_file_of_the_package(wheel: Path) -> None:
    data = {str(path.relative_to(ROOT)) for path in (ROOT / "provision").rglob("*.yaml")}

    assert "provision/providers/eks/pricing/prices.yaml" in data
    assert data <= set(zipfile.ZipFile(wheel).namelist())


def test_the_installed_command_answers_from_the_root_directory(installed: Path) -> None:
    done = run(installed, "--version")

    assert (done.returncode, done.stderr) == (0, "")


def test_the_installed_package_finds_its_own_playbooks_and_not_the_checkouts(installed: Path) -> None:
    program = "from provision.paths import playbook; p = playbook('prepare-hosts'); print(p, p.is_file())"

    said = run(installed.parent / "python", "-I", "-c", program).stdout.split()

    assert said[1] == "True"
    assert said[0].startswith(str(installed.parent.parent))


def test_the_installed_playbooks_run_with_the_ansible_beside_it(installed: Path) -> None:
    playbooks = next(installed.parent.parent.glob("lib/*/site-packages/provision/_content/playbooks"))

    for playbook in sorted(playbooks.glob("*.yml")):
        done = run(installed.parent / "ansible-playbook", "--syntax-check", "-i", "localhost,", playbook)
        assert done.returncode == 0, f"{playbook.name}: {done.stderr}"
