"""The kernel of machines under User-Mode Linux, built from Debian's kernel source with `lab/kernel/config`.

Debian's own package `user-mode-linux` is too old to run programs without tracing them (`seccomp=`, Linux 6.16), and the
newer builds have no legacy iptables. The source is the newest of Debian's backports; its version is not pinned,
because backports keep one version only. A lab keeps its kernel.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

from provision.errors import LabError
from provision.lab.cache import Progress, compute_key, get_or_build
from provision.lab.toolchain import unpack
from provision.mirror.tools import run
from provision.paths import content_root

# Debian packages of this computer.
TOOLS = ("mmdebstrap", "gcc", "libc6-dev", "make", "flex", "bison", "bc", "perl", "kmod", "xz-utils")

_SUITE = "trixie-backports"
_BASE = "trixie"  # what the source package depends on comes from here
_MAKE = ("make", "--silent", "ARCH=um")


def build_kernel(progress: Progress) -> Path:
    """Return the directory with the program `linux` and `modules/<release>`, built in some minutes if not in the cache.

    Raises LabError if the source lacks an option of the configuration, ToolError if the build fails.
    """
    key = compute_key(_configuration(), _SUITE, " ".join(_MAKE))
    return get_or_build("kernel", key, _make, title="the machines' kernel", progress=progress)


def modules_directory(place: Path) -> Path:
    """Return the directory of modules in what `build_kernel` returned; it is named by the kernel's release."""
    return next((place / "modules").iterdir())


def _configuration() -> Path:
    return content_root() / "lab" / "kernel" / "config"


def _make(into: Path) -> None:
    with tempfile.TemporaryDirectory(dir=into) as scratch:
        source = _unpack(Path(scratch))
        wanted = {"KCONFIG_ALLCONFIG": str(_configuration())}
        run([*_MAKE, "alldefconfig"], cwd=source, environment=wanted)
        _check_taken(_configuration().read_text(), (source / ".config").read_text())
        processors = len(os.sched_getaffinity(0))
        run([*_MAKE, f"--jobs={processors}", "linux", "modules"], cwd=source)
        installed = Path(scratch) / "installed"
        run([*_MAKE, f"INSTALL_MOD_PATH={installed}", "modules_install"], cwd=source)
        for release in (installed / "lib" / "modules").iterdir():
            (release / "build").unlink(missing_ok=True)  # a link to the source
            shutil.copytree(release, into / "modules" / release.name)
        shutil.copy(source / "linux", into / "linux")


def _unpack(scratch: Path) -> Path:
    """Unpack the source and return its directory."""
    root = scratch / "root"
    # The line of the backports is derived from the one that mmdebstrap wrote, which names Debian's mirror.
    lines = '"$1/etc/apt/sources.list"'
    add = f'sed "s/ {_BASE} main/ {_SUITE} main/" {lines} > "$1/etc/apt/sources.list.d/backports.list"'
    unpack([f"linux-source/{_SUITE}"], _BASE, root, f"--setup-hook={add}")
    archive = next((root / "usr" / "src").glob("linux-source-*.tar.xz"))
    run(["tar", "--extract", "--file", str(archive), "--directory", str(scratch)])
    return scratch / archive.name.removesuffix(".tar.xz")


def _check_taken(wanted: str, got: str) -> None:
    """Raise LabError for options that this version of the kernel does not know or does not allow."""
    lines = set(got.splitlines())
    missed = [
        line for line in wanted.splitlines() if re.match(r"CONFIG_\w+=[^n]", line) and line not in lines
    ]
    if missed:
        raise LabError(
            f"the kernel's source does not take {', '.join(missed)}", fix="adapt lab/kernel/config to it"
        )
