"""Reads from hosts over SSH: programs run as root, files. Changing hosts is Ansible's work.

Every host at once, every connection bounded, host keys always checked: the key pinned in the file alone
counts, or else known_hosts. What goes wrong comes back as a finding per host, not as the first exception.
"""

from __future__ import annotations

import logging
import math
import queue
import time
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from provision.errors import UnreachableError
from provision.ssh import findings as unreachable
from provision.ssh.command import Answer, Program, Stage, look_in
from provision.ssh.connections import Secrets, Ways, start
from provision.ssh.session import Session, session

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from provision.model.cluster import Cluster, Host
    from provision.model.plan import Finding

__all__ = [
    "CONNECT_SECONDS",
    "Answer",
    "Program",
    "Secrets",
    "Session",
    "fetch_file",
    "run_as_root",
    "session",
]

CONNECT_SECONDS = 10.0
_AT_ONCE = 256  # threads, one per host; most of them wait


def run_as_root(
    cluster: Cluster,
    hosts: Sequence[Host],
    program: Program,
    *,
    secrets: Secrets,
    seconds: float = 30.0,
    connect_seconds: float = CONNECT_SECONDS,
) -> Iterator[tuple[Host, Answer | Finding]]:
    """Run a program on every host at once; yields each host's answer, or the finding why there is none, as it comes.

    At most `connect_seconds` to log in and `seconds` to run. Raises UnreachableError if the key file or the
    bastion is of no use, for then no host can be reached.
    """
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # it would print tracebacks of what we report
    ways = Ways(cluster, secrets, connect_seconds)
    try:
        yield from _visit_all(ways, hosts, program, seconds)
    finally:
        ways.close()


def fetch_file(cluster: Cluster, host: Host, path: str, *, secrets: Secrets) -> bytes:
    """The content of a file that only root may read.

    Raises UnreachableError if the host cannot be reached or has no such file.
    """
    mark = "--- provision file ---"
    argv = ("/bin/sh", "-c", 'printf "%s\\n" "$1"; cat -- "$2" && printf "\\n%s\\n" "$1"', "sh", mark, path)
    ((_, result),) = run_as_root(cluster, [host], Program(argv), secrets=secrets)
    if not isinstance(result, Answer):
        raise UnreachableError(
            f"{path} cannot be read from {host.name}: {result.message}", fix=result.fix, findings=(result,)
        )
    # A login shell may have printed a greeting before it.
    _, begin, rest = result.out.partition(f"{mark}\n".encode())
    content, end, _ = rest.rpartition(f"\n{mark}\n".encode())
    if not begin or not end:
        raise UnreachableError(f"{host.name}: {path} came back incomplete", fix="try again")
    return content


@dataclass(frozen=True, slots=True)
class _Visit:
    host: Host
    end: float  # when it is given up, by the monotonic clock
    stage: Stage = Stage.CONNECTING


def _visit_all(
    ways: Ways, hosts: Sequence[Host], program: Program, seconds: float
) -> Iterator[tuple[Host, Answer | Finding]]:
    waiting = deque(hosts)
    running: dict[str, _Visit] = {}
    news: queue.SimpleQueue[tuple[Host, Answer | Finding | Stage]] = queue.SimpleQueue()
    limits = {Stage.WAITING: math.inf, Stage.LOGGING_IN: ways.seconds, Stage.RUNNING: seconds}
    while waiting or running:
        while waiting and len(running) < _AT_ONCE:
            host = waiting.popleft()
            running[host.name] = _Visit(host, time.monotonic() + ways.seconds)
            start(partial(look_in, ways, host, program, seconds, news.put))
        try:
            host, result = news.get(timeout=_until_next_end(running))
        except queue.Empty:
            yield from _overdue(running, ways, seconds)
            continue
        if host.name not in running:
            continue  # it answered after it was given up
        if isinstance(result, Stage):
            running[host.name] = _Visit(host, time.monotonic() + limits[result], result)
        else:
            del running[host.name]
            yield host, result


def _until_next_end(running: dict[str, _Visit]) -> float | None:
    """Seconds until the next visit is over its time; None if all of them wait for their turn."""
    end = min(visit.end for visit in running.values())
    return None if math.isinf(end) else max(0.0, end - time.monotonic())


def _overdue(running: dict[str, _Visit], ways: Ways, seconds: float) -> Iterator[tuple[Host, Finding]]:
    """Give up the visits that are over their time."""
    now = time.monotonic()
    for visit in [visit for visit in running.values() if visit.end <= now]:
        host = visit.host
        del running[host.name]
        if visit.stage is Stage.RUNNING:
            yield host, unreachable.too_slow(host.name, seconds)
        else:
            yield host, unreachable.no_answer(host.name, f"{host.address}:{host.port}", ways.seconds)
