"""The two ways to run a machine, their common protocol, and the choice: QEMU where KVM works, else User-Mode Linux."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from provision.errors import LabError
from provision.lab.machines.qemu import Qemu, kvm_works
from provision.lab.machines.uml import UserModeLinux

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from provision.lab.state import Machine
    from provision.lab.versions import Offer

MINIMUM_FREE = 512  # MiB that machines leave to the computer itself


class Backend(Protocol):
    """A way to run a machine, without state of its own.

    `packages` are the Debian packages that it needs on this computer, `kernel` is the guest's ("uml" or "linux"), and
    `boot_limit` is the time in seconds after which a boot has failed.
    """

    name: str
    kernel: str
    packages: tuple[str, ...]
    boot_limit: float

    def marker(self, directory: Path) -> str:
        """Return the argument that identifies the machine's process."""
        ...

    def make_disk(self, directory: Path, base: Path) -> None:
        """Create the copy-on-write disk over `base` if it is missing. Raises LabError."""
        ...

    def command(self, machine: Machine, directory: Path, base: Path) -> tuple[str, ...]:
        """Return the program and arguments that run the machine until it is powered off."""
        ...

    def check_memory(self, memory: int) -> None:
        """Raise LabError if the memory (MiB) of machines that start together does not fit."""
        ...

    def environment(self, machine: Machine) -> Mapping[str, str]:
        """Return the environment of that program. Raises LabError if its memory does not fit."""
        ...


def all_backends() -> dict[str, Backend]:
    """Return every back end by its name."""
    return {"uml": UserModeLinux(), "qemu": Qemu(accelerated=kvm_works())}


def backend_named(name: str) -> Backend:
    """Return the back end called `name`: uml or qemu. Raises LabError for any other."""
    found = all_backends().get(name)
    if found is None:
        raise LabError(f"there is no back end {name}", fix=f"--backend {' or '.join(all_backends())}")
    return found


def choose_backend(offer: Offer) -> Backend:
    """Return QEMU if KVM works here and all machines run Debian, else User-Mode Linux."""
    return backend_named("qemu" if kvm_works() and not offer.majors() else "uml")
