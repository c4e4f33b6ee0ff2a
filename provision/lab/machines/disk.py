"""The base disk of all machines: Debian 13 like a cloud image, cached by the hash of its inputs.

Neither loop devices nor mounts are needed: mmdebstrap unpacks and `mkfs.ext4 -d` copies. The image is sparse;
machines write to copy-on-write files over it.
"""

from __future__ import annotations

import shutil
import tempfile
from functools import partial
from pathlib import Path

from provision.lab.cache import Progress, compute_key, get_or_build
from provision.lab.machines.kernel import build_kernel, modules_directory
from provision.lab.toolchain import require_packages
from provision.mirror.tools import run
from provision.paths import content_root

TOOLS = ("mmdebstrap", "debian-archive-keyring", "e2fsprogs", "kmod")  # Debian packages of this computer

_SUITE = "trixie"
_SIZE = 8 << 30  # bytes, sparse; a control plane with its images uses 3 GiB
_PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "udev", "kmod", "openssh-server", "python3", "python3-apt", "sudo",
    "iproute2", "iptables", "nftables", "ca-certificates", "gnupg", "procps", "iputils-ping", "curl", "less",
    "tzdata", "bash-completion", "apparmor",
    # What kubelet, kubeadm, containerd and the playbooks take from Debian; the mirror has Kubernetes only.
    "conntrack", "ethtool", "socat", "ebtables",
    "haproxy", "keepalived",  # of `endpoint: local` and of a virtual address
)  # fmt: skip
_LINUX = ("linux-image-cloud-amd64", "initramfs-tools")


def build_base_image(backend_kernel: str, progress: Progress) -> Path:
    """Return the image for machines with that kernel ("uml" or "linux"), built if not in the cache.

    Beside it lies the kernel: `linux` for "uml", `vmlinuz` and `initrd` for "linux". Building the image takes 25-90 s,
    a kernel for "uml" some minutes more. Raises LabError and ToolError.
    """
    require_packages(TOOLS, progress)
    built = build_kernel(progress) if backend_kernel == "uml" else None
    packages, from_kernel = " ".join(_packages(backend_kernel)), built.name if built else ""
    key = compute_key(_SUITE, str(_SIZE), backend_kernel, packages, from_kernel, _definition())
    title = f"the machines' disk ({_SUITE}, {backend_kernel})"
    return get_or_build("disk", key, partial(_make, built), title=title, progress=progress) / "disk.img"


def _definition() -> Path:
    """Return the directory of the image's own files: `customize` and `overlay/`."""
    return content_root() / "lab" / "image"


def _packages(backend_kernel: str) -> tuple[str, ...]:
    return _PACKAGES if backend_kernel == "uml" else _PACKAGES + _LINUX


def _make(built: Path | None, into: Path) -> None:
    """Build the image; `built` is the directory of the kernel for "uml", or None for Debian's kernel."""
    with tempfile.TemporaryDirectory(dir=into) as scratch:
        root = Path(scratch) / "root"
        if built is not None:
            _bootstrap("uml", root, modules_directory(built))
            shutil.copy(built / "linux", into / "linux")
        else:
            _bootstrap("linux", root, "")
            shutil.copyfile(next(root.glob("boot/vmlinuz-*")), into / "vmlinuz")
            shutil.copyfile(next(root.glob("boot/initrd.img-*")), into / "initrd")
        _format(root, into / "disk.img")


def _bootstrap(backend_kernel: str, root: Path, modules: Path | str) -> None:
    hook = f"sh '{_definition() / 'customize'}' \"$1\" {backend_kernel} '{modules}'"
    options = ["--variant=apt", "--mode=root", "--aptopt=Acquire::Retries 3"]
    packages = f"--include={','.join(_packages(backend_kernel))}"
    run(["mmdebstrap", *options, packages, f"--customize-hook={hook}", _SUITE, str(root)])


def _format(root: Path, image: Path) -> None:
    with image.open("wb") as file:
        file.truncate(_SIZE)
    # The file is new and zero: inode tables need not be written.
    extended = ["-E", "assume_storage_prezeroed=1"]
    run(["mkfs.ext4", "-q", "-F", "-L", "lab", *extended, "-d", str(root), str(image)])
