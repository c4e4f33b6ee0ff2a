"""What the lab can build, read from `lab/versions.yaml` once per process, and what one lab offers of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import yaml
from pydantic import BaseModel, ConfigDict

from provision.errors import LabError
from provision.model.matrix import containerd_mismatch
from provision.model.units import minor_of
from provision.paths import content_root

if TYPE_CHECKING:
    from collections.abc import Iterable


DEFAULT_SYSTEM = "debian-13"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Minor(_Frozen):
    """A Kubernetes minor: its one version here, the etcd that its kubeadm asks for, its CRI-O if there is one."""

    version: str
    etcd: str
    crio: str | None = None


class KubernetesVersions(_Frozen):
    """`default` is the minor of a new lab."""

    default: str
    minors: dict[str, Minor]


class DockerVersions(_Frozen):
    engine: str
    cri_dockerd: str


class System(_Frozen):
    """A system that machines can run; `release` is that of the RHEL family ("9.6"), whose packages are rpm's."""

    release: str | None = None

    @property
    def major(self) -> str | None:
        """First number of its release, or None for Debian."""
        return self.release.partition(".")[0] if self.release else None


class LabVersions(_Frozen):
    """Full versions without `v`; `containerd` has the preferred one first."""

    kubernetes: KubernetesVersions
    calico: str
    containerd: tuple[str, ...]
    docker: DockerVersions
    systems: dict[str, System]


@cache
def lab_versions() -> LabVersions:
    """Return the parsed `lab/versions.yaml`."""
    text = (content_root() / "lab" / "versions.yaml").read_text()
    return LabVersions.model_validate(yaml.safe_load(text))


@dataclass(frozen=True, slots=True)
class Offer:
    """What a lab's mirror offers: minors ("1.36") and runtimes ("containerd", "containerd-2.2", "crio", "docker").

    The first of each is in its cluster file. `systems` are those of its machines ("debian-13", "rocky-9"): they decide
    the formats of packages.
    """

    minors: tuple[str, ...]
    runtimes: tuple[str, ...]
    systems: tuple[str, ...] = (DEFAULT_SYSTEM,)

    def containerds(self) -> tuple[str, ...]:
        """Return the versions of containerd that its runtimes need for its minors; Docker runs on one, too."""
        runtimes = [name for name in self.runtimes if name != "crio"]
        found = (_containerd(name, minor) for name in runtimes for minor in self.minors)
        return tuple(dict.fromkeys(found))

    def crios(self) -> dict[str, str]:
        """Return minor -> version of the CRI-O of each minor that has one; nothing without runtime "crio"."""
        known = lab_versions().kubernetes.minors
        found = {minor: known[minor].crio for minor in self.minors} if "crio" in self.runtimes else {}
        return {minor: version for minor, version in found.items() if version}

    def majors(self) -> tuple[str, ...]:
        """Return the releases of the RHEL family ("9") that its machines run; their packages are rpm's."""
        found = (lab_versions().systems[system].major for system in self.systems)
        return tuple(major for major in found if major)

    def runtime(self) -> tuple[str, str]:
        """Return name and version of the cluster's runtime; Docker's is that of its engine."""
        first = self.runtimes[0]
        if first == "crio":
            return first, self.crios()[self.minors[0]]
        return (
            ("docker", lab_versions().docker.engine)
            if first == "docker"
            else ("containerd", _containerd(first, self.minors[0]))
        )


def choose_offer(
    kubernetes: Iterable[str],
    runtimes: Iterable[str],
    present: Offer | None = None,
    systems: Iterable[str] = (),
) -> Offer:
    """Return what a lab with these minors or full versions, these runtimes, and machines of these systems offers.

    An existing lab keeps what it has, in front. Raises LabError for what the lab cannot build, with what it can.
    """
    minors = _unique(present.minors if present else (), (_minor(one) for one in kubernetes))
    named = _unique(present.runtimes if present else (), (_runtime(one) for one in runtimes))
    offer = Offer(
        minors or (lab_versions().kubernetes.default,),
        named or ("containerd",),
        _unique(present.systems if present else (), systems) or (DEFAULT_SYSTEM,),
    )
    _check_crio(offer)
    return offer


def runtime_names() -> tuple[str, ...]:
    """Return what `--runtime` accepts."""
    others = (f"containerd-{minor_of(version)}" for version in lab_versions().containerd[1:])
    return ("containerd", *others, "crio", "docker")


def system_named(asked: str) -> str:
    """Return the name of the system, checked. Raises LabError for any other than those of `lab/versions.yaml`."""
    if asked not in lab_versions().systems:
        known = ", ".join(lab_versions().systems)
        raise LabError(f"the lab has no system {asked}", fix=f"--system takes {known}")
    return asked


def _minor(asked: str) -> str:
    known = lab_versions().kubernetes.minors
    for minor, one in known.items():
        if asked.removeprefix("v") in {minor, one.version}:
            return minor
    there = ", ".join(one.version for one in known.values())
    raise LabError(
        f"the lab cannot build Kubernetes {asked}", fix=f"--kubernetes takes {there}, or their minors"
    )


def _runtime(asked: str) -> str:
    if asked not in runtime_names():
        raise LabError(f"the lab has no runtime {asked}", fix=f"--runtime takes {', '.join(runtime_names())}")
    return asked


def _check_crio(offer: Offer) -> None:
    """Refuse a lab whose cluster needs a CRI-O that cannot be built, or that asks for CRI-O and would have none."""
    there = offer.crios()
    needed = offer.minors[:1] if offer.runtimes[0] == "crio" else offer.minors
    if "crio" in offer.runtimes and not there.keys() & set(needed):
        known = lab_versions().kubernetes.minors
        fix = f"--kubernetes takes {', '.join(one.version for one in known.values() if one.crio)} with it"
        raise LabError(f"the lab cannot build CRI-O for Kubernetes {', '.join(needed)}", fix=fix)


def _containerd(runtime: str, minor: str) -> str:
    """`containerd-2.2` -> `2.2.3`; for any other runtime the first version that is tested with the minor."""
    offered = lab_versions().containerd
    named = next((one for one in offered if f"containerd-{minor_of(one)}" == runtime), "")
    return named or next((one for one in offered if not containerd_mismatch(minor, one)), offered[0])


def _unique(*groups: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one for group in groups for one in group))
