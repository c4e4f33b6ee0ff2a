"""Distributions that hosts may run, and their package managers. A further family is a module here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageManager:
    """How packages are installed; `repair` is the command that completes an interrupted installation."""

    name: str
    repair: str
    kubernetes_packages: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemFamily:
    """Distributions that share a package manager; `releases` are the supported VERSION_IDs by ID (os-release)."""

    releases: Mapping[str, tuple[str, ...]]
    package_manager: PackageManager


APT = PackageManager(
    name="apt",
    repair="sudo dpkg --configure -a && sudo apt-get --fix-broken install",
    kubernetes_packages=("kubeadm", "kubelet", "kubectl"),
)
DEBIAN = SystemFamily(releases={"debian": ("12", "13"), "ubuntu": ("22.04", "24.04")}, package_manager=APT)
FAMILIES = (DEBIAN,)
SUPPORTED_RELEASES: Mapping[str, tuple[str, ...]] = {
    system: versions for family in FAMILIES for system, versions in family.releases.items()
}
