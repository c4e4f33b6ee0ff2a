"""Labs on disk: one directory per lab with one record of its machines, and the lock.

The record does not say what is running: that is found in /proc, so a crash between writes loses no machine.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Literal

from provision.errors import LabError
from provision.files import atomic_write
from provision.lab.versions import DEFAULT_SYSTEM, Offer, choose_offer, system_named
from provision.paths import state_root

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

Role = Literal["control-plane", "worker"]

GATEWAY = "192.168.77.1"  # the bridge, the same in every lab's network namespace
_FIRST = {"control-plane": 11, "worker": 21}
_MOST = {"control-plane": 9, "worker": 200}
_PREFIX = {"control-plane": "cp", "worker": "w"}
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,22}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine: host name, role, IPv4 address in 192.168.77.0/24, memory in MiB, system ("debian-13")."""

    name: str
    role: Role
    address: str
    memory: int
    system: str = DEFAULT_SYSTEM

    @property
    def number(self) -> int:
        """Number among the machines of its role, from 1."""
        return int(self.address.rsplit(".", 1)[1]) - _FIRST[self.role] + 1

    @property
    def tap(self) -> str:
        """Name of its network interface inside the lab's namespace (at most 15 characters)."""
        return f"tap-{self.name}"

    @property
    def mac(self) -> str:
        """Hardware address, locally administered and the same after every start."""
        return "52:54:00:77:00:{:02x}".format(int(self.address.rsplit(".", 1)[1]))


@dataclass(frozen=True, slots=True)
class Lab:
    """A lab. `bases` is system -> image below its copy-on-write disks, never changed; `offer` what its mirror has."""

    name: str
    backend: str
    bases: Mapping[str, str]
    machines: tuple[Machine, ...]
    offer: Offer = field(default_factory=lambda: choose_offer((), ()))

    @property
    def systems(self) -> tuple[str, ...]:
        """The systems of its machines, each once."""
        return tuple(dict.fromkeys(machine.system for machine in self.machines))

    def machine(self, host: str) -> Machine:
        """Return the machine with that host name. Raises LabError that names the existing ones."""
        for machine in self.machines:
            if machine.name == host:
                return machine
        names = ", ".join(machine.name for machine in self.machines)
        raise LabError(f"lab {self.name} has no host {host}", fix=f"its hosts are {names}")


@dataclass(frozen=True, slots=True)
class LabDirectory:
    """Paths of one lab. Private (0700): it holds the SSH key."""

    name: str

    @property
    def path(self) -> Path:
        return labs_root() / self.name

    @property
    def record(self) -> Path:
        return self.path / "lab.json"

    @property
    def key(self) -> Path:
        return self.path / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        return self.path / "known_hosts"

    @property
    def ssh_config(self) -> Path:
        return self.path / "ssh_config"

    @property
    def programs(self) -> Path:
        """Directory that `provision lab run` puts first on PATH."""
        return self.path / "bin"

    @property
    def cluster_file(self) -> Path:
        return self.path / "cluster.yaml"

    def machine(self, host: str) -> Path:
        """Directory of one machine's disk, seed, host key and console log."""
        return self.path / "machines" / host

    def console(self, host: str) -> Path:
        return self.machine(host) / "console.log"

    def load(self) -> Lab | None:
        """Return the recorded lab, or None without a record. Raises LabError if the record is damaged."""
        try:
            raw = json.loads(self.record.read_text())
            machines = tuple(Machine(**machine) for machine in raw.pop("machines"))
            if "base" in raw:  # of a version that knew Debian only
                raw["bases"] = {DEFAULT_SYSTEM: raw.pop("base")}
            if "offer" in raw:
                raw["offer"] = Offer(**{name: tuple(values) for name, values in raw["offer"].items()})
            return Lab(machines=machines, **raw)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            fix = f"remove the lab: provision lab down --name {self.name}"
            raise LabError(f"{self.record} is damaged: {error}", fix=fix) from error

    def save(self, lab: Lab) -> None:
        """Write the record atomically."""
        write_private(self.record, json.dumps(asdict(lab), indent=2) + "\n")


def labs_root() -> Path:
    """Return the directory of all labs, `$PROVISION_STATE/lab` or `~/.local/state/provision/lab` (XDG_STATE_HOME)."""
    return state_root() / "lab"


