"""Everything that runs in pods, ended: the kubelet must be stopped before, the runtime need not run."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ansible.module_utils.provision_host import Changes, HostError, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_GRACE = 5  # seconds for processes to end after SIGTERM
_GONE = 20  # seconds for killed ones to be gone
_SHIM = "containerd-shim"
_NAMESPACE = "-namespace\0k8s.io\0"  # of the shims of the CRI plugin; Docker's have another


def stop_pods(
    changes: Changes,
    *,
    root: Path = Path("/"),
    kill: Callable[[int, int], None] = os.kill,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """End the processes of pods, in order first, then the shims that watch over them."""
    pods, shims = list(pod_processes(root)), list(shim_processes(root))
    if not pods and not shims:
        return

    def effect() -> None:
        _signal(pods, signal.SIGTERM, kill)
        _wait(lambda: list(pod_processes(root)), _GRACE, pause)
        _end(lambda: list(pod_processes(root)), kill, pause)
        _end(lambda: list(shim_processes(root)), kill, pause)

    changes.make(f"ended {len(pods)} processes of pods", effect)


def pod_processes(root: Path) -> Iterator[int]:
    """Processes in a cgroup of the kubelet's, zombies left out."""
    for process in (root / "proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            if "kubepods" in (process / "cgroup").read_text() and not _is_zombie(process):
                yield int(process.name)


def shim_processes(root: Path) -> Iterator[int]:
    for process in (root / "proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (process / "cmdline").read_text(errors="replace")
            if Path(line.partition("\0")[0]).name.startswith(_SHIM) and _NAMESPACE in line + "\0":
                yield int(process.name)


def _is_zombie(process: Path) -> bool:
    return (read(process / "stat") or "").rpartition(")")[2].split()[:1] == ["Z"]


def _signal(processes: list[int], number: signal.Signals, kill: Callable[[int, int], None]) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            kill(process, number)


def _end(
    find: Callable[[], list[int]], kill: Callable[[int, int], None], pause: Callable[[float], None]
) -> None:
    """Kill what is found until nothing is: a process that forks may have a child by then."""
    deadline = time.monotonic() + _GONE
    while left := find():
        if time.monotonic() > deadline:
            raise HostError(
                f"processes of pods cannot be killed: {', '.join(map(str, left))}: they wait for a disk or a "
                "file server; reboot the host, then repeat the reset"
            )
        _signal(left, signal.SIGKILL, kill)
        pause(0.1)


def _wait(find: Callable[[], list[int]], seconds: float, pause: Callable[[float], None]) -> None:
    deadline = time.monotonic() + seconds
    while find() and time.monotonic() < deadline:
        pause(0.1)
