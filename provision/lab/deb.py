"""One Debian package: the files of `lab/packages/<name>` (control files included) plus programs."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from provision.errors import LabError
from provision.lab.toolchain import run

# The fastest in all: a machine unpacks it at the speed of its disk, and a third of the bytes cross its network.
_COMPRESSION = ("-Zzstd", "-z3")
_CONTROL = "DEBIAN"
_SCRIPTS = frozenset({"preinst", "postinst", "prerm", "postrm"})
_PLACEHOLDERS = ("@VERSION@", "@ARCHITECTURE@", "@SIZE@")


@dataclass(frozen=True, slots=True)
class Deb:
    """A package to build.

    `version` is Debian's, revision included. `programs` maps absolute paths on the machine to the files to put
    there (mode 0755).
    """

    name: str
    version: str
    programs: Mapping[str, Path]

    def file_name(self, architecture: str) -> str:
        """`kubelet_1.36.3-1.1_amd64.deb`."""
        return f"{self.name}_{self.version}_{architecture}.deb"


def build_deb(deb: Deb, definition: Path, architecture: str, into: Path) -> Path:
    """Build the package in the directory `into` and return its file.

    `definition` is a tree as it shall lie on the machine, with the control files in `DEBIAN/`. Modes are set here
    (a wheel keeps none): scripts and programs 0755, everything else 0644. Raises LabError if something is missing.
    """
    if not (definition / _CONTROL / "control").is_file():
        raise LabError(f"{definition} has no {_CONTROL}/control, so package {deb.name} cannot be built")
    into.mkdir(parents=True, exist_ok=True)
    target = into / deb.file_name(architecture)
    with tempfile.TemporaryDirectory(dir=into) as scratch:
        tree = Path(scratch) / "tree"
        _copy_definition(definition, tree)
        for path, program in deb.programs.items():
            _copy(program, tree / path.lstrip("/"), 0o755)
        _fill_control(tree / _CONTROL / "control", deb.version, architecture, _installed_size(tree))
        run(["dpkg-deb", *_COMPRESSION, "--root-owner-group", "--build", str(tree), str(target)])
    return target


def _copy_definition(definition: Path, tree: Path) -> None:
    tree.mkdir(mode=0o755)
    for source in sorted(definition.rglob("*")):
        if source.is_file():
            place = source.relative_to(definition)
            is_script = place.parts[0] == _CONTROL and place.name in _SCRIPTS
            _copy(source, tree / place, 0o755 if is_script else 0o644)


def _copy(source: Path, target: Path, mode: int) -> None:
    for parent in reversed(target.parents):
        if not parent.exists():
            parent.mkdir()
            parent.chmod(0o755)
    shutil.copyfile(source, target)
    target.chmod(mode)


def _installed_size(tree: Path) -> int:
    """KiB that the package takes on the machine's disk: apt refuses to begin where there is no room for it."""
    files = (path for path in tree.rglob("*") if path.is_file() and _CONTROL not in path.parts)
    return sum(-(-path.stat().st_size // 1024) for path in files)


def _fill_control(control: Path, version: str, architecture: str, size: int) -> None:
    text = control.read_text()
    for placeholder, value in zip(_PLACEHOLDERS, (version, architecture, str(size)), strict=True):
        text = text.replace(placeholder, value)
    control.write_text(text)
