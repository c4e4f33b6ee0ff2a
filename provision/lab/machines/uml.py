"""Machines as ordinary processes: User-Mode Linux, a real kernel at this CPU's speed that needs no KVM."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from provision.errors import LabError
from provision.lab.machines.kernel import TOOLS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provision.lab.state import Machine

_CONTROL_PLANE = 3  # workers that keep a processor as busy as one control plane does
_RESERVED = 3  # control planes that workers leave room for: a lab may get them later
_MEMORY_PLACES = (Path("/dev/shm"), Path("/var/tmp"))  # noqa: S108  the kernel unlinks the file at once


class UserModeLinux:
    """The back end that works wherever there is a processor like this one; its kernel lies beside the base image."""

    name = "uml"
    kernel = "uml"
    packages: tuple[str, ...] = TOOLS
    boot_limit = 300.0  # 4-11 s are usual on an idle computer, many times that beside a build

    def marker(self, directory: Path) -> str:
        return f"uml_dir={directory}"

    def make_disk(self, directory: Path, base: Path) -> None:
        """Nothing to do: the kernel itself makes the file of `ubd0=<file>,<base>` at its first start."""

    def command(self, machine: Machine, directory: Path, base: Path) -> tuple[str, ...]:
        return (
            "taskset",
            "--cpu-list",
            str(processor(machine)),
            str(base.with_name("linux")),
            self.marker(directory),
            f"umid={machine.name}",
            f"mem={machine.memory}M",
            f"ubd0={directory / 'disk.cow'},{base}",
            f"ubd1r={directory / 'seed.tar'}",
            # The tap hands over TCP segments of up to 64 KiB: without `gro` there is room for them only once
            # something has changed the card's features, and until then all but their beginnings are lost.
            f"vec0:transport=tap,ifname={machine.tap},mac={machine.mac},gro=1",
            "seccomp=auto",  # programs that hand over their system calls where they can, traced ones elsewhere
            "root=/dev/ubda",
            "rw",
            "con=null",
            "con0=null,fd:2",
            "net.ifnames=0",
            "systemd.ssh_auto=no",
        )

    def check_room(self, memory: int) -> None:
        """Raise LabError where no directory takes memory files of that size (MiB)."""
        memory_place(memory)

    def environment(self, machine: Machine) -> Mapping[str, str]:
        """Return where its memory file lies, best in memory: on a disk, the page cache would fight it."""
        return {"PATH": os.environ.get("PATH", os.defpath), "TMPDIR": str(memory_place(machine.memory))}


def processor(machine: Machine) -> int:
    """The processor of this computer that a machine stays on: the one that has the least to do.

    The guest kernel and its programs are processes that wait for each other at every system call and page fault.
    Woken on another, sleeping processor each of them answers late: measured on 2 cores, a system call takes 54 us
    instead of 8, a page fault 81 instead of 20, a fork 18 ms instead of 9, fork and exec 6.6 instead of 2.4.
    """
    load = dict.fromkeys(sorted(os.sched_getaffinity(0)), 0)
    chosen = min(load)
    is_worker = machine.role == "worker"
    control_planes, workers = (_RESERVED, machine.number) if is_worker else (machine.number, 0)
    for weight in [_CONTROL_PLANE] * control_planes + [1] * workers:
        chosen = min(load, key=lambda one: load[one])
        load[chosen] += weight
    return chosen


def memory_place(need: int) -> Path:
    """Return a directory with room for `need` MiB of executable memory. Raises LabError if there is none."""
    for place in _MEMORY_PLACES:
        if not place.is_dir():
            continue
        about = os.statvfs(place)
        if not about.f_flag & os.ST_NOEXEC and about.f_bavail * about.f_frsize >= need << 20:
            return place
    places = ", ".join(str(place) for place in _MEMORY_PLACES)
    fix = "free some, or mount a larger tmpfs without noexec at /dev/shm"
    raise LabError(f"no room for {need} MiB of guest memory in {places}", fix=fix)
