"""Packages that machines of the RHEL family have from their distribution, built from `lab/rocky.yaml`.

rocky/9/BaseOS/x86_64/os/, rocky/9/AppStream/x86_64/os/: repositories for dnf on the mirror. A further set without files
is recorded in the rpm database of the image.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from pydantic import BaseModel, ConfigDict, Field

from provision.lab.cache import Progress, compute_key, get_or_build
from provision.lab.debian import programs_of
from provision.lab.machines.kernel import build_kernel, modules_directory
from provision.lab.packages import ensure_signing_key
from provision.lab.toolchain import require_packages
from provision.lab.versions import lab_versions
from provision.mirror import rpm, tools
from provision.mirror.rpm import Rpm
from provision.paths import content_root

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ARCHITECTURE = "x86_64"
REPOSITORIES = ("BaseOS", "AppStream")

_MODULES = "kernel-modules-extra"
# Of releases from 10 on: what a minimal installation lacks, and what no package has any more.
_EXTRA = ("br_netfilter", "ip_set*", "nft_compat", "xt_*")
_GONE = ("arptable*", "ebtable*", "ip_tables", "iptable_*", "ip6_tables", "ip6table_*")
_NEWEST_WITH_ALL = 9


class Package(BaseModel):
    """`version` without release, or one for each major; `requires` and `provides` as in a spec file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str | dict[str, str]
    requires: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    programs: dict[str, str] = {}


class Distribution(BaseModel):
    """The whole file: name -> package."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    installed: dict[str, Package]
    base: dict[str, Package] = Field(alias="BaseOS")
    stream: dict[str, Package] = Field(alias="AppStream")


def distribution() -> Distribution:
    """Read `lab/rocky.yaml`."""
    return Distribution.model_validate(yaml.safe_load(_definition().read_text()))


def build_repositories(majors: tuple[str, ...], progress: Progress) -> dict[str, Path]:
    """Return path in URLs -> directory of the repositories of these majors, built if not in the cache.

    Raises LabError and ToolError.
    """
    return {f"/rocky/{major}/": _build(major, progress) for major in majors}


def build_records(system: str, into: Path, progress: Progress) -> None:
    """Build the packages that the image of that system records in its database. Raises LabError and ToolError."""
    require_packages(rpm.TOOLS, progress)
    major = str(lab_versions().systems[system].major)
    packages = _rpms(distribution().installed, major, modules_directory(build_kernel(progress)), {})
    rpm.build_records(tuple(packages), ARCHITECTURE, into)


def inputs(system: str) -> tuple[str | Path, ...]:
    """Return what decides the packages of that system beside kernel and key, for cache keys."""
    own = (Path(rpm.__file__), Path(tools.__file__), Path(__file__))
    return (system, lab_versions().systems[system].model_dump_json(), _definition(), *own)


def split_modules(major: str, modules: Path) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Return the modules that are in a package of their own, and those that the release does not have at all."""
    if int(major) <= _NEWEST_WITH_ALL:
        return (), ()
    every = sorted(modules.rglob("*.ko"))
    extra, gone = (
        tuple(path for path in every if any(Path(path.stem).match(one) for one in patterns))
        for patterns in (_EXTRA, _GONE)
    )
    return extra, gone


def kernel_version(release: str) -> str:
    """`7.3.4-1.lab.x86_64` -> `7.3.4-1.lab`, version and release of the kernel's packages."""
    return release.removesuffix(f".{ARCHITECTURE}")


def _build(major: str, progress: Progress) -> Path:
    require_packages(rpm.TOOLS, progress)
    key, kernel = ensure_signing_key(progress), build_kernel(progress)
    programs = programs_of("rocky", progress)
    system = next(name for name, one in lab_versions().systems.items() if one.major == major)

    def build(into: Path) -> None:
        defined = distribution()
        for name, packages in zip(REPOSITORIES, (defined.base, defined.stream), strict=True):
            place = into / name / ARCHITECTURE / "os"
            for package in _rpms(packages, major, modules_directory(kernel), programs):
                rpm.build_rpm(package, None, ARCHITECTURE, place / "Packages")
            rpm.write_repository(place, key)

    directories = sorted({path.parent.name for path in programs.values()})
    state = compute_key(*inputs(system), *directories, kernel.name, key.fingerprint)
    return get_or_build("packages", state, build, title=f"the repositories of {system}", progress=progress)


def _rpms(
    packages: Mapping[str, Package], major: str, modules: Path, programs: Mapping[str, Path]
) -> Iterator[Rpm]:
    """Yield the packages as they are for that major and that kernel."""
    release = next(one.release for one in lab_versions().systems.values() if one.major == major)
    words = {
        "@MAJOR@": major,
        "@RELEASE@": str(release),
        "@KERNEL@": kernel_version(modules.name),
        "@UNAME@": modules.name,
    }
    for name, package in packages.items():
        version = package.version if isinstance(package.version, str) else package.version[major]
        full = version if version == "@KERNEL@" else f"{version}-1.el{major}"
        extra = split_modules(major, modules)[0] if name == _MODULES else ()
        at = f"/usr/lib/modules/{modules.name}"
        yield Rpm(
            name,
            _filled(full, words),
            _filled(_spec(name, package), words),
            {path: programs[program] for path, program in package.programs.items()},
            {f"{at}/{path.relative_to(modules)}": path for path in extra},
        )


def _spec(name: str, package: Package) -> str:
    tags = [("Requires", one) for one in package.requires] + [("Provides", one) for one in package.provides]
    lines = [f"Summary: {name} of the lab's machines", *(f"{tag}: {value}" for tag, value in tags)]
    scripts = ("%post", "depmod @UNAME@", "%postun", "depmod @UNAME@") if name == _MODULES else ()
    return "\n".join([*lines, "%description", "Built by provision's lab for its own machines.", *scripts])


def _filled(text: str, words: Mapping[str, str]) -> str:
    for placeholder, value in words.items():
        text = text.replace(placeholder, value)
    return text


def _definition() -> Path:
    return content_root() / "lab" / "rocky.yaml"
