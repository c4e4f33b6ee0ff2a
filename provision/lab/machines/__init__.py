"""Starting, finding and stopping single machines of a lab, and waiting until they let us in."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from provision.errors import LabError
from provision.lab import network, processes
from provision.lab.machines.backends import all_backends
from provision.lab.state import Lab, LabDirectory, Machine, lab_directory

if TYPE_CHECKING:
    from collections.abc import Sequence

_LAST_LINES = 12
_POLL = 0.2  # seconds


def power_on(name: str, host: str) -> None:
    """Start one machine of lab `name` if it is off; returns at once. Raises LabError."""
    directory, lab = known_lab(name)
    _start(directory, lab, lab.machine(host))


def power_off(name: str, host: str) -> None:
    """Pull the plug of one machine: nothing is written back. Harmless if it is off. Raises LabError."""
    directory, lab = known_lab(name)
    _stop(directory.machine(lab.machine(host).name))


def disconnect(name: str, host: str) -> None:
    """Pull the network cable of one machine, which goes on. Harmless if it was pulled. Raises LabError."""
    _, lab = known_lab(name)
    network.plug(name, lab.machine(host), connected=False)


def connect(name: str, host: str) -> None:
    """Put the cable back. Harmless if it is in. Raises LabError."""
    _, lab = known_lab(name)
    network.plug(name, lab.machine(host), connected=True)


def wait_until_reachable(name: str, hosts: Sequence[str]) -> None:
    """Return once every host lets the lab's user in over SSH.

    Raises LabError after the back end's limit, or at once if a machine stops, with its console's last lines.
    """
    directory, lab = known_lab(name)
    deadline = time.monotonic() + all_backends()[lab.backend].boot_limit
    probes = {host: _probe(directory, host) for host in hosts}
    try:
        while probes:
            time.sleep(_POLL)
            for host, probe in tuple(probes.items()):
                if probe.poll() == 0:
                    probes.pop(host).communicate()
                elif probe.returncode is not None or time.monotonic() > deadline:
                    reason = _reason(probes.pop(host))
                    _check_waiting(directory, lab, lab.machine(host), reason, time.monotonic() > deadline)
                    probes[host] = _probe(directory, host)
    finally:
        for probe in probes.values():
            _reason(probe)


def is_running(directory: LabDirectory, lab: Lab, machine: Machine) -> bool:
    """Whether the machine's process runs; it may still be booting."""
    found = processes.having(all_backends()[lab.backend].marker(directory.machine(machine.name)))
    return any(process.leads for process in found)


def start_all(directory: LabDirectory, lab: Lab) -> tuple[str, ...]:
    """Start the machines that are off, all at once; returns their names. Raises LabError."""
    off = [machine for machine in lab.machines if not is_running(directory, lab, machine)]
    for machine in off:
        _start(directory, lab, machine)
    return tuple(machine.name for machine in off)


def stop_all(directory: LabDirectory) -> None:
    """Stop every machine that has a directory, also one that the record does not know. Raises LabError."""
    place = directory.path / "machines"
    for one in sorted(place.iterdir()) if place.is_dir() else ():
        _stop(one)


def ssh_command(directory: LabDirectory, host: str, command: Sequence[str] = ()) -> tuple[str, ...]:
    """OpenSSH's command line for `host`, inside the lab's network; only pinned keys are accepted."""
    return (*network.entering(directory.name), "ssh", "-F", str(directory.ssh_config), host, *command)


def known_lab(name: str) -> tuple[LabDirectory, Lab]:
    """Return the lab of that name; raises LabError if there is none."""
    directory = lab_directory(name)
    lab = directory.load()
    if lab is None:
        raise LabError(f"there is no lab {name}", fix=f"make it: provision lab up --name {name}")
    return directory, lab


def _start(directory: LabDirectory, lab: Lab, machine: Machine) -> None:
    if is_running(directory, lab, machine):
        return
    backend, place, base = all_backends()[lab.backend], directory.machine(machine.name), Path(lab.base)
    if not base.exists():
        fix = f"make the lab anew: provision lab down --name {lab.name}"
        raise LabError(f"{machine.name}: the image under its disk is gone: {base}", fix=fix)
    _stop(place)  # what is left of one whose main process was killed would write to the same disk
    backend.make_disk(place, base)
    argv = (*network.entering(lab.name), *backend.command(machine, place, base))
    processes.spawn(argv, log=directory.console(machine.name), environment=backend.environment(machine))


def _stop(place: Path) -> None:
    """Stop whatever runs the machine of that directory, by whichever back end."""
    for backend in all_backends().values():
        for process in processes.having(backend.marker(place)):
            processes.stop(process)


def _probe(directory: LabDirectory, host: str) -> subprocess.Popen[str]:
    argv = ssh_command(directory, host, ("true",))
    return subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def _reason(probe: subprocess.Popen[str]) -> str:
    """End the probe and return the last line of what it said."""
    probe.kill()
    said = probe.communicate()[1].strip().splitlines()
    return said[-1] if said else "no answer"


def _check_waiting(directory: LabDirectory, lab: Lab, machine: Machine, reason: str, late: bool) -> None:  # noqa: FBT001
    """Raise LabError if waiting for this machine makes no sense any more."""
    if not is_running(directory, lab, machine):
        raise LabError(f"{machine.name} stopped while it booted", detail=_console(directory, machine))
    if late:
        message = f"{machine.name} runs, but SSH does not let us in: {reason}"
        fix = f"read {directory.console(machine.name)}"
        raise LabError(message, fix=fix, detail=_console(directory, machine))


def _console(directory: LabDirectory, machine: Machine) -> tuple[str, ...]:
    try:
        text = directory.console(machine.name).read_text(errors="replace")
    except FileNotFoundError:
        return ()
    return tuple(text.strip().splitlines()[-_LAST_LINES:])
