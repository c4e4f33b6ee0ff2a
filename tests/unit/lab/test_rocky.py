"""Packages that machines of the RHEL family have from their distribution. The kernel's modules are doubles."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.errors import LabError
from provision.lab import debian, rocky
from provision.lab.machines import disk
from provision.lab.versions import lab_versions

RELEASE = "7.3.4-1.lab.x86_64"
MODULES = (
    "bridge",
    "br_netfilter",
    "ip_tables",
    "iptable_nat",
    "nf_tables",
    "nft_compat",
    "overlay",
    "xt_comment",
)


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    place = tmp_path / RELEASE
    (place / "kernel").mkdir(parents=True)
    for name in MODULES:
        (place / "kernel" / f"{name}.ko").write_text(name)
    return place


def names(paths: tuple[Path, ...]) -> list[str]:
    return sorted(path.stem for path in paths)


def test_release_10_has_no_legacy_tables_and_some_modules_in_a_package_of_their_own(modules: Path) -> None:
    extra, gone = rocky.split_modules("10", modules)

    assert names(extra) == ["br_netfilter", "nft_compat", "xt_comment"]
    assert names(gone) == ["ip_tables", "iptable_nat"]
    assert rocky.split_modules("9", modules) == ((), ())


def test_the_modules_package_is_named_by_the_running_kernel_and_needs_it(modules: Path) -> None:
    packages = rocky._rpms(rocky.distribution().base, "10", modules, {"ethtool": Path("/ethtool")})
    (extra,) = (one for one in packages if one.name == "kernel-modules-extra")

    assert f"{extra.name}-{extra.version}.x86_64" == f"kernel-modules-extra-{RELEASE}"
    assert f"Requires: kernel-uname-r = {RELEASE}\n" in extra.spec
    assert f"%post\ndepmod {RELEASE}\n" in extra.spec
    assert f"/usr/lib/modules/{RELEASE}/kernel/br_netfilter.ko" in extra.files


@pytest.mark.parametrize("major", ["9", "10"])
def test_every_package_has_a_version_and_programs_that_debian_brings(major: str, modules: Path) -> None:
    programs = {name: Path(f"/{name}") for name in debian._SOURCES["rocky"].programs}
    defined = rocky.distribution()
    every = {**defined.installed, **defined.base, **defined.stream}

    packages = {one.name: one for one in rocky._rpms(every, major, modules, programs)}

    assert packages.keys() == every.keys()
    assert not [one for one in packages.values() if "@" in one.version + one.spec]
    assert f"Provides: system-release(releasever) = {major}" in packages["rocky-release"].spec
    assert {one.version.partition("-")[2] for one in packages.values()} == {f"1.el{major}", "1.lab"}


def test_systems_of_the_rhel_family_are_not_made_for_qemu() -> None:
    with pytest.raises(LabError, match="rocky-9 runs under User-Mode Linux only"):
        disk.build_base_image("rocky-9", "linux", print)


def test_the_releases_are_those_that_the_product_takes_for_its_family() -> None:
    assert {one.major for one in lab_versions().systems.values()} == {None, "9", "10"}
