"""The base disks of machines, one per system, cached by the hash of their inputs.

Debian 13 is like a cloud image; systems of the RHEL family are a Debian userland with rpm and dnf in place of dpkg
and apt.
Neither loop devices nor mounts are needed: mmdebstrap unpacks and `mkfs.ext4 -d` copies. An image is sparse;
machines write to copy-on-write files over it.
"""

from __future__ import annotations

import shutil
import tempfile
from functools import partial
from pathlib import Path

from provision.errors import LabError
from provision.lab import rocky
from provision.lab.cache import Progress, compute_key, get_or_build
from provision.lab.machines.kernel import build_kernel, modules_directory
from provision.lab.packages import ensure_signing_key
from provision.lab.toolchain import require_packages
from provision.lab.versions import DEFAULT_SYSTEM, lab_versions
from provision.mirror.tools import run
from provision.paths import content_root

TOOLS = ("mmdebstrap", "debian-archive-keyring", "e2fsprogs", "kmod")  # Debian packages of this computer

_SUITE = "trixie"
_SIZE = 8 << 30  # bytes, sparse; a control plane with its images uses 3 GiB
_PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "udev", "kmod", "openssh-server", "python3", "sudo",
    "iproute2", "iptables", "nftables", "ca-certificates", "procps", "iputils-ping", "curl", "less",
    "tzdata", "bash-completion",
    "haproxy", "keepalived",  # of `endpoint: local` and of a virtual address
)  # fmt: skip
_OF_DEBIAN = (
    "python3-apt", "gnupg", "apparmor",
    # What kubelet, kubeadm, containerd and the playbooks take from Debian; the mirror has Kubernetes only.
    "conntrack", "ethtool", "socat", "ebtables",
    "ufw",  # off, as Ubuntu has it
)  # fmt: skip
_OF_ROCKY = (
    "rpm", "dnf", "python3-dnf", "network-manager", "firewalld", "chrony",
    "selinux-policy-default", "selinux-utils", "policycoreutils", "policycoreutils-python-utils", "python3-selinux",
)  # fmt: skip
_LINUX = ("linux-image-cloud-amd64", "initramfs-tools")


def build_base_image(system: str, backend_kernel: str, progress: Progress) -> Path:
    """Return the image of that system for machines with that kernel ("uml" or "linux"), built if not in the cache.

    Beside it lies the kernel: `linux` for "uml", `vmlinuz` and `initrd` for "linux". Building the image takes 25-90 s,
    a kernel for "uml" some minutes more. Raises LabError and ToolError.
    """
    major = lab_versions().systems[system].major
    if major and backend_kernel != "uml":
        raise LabError(f"{system} runs under User-Mode Linux only", fix="--backend uml, in a lab of its own")
    require_packages(TOOLS, progress)
    built = build_kernel(progress) if backend_kernel == "uml" else None
    packages, from_kernel = " ".join(_packages(system, backend_kernel)), built.name if built else ""
    inputs: list[str | Path] = [_SUITE, str(_SIZE), backend_kernel, packages, from_kernel, _definition()]
    if major:
        inputs += [*rocky.inputs(system), ensure_signing_key(progress).fingerprint, _definition(system)]
    title = f"the machines' disk ({system}, {backend_kernel})"
    make = partial(_make, system, built, progress)
    return get_or_build("disk", compute_key(*inputs), make, title=title, progress=progress) / "disk.img"


def _definition(system: str = DEFAULT_SYSTEM) -> Path:
    """Return the directory of an image's own files: `customize` and overlays."""
    return content_root() / "lab" / ("image" if system == DEFAULT_SYSTEM else "image-rocky")


def _packages(system: str, backend_kernel: str) -> tuple[str, ...]:
    own = _OF_DEBIAN if system == DEFAULT_SYSTEM else _OF_ROCKY
    return (*_PACKAGES, *own, *(() if backend_kernel == "uml" else _LINUX))


def _make(system: str, built: Path | None, progress: Progress, into: Path) -> None:
    """Build the image; `built` is the directory of the kernel for "uml", or None for Debian's kernel."""
    with tempfile.TemporaryDirectory(dir=into) as scratch:
        root = Path(scratch) / "root"
        if built is not None:
            _bootstrap(system, "uml", root, modules_directory(built))
            shutil.copy(built / "linux", into / "linux")
            if lab_versions().systems[system].major:
                _make_rocky(system, root, modules_directory(built), progress)
        else:
            _bootstrap(system, "linux", root, "")
            shutil.copyfile(next(root.glob("boot/vmlinuz-*")), into / "vmlinuz")
            shutil.copyfile(next(root.glob("boot/initrd.img-*")), into / "initrd")
        _format(root, into / "disk.img")


def _bootstrap(system: str, backend_kernel: str, root: Path, modules: Path | str) -> None:
    hook = f"sh '{_definition() / 'customize'}' \"$1\" {backend_kernel} '{modules}'"
    options = ["--variant=apt", "--mode=root", "--aptopt=Acquire::Retries 3"]
    packages = f"--include={','.join(_packages(system, backend_kernel))}"
    run(["mmdebstrap", *options, packages, f"--customize-hook={hook}", _SUITE, str(root)])


def _make_rocky(system: str, root: Path, modules: Path, progress: Progress) -> None:
    """Turn a Debian system into one of the RHEL family."""
    wanted = lab_versions().systems[system]
    installed = root / "usr" / "lib" / "modules" / modules.name
    for paths in rocky.split_modules(str(wanted.major), modules):
        for path in paths:
            (installed / path.relative_to(modules)).unlink(missing_ok=True)
    rocky.build_records(system, root / "var" / "lib" / "lab" / "records", progress)
    key = ensure_signing_key(progress).public
    run(
        ["sh", str(_definition(system) / "customize"), str(root), str(wanted.release), modules.name, str(key)]
    )


def _format(root: Path, image: Path) -> None:
    with image.open("wb") as file:
        file.truncate(_SIZE)
    # The file is new and zero: inode tables need not be written.
    extended = ["-E", "assume_storage_prezeroed=1"]
    run(["mkfs.ext4", "-q", "-F", "-L", "lab", *extended, "-d", str(root), str(image)])
