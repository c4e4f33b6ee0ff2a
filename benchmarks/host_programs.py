"""What the probe and the agent cost a host: bytes that travel, and seconds of a local run, of one or two checkouts.

usage: python benchmarks/host_programs.py [-n RUNS] [CHECKOUT [OTHER]]        (default 20 runs of this checkout)

Each run is a process of its own, `python3 -I -S` as on a host: the probe reads this machine and the agent is asked for
tokens, which ends with the answer that this machine is no control plane. Two checkouts take turns, so that both meet
the same load. Printed are medians of wall-clock and of CPU time (user and system) in milliseconds.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

# Printed by a checkout itself: argv and input of both programs. The first import is that of older checkouts.
DESCRIBE = """
import json
try:
    try:
        from provision.kubeadm import agent, probe
    except ImportError:
        from provision.providers.kubeadm import agent, probe
    found = (probe.arguments(), probe.source()), (agent.arguments(), agent.source(REQUEST))
except ImportError:
    from provision.providers.kubeadm import host_programs as p
    found = (p.probe_arguments(), p.probe_source()), (p.agent_arguments(), p.agent_source(REQUEST))
print(json.dumps([[list(arguments), source.decode()] for arguments, source in found]))
"""
REQUEST = {"do": "tokens", "verb": "list"}


@dataclass(frozen=True, slots=True)
class Program:
    """One program of one checkout, and what its runs took."""

    name: str
    checkout: Path
    argv: list[str]
    source: bytes
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def run(self) -> None:
        began, used = time.perf_counter(), _children()
        subprocess.run(self.argv, input=self.source, check=True, capture_output=True)
        self.wall.append(time.perf_counter() - began)
        self.cpu.append(_children() - used)

    def line(self) -> str:
        size = len(self.source) + sum(map(len, self.argv[1:]))
        wall, cpu = (1000 * statistics.median(values) for values in (self.wall, self.cpu))
        return f"{self.name:<6} {size:>6} bytes  {wall:>7.1f} ms  {cpu:>7.1f} ms CPU  {self.checkout}"


def programs(checkout: Path) -> list[Program]:
    """The probe and the agent, as `checkout` packs them."""
    done = subprocess.run(
        [sys.executable, "-c", DESCRIBE.replace("REQUEST", repr(REQUEST))],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout)},
        check=True,
        capture_output=True,
        text=True,
    )
    return [
        Program(name, checkout, ["python3", *arguments], source.encode())
        for name, (arguments, source) in zip(("probe", "agent"), json.loads(done.stdout), strict=True)
    ]


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("-n", "--runs", type=int, default=20)
    parser.add_argument("checkouts", nargs="*", type=Path, default=[Path(__file__).parents[1]])
    options = parser.parse_args()
    measured = [found for checkout in options.checkouts for found in programs(checkout.resolve())]
    for _ in range(options.runs):
        for program in measured:
            program.run()
    for program in sorted(measured, key=lambda program: program.name, reverse=True):
        print(program.line())


if __name__ == "__main__":
    main()
