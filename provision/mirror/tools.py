"""Run the programs of this computer that build what a mirror holds."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from provision.errors import ToolError

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
