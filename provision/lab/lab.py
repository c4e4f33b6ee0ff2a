"""Operations of `provision lab`. Every effect is idempotent, so `up` after a crash continues."""

from __future__ import annotations

import os
import platform
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from provision.errors import LabError
from provision.lab import balancer, machines, mirror, network, processes
from provision.lab.binaries import build_binaries
from provision.lab.cache import cache_root
from provision.lab.cluster_file import render_cluster_file, write_cluster_file
from provision.lab.identity import ensure_identity, read_host_key
from provision.lab.machines import disk
from provision.lab.machines.backends import MINIMUM_FREE, Backend, backend_named, choose_backend
from provision.lab.state import (
    GATEWAY,
    Lab,
    LabDirectory,
    Machine,
    Role,
    design_machines,
    lab_directory,
    lab_names,
    locked,
)
from provision.lab.toolchain import require_packages
from provision.lab.versions import choose_offer

if TYPE_CHECKING:
    from provision.lab.cache import Progress

MEMORY: dict[Role, int] = {"control-plane": 3072, "worker": 2048}  # MiB
_TOOLS = ("iproute2", "openssh-client", "util-linux", "procps")  # Debian packages of this computer


@dataclass(frozen=True, slots=True)
class LabRequest:
    """Arguments of `up`. Without counts a new lab gets one machine of each role, and an existing one is kept.

    `memory` is in MiB, for each new machine. `kubernetes` (minors or full versions) and `runtimes` are added to what
    the lab offers; the first of each is in a new lab's cluster file. `systems` are "SYSTEM" or "NAME=SYSTEM".
    """

    name: str = "demo"
    control_planes: int | None = None
    workers: int | None = None
    memory: int | None = None
    backend: str | None = None
    file: Path | None = None
    kubernetes: tuple[str, ...] = ()
    runtimes: tuple[str, ...] = ()
    systems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MachineStatus:
    """One machine of a lab; memory in MiB."""

    name: str
    role: str
    address: str
    memory: int
    running: bool
    system: str


@dataclass(frozen=True, slots=True)
class LabStatus:
    """One lab; without machines if its `up` was interrupted before they were recorded."""

    name: str
    backend: str
    machines: tuple[MachineStatus, ...]
    cluster_file: str


def up(request: LabRequest, progress: Progress) -> tuple[str, ...]:
    """Create or complete the lab and wait until every machine accepts SSH logins.

    Returns one line per cluster file that says what was done. Raises LabError and ToolError.
    """
    require_root()
    directory = lab_directory(request.name)
    _check_paths(directory)
    with locked(request.name):
        if not directory.path.exists():
            network.refuse_name_conflict(request.name)
        lab, content = _design(directory, request, progress)
        _check_memory(directory, lab)
        directory.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        directory.save(lab)
        ensure_identity(directory, lab)
        network.ensure(lab.name, lab.machines)
        mirror.start(content, directory.path, network.enter_command(lab.name))
        _link_programs(directory, lab, progress)
        started = machines.start_all(directory, lab)
        _ensure_balancer(directory, lab)
        progress(f"booting {', '.join(started)}" if started else "all machines run already")
        machines.wait_until_reachable(lab.name, [machine.name for machine in lab.machines])
        return _write_files(directory, lab, request, content)


def down(name: str) -> bool:
    """Stop and remove everything of the lab, complete or not. Returns whether it existed. Raises LabError."""
    require_root()
    directory = lab_directory(name)
    with locked(name):
        there = directory.path.exists() or network.exists(name)
        if not directory.path.exists():
            network.refuse_name_conflict(name)
        machines.stop_all(directory)
        for process in processes.find(balancer.marker(directory.record)):
            processes.stop(process)
        mirror.stop(directory.path)
        network.remove(name)
        if directory.path.exists():
            shutil.rmtree(directory.path)
    return there


def status() -> tuple[LabStatus, ...]:
    """Return every lab with its machines."""
    return tuple(_status_of(lab_directory(name)) for name in lab_names())


def require_root() -> None:
    """Raise LabError unless this is Linux on x86-64 and the user is root, who may create network namespaces."""
    system, processor = platform.system(), platform.machine()
    if (system, processor) != ("Linux", "x86_64"):
        fix = "use a computer with Linux on x86-64, or list other machines in a cluster file"
        raise LabError(f"the lab needs Linux on x86-64, this is {system} on {processor}", fix=fix)
    if os.geteuid() != 0:
        raise LabError("the lab needs root to create network namespaces", fix="run the command with sudo")


def _check_paths(directory: LabDirectory) -> None:
    """Refuse characters that kernel command lines and disk options cannot hold."""
    for path, variable in ((directory.path, "PROVISION_STATE"), (cache_root(), "PROVISION_CACHE")):
        if re.search(r"[\s,:\"']", str(path)):
            fix = f"set {variable} to a directory without them"
            raise LabError(f"{path} has a space, a comma, a colon or a quote in its name", fix=fix)


