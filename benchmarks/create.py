"""Create and no-op times of `provision apply` and of a plain shell script, alternating on new lab machines.

usage, as root: python benchmarks/create.py [--workers N] [--control-planes N] [--rounds N]

Prints a row per round and the medians; budgets: create at most 0.8 x raw, no-op at most 3 s at 1+1 (wall seconds).
Each measurement starts on newly booted machines; both use the same mirror on the same machine.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
PROVISION = (sys.executable, "-m", "provision")
LAB = "bench"


def timed(*command: str) -> float:
    """Wall seconds of a command that must succeed; its output goes to standard error."""
    started = time.monotonic()
    subprocess.run(command, check=True, stdout=sys.stderr, env={**os.environ, "PYTHON": sys.executable})
    return time.monotonic() - started


@contextmanager
def fresh_lab(control_planes: int, workers: int) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Boot machines; yield their cluster file and the command prefix that runs programs in their network."""
    directory = Path(tempfile.mkdtemp(prefix="bench-"))
    file = directory / "cluster.yaml"
    size = ("--control-planes", str(control_planes), "--workers", str(workers))
    try:
        timed(*PROVISION, "lab", "up", "--name", LAB, *size, "--file", str(file))
        yield file, (*PROVISION, "lab", "run", "--name", LAB, "--")
    finally:
        timed(*PROVISION, "lab", "down", "--name", LAB)
        shutil.rmtree(directory)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--control-planes", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--skip-raw", action="store_true", help="only our own side")
    options = parser.parse_args()
    size = (options.control_planes, options.workers)
    raw: list[float] = []
    create: list[float] = []
    again: list[float] = []
    for number in range(1, options.rounds + 1):
        if not options.skip_raw:
            with fresh_lab(*size) as (file, inside):
                raw.append(timed(*inside, str(HERE / "raw.sh"), str(file)))
        with fresh_lab(*size) as (file, inside):
            apply = (*inside, *PROVISION, "apply", "--file", str(file), "--yes", "--no-smoke")
            create.append(timed(*apply))
            again.extend(timed(*apply) for _ in range(3))
        print(
            f"round {number}: raw {raw[-1:]} create {create[-1]:.1f} no-op {min(again[-3:]):.2f}", flush=True
        )
    print(
        f"{size[0]}+{size[1]}: create {statistics.median(create):.1f} s, no-op {statistics.median(again):.2f} s"
    )
    if raw:
        ratio = statistics.median(create) / statistics.median(raw)
        print(f"raw {statistics.median(raw):.1f} s, create / raw {ratio:.2f} (budget 0.80)")


if __name__ == "__main__":
    main()
