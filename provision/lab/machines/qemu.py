"""Machines under QEMU with the kernel of a cloud image, for computers with KVM.

Without KVM the processor is emulated, about sixteen times slower: enough to test that the image boots.
"""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from provision.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provision.lab.state import Machine

_KVM_CREATE_VM, _KVM_CREATE_VCPU = 0xAE01, 0xAE41


class Qemu:
    """Back end for computers with KVM; without `accelerated` the processor is emulated."""

    name = "qemu"
    kernel = "linux"
    packages: tuple[str, ...] = ("qemu-system-x86", "qemu-utils")

    def __init__(self, *, accelerated: bool) -> None:
        self._accelerated = accelerated
        self.boot_limit = 300.0 if accelerated else 1200.0

    def marker(self, directory: Path) -> str:
        return f"file={directory / 'disk.qcow2'},if=virtio,format=qcow2,discard=unmap"

    def make_disk(self, directory: Path, base: Path) -> None:
        """Create `disk.qcow2` over the base image atomically."""
        disk = directory / "disk.qcow2"
        if disk.exists():
            return
        fresh = directory / ".disk.qcow2"
        argv = ("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(base), str(fresh))
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise LabError(f"cannot create the disk of {directory.name}: {done.stderr.strip()}")
        fresh.replace(disk)

    def command(self, machine: Machine, directory: Path, base: Path) -> tuple[str, ...]:
        accelerator, processor = ("kvm", "host") if self._accelerated else ("tcg", "max")
        return (
            "qemu-system-x86_64",
            *("-name", machine.name, "-accel", accelerator, "-cpu", processor, "-smp", "2"),
            *("-m", str(machine.memory), "-display", "none", "-monitor", "none", "-serial", "stdio"),
            *("-kernel", str(base.parent / "vmlinuz"), "-initrd", str(base.parent / "initrd")),
            *("-append", "root=/dev/vda rw console=ttyS0 net.ifnames=0"),
            *("-drive", self.marker(directory)),
            *("-drive", f"file={directory / 'seed.tar'},if=virtio,format=raw,readonly=on"),
            *("-netdev", f"tap,id=lan,ifname={machine.tap},script=no,downscript=no"),
            *("-device", f"virtio-net-pci,netdev=lan,mac={machine.mac}", "-device", "virtio-rng-pci"),
        )

    def check_memory(self, memory: int) -> None:
        """Do nothing: QEMU needs no memory file, and the available memory has been compared."""

    def environment(self, machine: Machine) -> Mapping[str, str]:  # noqa: ARG002  the protocol's shape
        return {"PATH": os.environ.get("PATH", os.defpath)}


def kvm_works() -> bool:
    """Whether KVM creates a virtual processor here that the hardware runs.

    The device alone proves nothing inside another virtual machine. Some hosts' KVM even creates processors without
    hardware support and stops at an instruction of the guest's kernel; these lack the flags vmx and svm.
    """
    if not re.search(r"^flags\s*:.*\b(vmx|svm)\b", Path("/proc/cpuinfo").read_text(), re.MULTILINE):
        return False
    opened: list[int] = []
    try:
        opened.append(os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC))
        opened.append(fcntl.ioctl(opened[-1], _KVM_CREATE_VM, 0))
        opened.append(fcntl.ioctl(opened[-1], _KVM_CREATE_VCPU, 0))
    except OSError:
        return False
    else:
        return True
    finally:
        for descriptor in reversed(opened):
            os.close(descriptor)
