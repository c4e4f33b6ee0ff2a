"""Run the programs of this computer that build what a mirror holds, and collect the files of its packages."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from provision.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Mapping

METADATA = ("DEBIAN", "RPM")  # of a package's definition: what one format needs beside the files to install

_LAST_LINES = 12


def run(argv: list[str], *, cwd: Path | None = None, environment: dict[str, str] | None = None) -> str:
    """Run a program without input and return its output, standard error included.

    `environment` is added to this process's own. Raises ToolError with the last lines of the output if it fails.
    """
    done = subprocess.run(
        argv,
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        detail = tuple(done.stdout.strip().splitlines()[-_LAST_LINES:])
        raise ToolError(
            f"{Path(argv[0]).name} failed with exit code {done.returncode}: {' '.join(argv)[:200]}",
            detail=detail,
        )
    return done.stdout


def fill_tree(tree: Path, definition: Path | None, programs: Mapping[str, Path]) -> None:
    """Create the directory `tree` with the files that a package installs.

    `definition` has most of them under their paths, and the metadata of formats, which are left out; `programs` is
    absolute target path -> file. Modes are set here (a wheel keeps none): programs 0755, everything else 0644.
    """
    tree.mkdir(mode=0o755)
    for source in sorted(definition.rglob("*")) if definition else ():
        place = source.relative_to(definition or source)
        if source.is_file() and place.parts[0] not in METADATA:
            copy_file(source, tree / place, 0o644)
    for path, program in programs.items():
        copy_file(program, tree / path.lstrip("/"), 0o755)


def copy_file(source: Path, target: Path, mode: int) -> None:
    """Copy the content with that mode; directories that are missing get 0755."""
    for parent in reversed(target.parents):
        if not parent.exists():
            parent.mkdir()
            parent.chmod(0o755)
    shutil.copyfile(source, target)
    target.chmod(mode)
