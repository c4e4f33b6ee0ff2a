"""Distributions that hosts may run, and their package managers. A further family is one more of `FAMILIES`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from provision.model.units import enumerated

if TYPE_CHECKING:
    from provision.providers.kubeadm.facts.host import HostFacts, System


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageManager:
    """How packages are installed. Commands for messages: `install` and `remove` are followed by names of packages.

    `repair` completes an interrupted installation, `clock` sets the clock by the network.
    """

    name: str
    install: str
    remove: str
    repair: str
    clock: str
    kubernetes_packages: tuple[str, ...] = ("kubeadm", "kubelet", "kubectl")


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemFamily:
    """Distributions that share a package manager.

    `releases` are the supported ones by ID (os-release): their VERSION_ID, or its first number. `too_old` says of
    first numbers why they are refused. No cluster was ever made on one that is `untested`.
    """

    names: Mapping[str, str]
    releases: Mapping[str, tuple[str, ...]]
    package_manager: PackageManager
    too_old: Mapping[str, str] = field(default_factory=dict)
    untested: frozenset[str] = frozenset()

    def supports(self, system: System) -> bool:
        """Whether hosts of this release can become nodes."""
        major = system.version.partition(".")[0]
        return bool({system.version, major} & set(self.releases.get(system.id, ())))

    @property
    def supported(self) -> list[str]:
        """What messages say of the releases: `Debian 12 or 13`, distributions with the same ones together."""
        by_releases: dict[tuple[str, ...], list[str]] = {}
        for name, versions in self.releases.items():
            by_releases.setdefault(versions, []).append(self.names[name])
        return [
            f"{enumerated(names, 'or')} {enumerated(versions, 'or')}"
            for versions, names in by_releases.items()
        ]


APT = PackageManager(
    name="apt",
    install="sudo apt-get install",
    remove="sudo apt-get purge",
    repair="sudo dpkg --configure -a && sudo apt-get --fix-broken install",
    clock="`timedatectl set-ntp true` there, and see that `timedatectl timesync-status` names a server",
)
DNF = PackageManager(
    name="dnf",
    install="sudo dnf install",
    remove="sudo dnf remove",
    repair="sudo dnf remove --duplicates; sudo dnf reinstall",
    clock="`sudo systemctl enable --now chronyd` there, and see that `chronyc sources` names a server",
)
DEBIAN = SystemFamily(
    names={"debian": "Debian", "ubuntu": "Ubuntu"},
    releases={"debian": ("12", "13"), "ubuntu": ("22.04", "24.04")},
    package_manager=APT,
)
_ENTERPRISE = {
    "rhel": "RHEL",
    "rocky": "Rocky Linux",
    "almalinux": "AlmaLinux",
    "centos": "CentOS Stream",
    "ol": "Oracle Linux",
}
_OLD_KERNEL = "its kernel {} and cgroups of version 1 are too old for Kubernetes"
RED_HAT = SystemFamily(
    names=_ENTERPRISE,
    releases=dict.fromkeys(_ENTERPRISE, ("9", "10")),
    package_manager=DNF,
    too_old={"7": _OLD_KERNEL.format("3.10"), "8": _OLD_KERNEL.format("4.18")},
    # Machines of the lab say that they are Rocky Linux; see docs/systems.md for what is real there.
    untested=frozenset(_ENTERPRISE) - {"rocky"},
)
FEDORA = SystemFamily(
    names={"fedora": "Fedora"},
    releases={"fedora": ("43", "44", "45")},
    package_manager=DNF,
    untested=frozenset({"fedora"}),
)
# Derived from releases 9 of the family above, and without package repositories of their own for runtimes.
OPEN_EULER = SystemFamily(
    names={"openEuler": "openEuler", "kylin": "Kylin"},
    releases={"openEuler": ("22", "24"), "kylin": ("V11",)},
    package_manager=DNF,
    too_old={"20": _OLD_KERNEL.format("4.19"), "V10": _OLD_KERNEL.format("4.19")},
    untested=frozenset({"openEuler", "kylin"}),
)
FAMILIES = (DEBIAN, RED_HAT, FEDORA, OPEN_EULER)


def family_of(system: System) -> SystemFamily | None:
    """The family that a distribution belongs to, whether its release is supported or not; None if to none."""
    return next((family for family in FAMILIES if system.id in family.releases), None)


def package_manager_of(facts: HostFacts) -> PackageManager:
    """The package manager of a host; of an unknown distribution the one whose facts were read."""
    family = family_of(facts.machine.os)
    if family is None:
        return APT if facts.software.rpm is None else DNF
    return family.package_manager


def supported_systems() -> str:
    """All supported releases, as messages name them."""
    return ", ".join(one for family in FAMILIES for one in family.supported)