def lab_directory(name: str) -> LabDirectory:
    """Return the directory of the lab `name`; raises LabError for a name that cannot be part of a path."""
    if not _NAME.fullmatch(name):
        fix = "use up to 24 lower-case letters, digits and inner dashes, for example --name demo"
        raise LabError(f"{name!r} cannot be the name of a lab", fix=fix)
    return LabDirectory(name)


def load_lab(name: str) -> tuple[LabDirectory, Lab]:
    """Return the directory and the record of the lab `name`. Raises LabError if there is none."""
    directory = lab_directory(name)
    lab = directory.load()
    if lab is None:
        raise LabError(f"there is no lab {name}", fix=f"create it: provision lab up --name {name}")
    return directory, lab


def lab_names() -> tuple[str, ...]:
    """Return the names of the labs that have a directory, sorted."""
    root = labs_root()
    if not root.is_dir():
        return ()
    return tuple(sorted(entry.name for entry in root.iterdir() if entry.is_dir()))


def design_machines(
    control_planes: int,
    workers: int,
    memory: dict[Role, int],
    existing: tuple[Machine, ...] = (),
    systems: Iterable[str] = (),
) -> tuple[Machine, ...]:
    """Return machines cp1.., w1.. with the given memory (MiB) and systems; existing ones are kept as they are.

    `systems` has "SYSTEM" for all new machines and "NAME=SYSTEM" for one. Raises LabError if a count is out of range:
    1-9 control planes (0 where some exist), 0-200 workers; for unknown systems, and for machines that have another one.
    """
    usual, single = _choose_systems(systems)
    if not (0 if existing else 1) <= control_planes <= _MOST["control-plane"]:
        raise LabError(f"a lab has 1 to 9 control planes, not {control_planes}")
    if not 0 <= workers <= _MOST["worker"]:
        raise LabError(f"a lab has 0 to 200 workers, not {workers}")
    have = {machine.name: machine for machine in existing}
    counts: tuple[tuple[Role, int], ...] = (("control-plane", control_planes), ("worker", workers))
    for role, count in counts:
        for index in range(count):
            name = f"{_PREFIX[role]}{index + 1}"
            address = f"192.168.77.{_FIRST[role] + index}"
            system = single.get(name, usual)
            have.setdefault(name, Machine(name, role, address, memory[role], system))
    for name, system in single.items():
        if name not in have:
            fix = f"its machines are {', '.join(have)}; --workers adds some"
            raise LabError(f"--system {name}={system}: the lab has no machine {name}", fix=fix)
        if have[name].system != system:
            fix = "give the system to a new machine, or take the lab down first"
            raise LabError(f"{name} is there and runs {have[name].system}, not {system}", fix=fix)
    return tuple(sorted(have.values(), key=lambda machine: int(machine.address.rsplit(".", 1)[1])))


def _choose_systems(asked: Iterable[str]) -> tuple[str, dict[str, str]]:
    """`rocky-9`, `w1=rocky-10` -> the system of all new machines, and those of single ones by name."""
    words = [word.rpartition("=") for word in asked]
    usual = [system_named(system) for name, _, system in words if not name]
    return [DEFAULT_SYSTEM, *usual][-1], {name: system_named(system) for name, _, system in words if name}


def write_private(path: Path, text: str) -> None:
    """Write `text` to `path` (0600) atomically; its directory is created (0700) if missing."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    atomic_write(path, text.encode())


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the lab's lock, which ends with this process. Raises LabError at once if another process holds it."""
    root = labs_root()
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = root / f".{name}.lock"
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _take(descriptor, name)
            if not _is_current(descriptor, path):
                continue  # the previous holder has removed the file: lock the new one
            os.ftruncate(descriptor, 0)
            os.write(descriptor, str(os.getpid()).encode())
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return
        finally:
            os.close(descriptor)


def _take(descriptor: int, name: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 32, 0).decode() or "unknown"
        fix = "wait until it is done, or stop it and repeat the command"
        raise LabError(f"process {holder} is changing lab {name}", fix=fix) from error


def _is_current(descriptor: int, path: Path) -> bool:
    try:
        current = path.stat()
    except FileNotFoundError:
        return False
    opened = os.fstat(descriptor)
    return (current.st_dev, current.st_ino) == (opened.st_dev, opened.st_ino)