def _design(directory: LabDirectory, request: LabRequest, progress: Progress) -> tuple[Lab, mirror.Mirror]:
    """Return the existing lab with the requested machines added, or a new one with its base image; and its mirror."""
    present = directory.load()
    if present is not None and request.backend not in {None, present.backend}:
        fix = f"take it down first: provision lab down --name {request.name}"
        raise LabError(f"lab {request.name} runs on {present.backend}, not on {request.backend}", fix=fix)
    existing = present.machines if present else ()
    memory: dict[Role, int] = {role: request.memory or usual for role, usual in MEMORY.items()}
    least = 0 if present else 1
    control_planes = request.control_planes if request.control_planes is not None else least
    workers = request.workers if request.workers is not None else least
    wanted = design_machines(control_planes, workers, memory, existing, request.systems)
    asked = dict.fromkeys(machine.system for machine in wanted)
    offer = choose_offer(request.kubernetes, request.runtimes, present.offer if present else None, asked)
    chosen = request.backend or (present.backend if present else None)
    backend = backend_named(chosen) if chosen else choose_backend(offer)
    lab = Lab(request.name, backend.name, present.bases if present else {}, wanted, offer)
    _check_memory(directory, lab)  # before the build, which takes minutes
    bases, content = _build(backend, lab, progress)
    return replace(lab, bases=bases), content


def _build(backend: Backend, lab: Lab, progress: Progress) -> tuple[dict[str, str], mirror.Mirror]:
    """Build missing images and the mirror side by side: one mostly downloads, the other compiles."""
    missing = [system for system in lab.systems if system not in lab.bases]
    if missing:
        require_packages((*_TOOLS, *backend.packages, *disk.TOOLS, *mirror.TOOLS), progress)

    def build_images() -> dict[str, str]:
        return {one: str(disk.build_base_image(one, backend.kernel, progress)) for one in missing}

    with ThreadPoolExecutor(1) as beside:
        images = beside.submit(build_images)
        content = mirror.build(lab.offer, progress)
        return {**lab.bases, **images.result()}, content


def _check_memory(directory: LabDirectory, lab: Lab) -> None:
    """Raise LabError before anything boots if the memory is not enough: machines would fail in unclear ways."""
    off = [machine for machine in lab.machines if not machines.is_running(directory, lab, machine)]
    need = sum(machine.memory for machine in off)
    free = available_memory()
    if off and need + MINIMUM_FREE > free:
        fix = "ask for fewer machines or a smaller --memory, or take down another lab (provision lab status)"
        raise LabError(f"{len(off)} machines need {need} MiB of memory, {free} MiB are free", fix=fix)
    backend_named(lab.backend).check_memory(need)


def available_memory() -> int:
    """Return the available memory in MiB."""
    lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    return int(lines["MemAvailable"].split()[0]) // 1024


def _control_planes(lab: Lab) -> tuple[Machine, ...]:
    return tuple(machine for machine in lab.machines if machine.role == "control-plane")


def _link_programs(directory: LabDirectory, lab: Lab, progress: Progress) -> None:
    """Link kubectl into the directory that `provision lab run` adds to PATH."""
    directory.programs.mkdir(exist_ok=True)
    link = directory.programs / ".kubectl"
    link.unlink(missing_ok=True)
    link.symlink_to(build_binaries(f"kubernetes-{lab.offer.minors[0]}", progress) / "kubectl")
    link.replace(directory.programs / "kubectl")


def _ensure_balancer(directory: LabDirectory, lab: Lab) -> None:
    """Start the balancer if it is needed: a single control plane is its own endpoint."""
    if len(_control_planes(lab)) == 1 or processes.find(balancer.marker(directory.record)):
        return
    argv = (*network.enter_command(lab.name), *balancer.command(directory.record))
    processes.spawn(argv, log=directory.path / "balancer.log", environment=os.environ)


def _write_files(
    directory: LabDirectory, lab: Lab, request: LabRequest, content: mirror.Mirror
) -> tuple[str, ...]:
    endpoint = f"{GATEWAY}:{balancer.PORT}" if len(_control_planes(lab)) > 1 else None
    text = render_cluster_file(directory, lab, content.fingerprint, endpoint, content.digests)
    keys = tuple(read_host_key(directory, machine) for machine in lab.machines)
    paths = [directory.cluster_file] if request.file is None else [directory.cluster_file, request.file]
    return tuple(write_cluster_file(path, text, keys) for path in paths)


def _status_of(directory: LabDirectory) -> LabStatus:
    lab = directory.load()
    if lab is None:
        return LabStatus(directory.name, "", (), "")
    rows = tuple(
        MachineStatus(
            one.name, one.role, one.address, one.memory, machines.is_running(directory, lab, one), one.system
        )
        for one in lab.machines
    )
    return LabStatus(lab.name, lab.backend, rows, str(directory.cluster_file))
