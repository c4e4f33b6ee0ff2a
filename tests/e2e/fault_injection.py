"""Commands interrupted in the middle of a step: by a signal, or by a machine that loses its power or its network."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice, takewhile
from typing import Any

from provision.lab import machines

from .lab_cluster import CONDITION_TIMEOUT, LabCluster, wait_for

SIGNALS = ("SIGKILL", "SIGINT", "SIGTERM")
DELAY = 1.5  # seconds from the start of a step to the fault: the step has begun to change something


@dataclass(frozen=True)
class Fault:
    """A fault in the middle of a step: a signal to the run, or `host` loses its "power" or "network"."""

    step: str
    kind: str
    host: str = ""

    def inject(self, lab: str, process: subprocess.Popen[bytes]) -> None:
        if self.kind == "power":
            machines.power_off(lab, self.host)
        elif self.kind == "network":
            machines.disconnect(lab, self.host)
        else:
            os.killpg(process.pid, signal.Signals[self.kind])

    def recover(self, lab: str) -> None:
        if self.host:
            (machines.power_on if self.kind == "power" else machines.connect)(lab, self.host)
            machines.wait_until_reachable(lab, [self.host])

    def __str__(self) -> str:
        return f"{self.host + ' ' if self.host else ''}{self.kind} in {self.step}"


def signal_faults(steps: Iterable[str], first: str) -> list[Fault]:
    """A signal at each step, in the order of SIGNALS beginning with `first`."""
    kinds = islice(cycle(SIGNALS), SIGNALS.index(first), None)
    return [Fault(step, kind) for step, kind in zip(steps, kinds, strict=False)]


def run_with_faults(cluster: LabCluster, faults: Sequence[Fault], *arguments: str) -> None:
    """Repeat a command with one fault after the other, and finally without a fault; assert that this succeeds.

    Asserts the error message of each interrupted run. A step is skipped when nothing is left to do in it, because what
    runs on a host continues after the run was killed.
    """
    remaining = list(faults)
    injected = []
    while remaining:
        fault = run_with_first_fault(cluster, remaining, *arguments)
        injected.append(fault)
        remaining = remaining[remaining.index(fault) + 1 :]
    assert injected[-1] == faults[-1]
    assert len(injected) > len(faults) / 2, f"only {', '.join(map(str, injected))}"
    done = cluster.provision(*arguments, "--yes")
    assert done.returncode == 0, done.stdout + done.stderr


def run_with_first_fault(cluster: LabCluster, faults: Sequence[Fault], *arguments: str) -> Fault:
    """Start a command and inject the first fault whose step starts, DELAY seconds later; return that fault.

    A lost machine is recovered afterwards.
    """
    command = (*arguments, "--yes", "-o", "json")
    members = cluster.etcd() if any(fault.host for fault in faults) else {}
    injected: list[Fault] = []

    def inject(process: subprocess.Popen[bytes]) -> None:
        injected.append(_started(faults, cluster.output("interrupted"))[0])
        injected[0].inject(cluster.name, process)

    steps = " or ".join(fault.step for fault in faults)
    try:
        code, output = cluster.interrupt_when(
            f"{steps} starts", lambda output: _started(faults, output) != [], inject, *command, delay=DELAY
        )
    finally:
        for fault in injected:
            fault.recover(cluster.name)
            if fault.host and arguments[0] != "reset":  # after which the cluster may not return
                wait_for(
                    "the cluster is as healthy as before",
                    lambda: _is_healthy(cluster, members),
                    CONDITION_TIMEOUT,
                )
    [fault] = injected
    if fault.kind == "SIGKILL":
        assert code == -signal.SIGKILL, output
        return fault
    last = _events(output)[-1]
    assert last["event"] == "error", (fault, output[-3000:])
    if fault.host:
        assert code in {1, 5}, (fault, last)
        failures = [event["message"] for event in _events(output) if event["event"] == "host-failed"]
        assert any(fault.host in message for message in (last["message"], *failures)), (fault, last, failures)
        assert last["fix"], (fault, last)
    else:
        assert code == last["exit_code"] == 130, (fault, last)
        verb = takewhile(lambda word: not word.startswith("-"), arguments)
        assert f"provision {' '.join(verb)}" in last["fix"], (fault, last)
    return fault


def _is_healthy(cluster: LabCluster, members: Mapping[str, bool]) -> bool:
    """Whether the API responds and all previously healthy etcd members are healthy or removed.

    Otherwise a change is refused.
    """
    now = cluster.etcd() if cluster.nodes() else {}
    return any(now.values()) and all(now.get(name, True) for name, healthy in members.items() if healthy)


def _started(faults: Iterable[Fault], output: str) -> list[Fault]:
    """Faults whose step has started according to the events in the output."""
    steps = set(re.findall(r'"event": "step-started".*"step": "([a-z-]+)"', output))
    return [fault for fault in faults if fault.step in steps]


def _events(output: str) -> list[dict[str, Any]]:
    """Events in the output of a run, which also contains other lines."""
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]
