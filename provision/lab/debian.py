"""Programs that the lab's packages take from Debian: they need C, so Go cannot build them here."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from provision.errors import LabError
from provision.lab.cache import Progress, compute_key, get_or_build
from provision.lab.toolchain import require_packages, unpack
from provision.mirror.tools import run

if TYPE_CHECKING:
    from collections.abc import Mapping

SUITE = "trixie"  # of the machines

_LIBRARIES = "lib"  # beside the programs, and searched by them first
_PATCHELF = ("patchelf",)  # Debian packages of this computer


@dataclass(frozen=True, slots=True)
class _Source:
    """Debian packages; name -> file in them; libraries that the machines lack, kept in `lib/` beside the programs.

    `at` is the directory on the machines in which programs with libraries are installed.
    """

    packages: tuple[str, ...]
    programs: Mapping[str, str]
    libraries: tuple[str, ...] = ()
    at: str = ""


_SOURCES = {
    "runc": _Source(("runc",), {"runc": "usr/sbin/runc"}),
    "crio": _Source(
        ("crun", "conmon"),
        {"crun": "usr/bin/crun", "conmon": "usr/bin/conmon"},
        ("libyajl.so.2", "libglib-2.0.so.0", "libatomic.so.1"),
        "/usr/libexec/crio",
    ),
    "rocky": _Source(  # what machines of the RHEL family install from their distribution
        ("conntrack", "ethtool", "socat"),
        {"conntrack": "usr/sbin/conntrack", "ethtool": "usr/sbin/ethtool", "socat": "usr/bin/socat"},
    ),
    "docker": _Source(
        ("docker.io", "docker-cli", "tini"),
        {
            "dockerd": "usr/sbin/dockerd",
            "docker-proxy": "usr/sbin/docker-proxy",
            "docker-init": "usr/bin/tini-static",
            "docker": "usr/bin/docker",
        },
    ),
}


def programs_of(name: str, progress: Progress) -> dict[str, Path]:
    """Return name -> file of "runc", of "crio" (crun, conmon and their libraries) or of "docker".

    Unpacked if not in the cache. Raises LabError and ToolError.
    """
    source = _SOURCES[name]
    if source.libraries:
        require_packages(_PATCHELF, progress)
    recipe = json.dumps([source.packages, dict(source.programs), source.libraries, source.at])
    place = get_or_build(
        "debian",
        f"{name}-{compute_key(recipe, SUITE)}",
        lambda into: _extract(source, into),
        title=f"{', '.join(source.packages)} of Debian's {SUITE}",
        progress=progress,
    )
    names = (*source.programs, *(f"{_LIBRARIES}/{one}" for one in source.libraries))
    return {one: place / one for one in names}


def _extract(source: _Source, into: Path) -> None:
    with tempfile.TemporaryDirectory(dir=into) as scratch:
        root = Path(scratch) / "root"
        unpack(source.packages, SUITE, root)
        for name, path in source.programs.items():
            shutil.copy(root / path, into / name)
        for name in source.libraries:
            (into / _LIBRARIES).mkdir(exist_ok=True)
            shutil.copyfile(_library(root, name), into / _LIBRARIES / name)
    if source.libraries:
        # Not only for the programs' own libraries, also for those that these need (DT_RPATH, not DT_RUNPATH).
        options = ["--force-rpath", "--set-rpath", f"{source.at}/{_LIBRARIES}"]
        run(["patchelf", *options, *(str(into / name) for name in source.programs)])


def _library(root: Path, name: str) -> Path:
    found = sorted(root.glob(f"usr/lib/*/{name}"))
    if not found:
        raise LabError(f"Debian's {SUITE} has no {name} in the packages that should bring it")
    return found[0]
