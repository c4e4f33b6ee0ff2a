"""Which back end runs the machines: QEMU where KVM really works, User-Mode Linux everywhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.errors import LabError
from provision.lab.qemu import Qemu, kvm_works
from provision.lab.uml import UserModeLinux

if TYPE_CHECKING:
    from provision.lab.backend import Backend


def backends() -> dict[str, Backend]:
    """Return every back end by its name."""
    return {"uml": UserModeLinux(), "qemu": Qemu(accelerated=kvm_works())}


def backend_named(name: str) -> Backend:
    """Return the back end called `name`: uml or qemu. Raises LabError for any other."""
    found = backends().get(name)
    if found is None:
        raise LabError(f"there is no back end {name}", fix=f"--backend {' or '.join(backends())}")
    return found


def choose_backend() -> Backend:
    """Return QEMU if the processor virtualises for us, else User-Mode Linux."""
    return backend_named("qemu" if kvm_works() else "uml")
