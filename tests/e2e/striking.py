"""Commands struck in the middle of a step: by a signal, or because a machine loses its power or its network."""

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

from .rig import SEEN_LIMIT, Rig, wait_for

SIGNALS = ("SIGKILL", "SIGINT", "SIGTERM")
INTO = 1.5  # seconds from the beginning of a step to the blow: it has begun to change something


@dataclass(frozen=True)
class Blow:
    """What happens in the middle of a step: a signal to the run, or `host` loses its "plug" or its "cable"."""

    step: str
    how: str
    host: str = ""

    def strike(self, lab: str, process: subprocess.Popen[bytes]) -> None:
        if self.how == "plug":
            machines.power_off(lab, self.host)
        elif self.how == "cable":
            machines.disconnect(lab, self.host)
        else:
            os.killpg(process.pid, signal.Signals[self.how])

    def mend(self, lab: str) -> None:
        if self.host:
            (machines.power_on if self.how == "plug" else machines.connect)(lab, self.host)
            machines.wait_until_reachable(lab, [self.host])

    def __str__(self) -> str:
        return f"{self.host + ' ' if self.host else ''}{self.how} in {self.step}"


def signals(steps: Iterable[str], first: str) -> list[Blow]:
    """A signal at each step: one after the other, beginning with `first`."""
    hows = islice(cycle(SIGNALS), SIGNALS.index(first), None)
    return [Blow(step, how) for step, how in zip(steps, hows, strict=False)]


def struck_in_turn(rig: Rig, blows: Sequence[Blow], *arguments: str) -> None:
    """Type a command again and again: it is struck at one step after the other, and in the end by nothing.

    What it says each time has to be to the point. A step is left out where nothing is left to do of it: what runs on
    a host outlives the run that was killed.
    """
    left = list(blows)
    landed = []
    while left:
        blow = struck(rig, left, *arguments)
        landed.append(blow)
        left = left[left.index(blow) + 1 :]
    assert landed[-1] == blows[-1]
    assert len(landed) > len(blows) / 2, f"only {', '.join(map(str, landed))}"
    done = rig.provision(*arguments, "--yes")
    assert done.returncode == 0, done.stdout + done.stderr


def struck(rig: Rig, blows: Sequence[Blow], *arguments: str) -> Blow:
    """Start a command and strike a moment after the first of the blows' steps has begun; returns that blow.

    A machine that was lost is there again afterwards.
    """
    words = (*arguments, "--yes", "-o", "json")
    well = rig.etcd() if any(blow.host for blow in blows) else {}
    landed: list[Blow] = []

    def strike(process: subprocess.Popen[bytes]) -> None:
        landed.append(_begun(blows, rig.said("struck"))[0])
        landed[0].strike(rig.name, process)

    steps = " or ".join(blow.step for blow in blows)
    try:
        code, said = rig.struck_when(
            f"{steps} begins", lambda said: _begun(blows, said) != [], strike, *words, later=INTO
        )
    finally:
        for blow in landed:
            blow.mend(rig.name)
            if blow.host and arguments[0] != "reset":  # of which a cluster may not come back
                wait_for("the cluster is as well as before", lambda: _are_well(rig, well), SEEN_LIMIT)
    [blow] = landed
    if blow.how == "SIGKILL":
        assert code == -signal.SIGKILL, said
        return blow
    last = _events(said)[-1]
    assert last["event"] == "error", (blow, said[-3000:])
    if blow.host:
        assert code in {1, 5}, (blow, last)
        failures = [event["message"] for event in _events(said) if event["event"] == "host-failed"]
        assert any(blow.host in words for words in (last["message"], *failures)), (blow, last, failures)
        assert last["fix"], (blow, last)
    else:
        assert code == last["exit_code"] == 130, (blow, last)
        verb = takewhile(lambda word: not word.startswith("-"), arguments)
        assert f"provision {' '.join(verb)}" in last["fix"], (blow, last)
    return blow


def _are_well(rig: Rig, members: Mapping[str, bool]) -> bool:
    """Whether the cluster answers, and etcd's members are healthy again, or have left: else a change is refused."""
    now = rig.etcd() if rig.nodes() else {}
    return any(now.values()) and all(now.get(name, True) for name, healthy in members.items() if healthy)


def _begun(blows: Iterable[Blow], said: str) -> list[Blow]:
    """Those blows whose step a run has begun that tells its events."""
    steps = set(re.findall(r'"event": "step-started".*"step": "([a-z-]+)"', said))
    return [blow for blow in blows if blow.step in steps]


def _events(said: str) -> list[dict[str, Any]]:
    """A run's events; lines for people stand beside them."""
    return [json.loads(line) for line in said.splitlines() if line.startswith("{")]
