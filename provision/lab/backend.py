"""How a machine is run: what User-Mode Linux and QEMU have in common, and which of the two to take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from provision.lab.state import Machine

MINIMUM_FREE = 512  # MiB left to the computer itself beside all machines


class Backend(Protocol):
    """Turns a machine into a command. Holds no state: what it needs is passed in or lies in `directory`.

    `packages` are the Debian packages that it needs here. `kernel` is the guest's: "uml" or "linux".
    `boot_limit` in seconds is long after a machine should have let us in.
    """

    name: str
    kernel: str
    packages: tuple[str, ...]
    boot_limit: float

    def marker(self, directory: Path) -> str:
        """Return the argument of the machine's command line by which it is found again."""
        ...

    def make_disk(self, directory: Path, base: Path) -> None:
        """Make the copy-on-write disk over `base` if it is missing. Raises LabError."""
        ...

    def command(self, machine: Machine, directory: Path, base: Path) -> tuple[str, ...]:
        """Return the program and arguments that run the machine until it is powered off."""
        ...

    def check_room(self, memory: int) -> None:
        """Raise LabError where the memory (MiB) of machines that start together has no place."""
        ...

    def environment(self, machine: Machine) -> Mapping[str, str]:
        """Return the environment of that program. Raises LabError where its memory has no place."""
        ...
