"""Machines under User-Mode Linux: a Linux kernel as ordinary processes, without KVM."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from provision.errors import LabError
from provision.lab.machines.kernel import TOOLS
from provision.lab.versions import lab_versions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provision.lab.state import Machine

_CONTROL_PLANE = 3  # workers that load a processor as much as one control plane
_RESERVED = 3  # control planes that workers leave room for, as they may be added later
# Without a security module nothing is audited: journald would switch that on, at the cost of every system call.
_SELINUX, _NO_SELINUX = ("security=selinux", "selinux=1"), ("audit=0",)
_MEMORY_DIRECTORIES = (Path("/dev/shm"), Path("/var/tmp"))  # noqa: S108  the kernel unlinks the file at once


class UserModeLinux:
    """Back end for any x86-64 computer; the kernel lies beside the base image."""

    name = "uml"
    kernel = "uml"
    packages: tuple[str, ...] = TOOLS
    boot_limit = 300.0  # 4-11 s on an idle computer, many times that beside a build

    def marker(self, directory: Path) -> str:
        return f"uml_dir={directory}"

    def make_disk(self, directory: Path, base: Path) -> None:
        """Do nothing: the kernel creates the file of `ubd0=<file>,<base>` at its first start."""

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
            # The tap delivers TCP segments of up to 64 KiB. Without `gro` the driver has buffers for them only after
            # the interface's features were changed, and truncates them until then.
            f"vec0:transport=tap,ifname={machine.tap},mac={machine.mac},gro=1",
            "seccomp=auto",  # seccomp for system calls where possible, else ptrace
            "root=/dev/ubda",
            "rw",
            "con=null",
            "con0=null,fd:2",
            "net.ifnames=0",
            "systemd.ssh_auto=no",
            *(_SELINUX if lab_versions().systems[machine.system].major else _NO_SELINUX),
        )

    def check_memory(self, memory: int) -> None:
        """Raise LabError if no directory has room for memory files of that size (MiB)."""
        memory_directory(memory)

    def environment(self, machine: Machine) -> Mapping[str, str]:
        """Return the place of its memory file: a tmpfs if possible, as a disk's page cache would compete with it."""
        return {"PATH": os.environ.get("PATH", os.defpath), "TMPDIR": str(memory_directory(machine.memory))}


def processor(machine: Machine) -> int:
    """Return the least loaded processor of this computer, to which the machine is pinned.

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


def memory_directory(need: int) -> Path:
    """Return a directory with room for `need` MiB of executable memory. Raises LabError if there is none."""
    for place in _MEMORY_DIRECTORIES:
        if not place.is_dir():
            continue
        about = os.statvfs(place)
        if not about.f_flag & os.ST_NOEXEC and about.f_bavail * about.f_frsize >= need << 20:
            return place
    places = ", ".join(str(place) for place in _MEMORY_DIRECTORIES)
    fix = "free some, or mount a larger tmpfs without noexec at /dev/shm"
    raise LabError(f"no room for {need} MiB of guest memory in {places}", fix=fix)
