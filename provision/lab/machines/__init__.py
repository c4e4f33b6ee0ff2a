"""Machines of a lab: start, find and stop single ones, and wait until they accept SSH logins."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from provision.errors import LabError
from provision.lab import network, processes
from provision.lab.machines.backends import all_backends
from provision.lab.state import Lab, LabDirectory, Machine, load_lab

if TYPE_CHECKING:
    from collections.abc import Sequence

_LAST_LINES = 12
_POLL = 0.2  # seconds


def power_on(name: str, host: str) -> None:
    """Start one machine of lab `name` if it is off, without waiting for its boot. Raises LabError."""
    directory, lab = load_lab(name)
    _start(directory, lab, lab.machine(host))


def power_off(name: str, host: str) -> None:
    """Cut the power of one machine: nothing is written back. No effect if it is off. Raises LabError."""
    directory, lab = load_lab(name)
    _stop(directory.machine(lab.machine(host).name))


def disconnect(name: str, host: str) -> None:
    """Disconnect one machine from the network while it runs on. Idempotent. Raises LabError."""
    _, lab = load_lab(name)
    network.set_link(name, lab.machine(host), connected=False)


def connect(name: str, host: str) -> None:
    """Connect one machine to the network again. Idempotent. Raises LabError."""
    _, lab = load_lab(name)
    network.set_link(name, lab.machine(host), connected=True)


def wait_until_reachable(name: str, hosts: Sequence[str]) -> None:
    """Return when every host accepts the SSH login of the lab's user.

    Raises LabError after the back end's limit, or at once if a machine stops, with its console's last lines.
    """
    directory, lab = load_lab(name)
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
    found = processes.find(all_backends()[lab.backend].marker(directory.machine(machine.name)))
    return any(process.is_leader for process in found)


def start_all(directory: LabDirectory, lab: Lab) -> tuple[str, ...]:
    """Start all machines that are off at once and return their names. Raises LabError."""
    off = [machine for machine in lab.machines if not is_running(directory, lab, machine)]
    for machine in off:
        _start(directory, lab, machine)
    return tuple(machine.name for machine in off)


def stop_all(directory: LabDirectory) -> None:
    """Stop every machine that has a directory, also those that are not recorded. Raises LabError."""
    place = directory.path / "machines"
    for one in sorted(place.iterdir()) if place.is_dir() else ():
        _stop(one)


def ssh_command(directory: LabDirectory, host: str, command: Sequence[str] = ()) -> tuple[str, ...]:
    """Return OpenSSH's command line for `host` inside the lab's network; it accepts pinned host keys only."""
    return (*network.enter_command(directory.name), "ssh", "-F", str(directory.ssh_config), host, *command)


def _start(directory: LabDirectory, lab: Lab, machine: Machine) -> None:
    if is_running(directory, lab, machine):
        return
    backend, place, base = (
        all_backends()[lab.backend],
        directory.machine(machine.name),
        Path(lab.bases[machine.system]),
    )
    if not base.exists():
        fix = f"recreate the lab: provision lab down --name {lab.name}"
        raise LabError(f"{machine.name}: the image under its disk is gone: {base}", fix=fix)
    _stop(place)  # children of a killed main process would write to the same disk
    backend.make_disk(place, base)
    argv = (*network.enter_command(lab.name), *backend.command(machine, place, base))
    processes.spawn(argv, log=directory.console(machine.name), environment=backend.environment(machine))


def _stop(place: Path) -> None:
    """Stop every process of the machine with that directory, of any back end."""
    for backend in all_backends().values():
        for process in processes.find(backend.marker(place)):
            processes.stop(process)


def _probe(directory: LabDirectory, host: str) -> subprocess.Popen[str]:
    argv = ssh_command(directory, host, ("true",))
    return subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def _reason(probe: subprocess.Popen[str]) -> str:
    """End the probe and return the last line of its output."""
    probe.kill()
    lines = probe.communicate()[1].strip().splitlines()
    return lines[-1] if lines else "no answer"


def _check_waiting(directory: LabDirectory, lab: Lab, machine: Machine, reason: str, late: bool) -> None:  # noqa: FBT001
    """Raise LabError if the machine has stopped or is too late."""
    if not is_running(directory, lab, machine):
        raise LabError(f"{machine.name} stopped while it booted", detail=_console(directory, machine))
    if late:
        message = f"{machine.name} runs, but SSH login fails: {reason}"
        fix = f"read {directory.console(machine.name)}"
        raise LabError(message, fix=fix, detail=_console(directory, machine))


def _console(directory: LabDirectory, machine: Machine) -> tuple[str, ...]:
    try:
        text = directory.console(machine.name).read_text(errors="replace")
    except FileNotFoundError:
        return ()
    return tuple(text.strip().splitlines()[-_LAST_LINES:])
