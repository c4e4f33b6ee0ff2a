"""A first file of provider eks from the words of a command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from provision.config.eks_text import eks_cluster_text
from provision.config.places import findings_at
from provision.config.problem import Key, Problem, key_text
from provision.config.rules.eks import problems_of_values
from provision.config.text import write_new
from provision.errors import FileError
from provision.model.eks import EksCluster, NodeGroup, Vpc
from provision.versions import versions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

GROUP = "workers"  # the name of the node group that is written
_SPARE = 1  # nodes that the group may grow by without a change of the file


def eks_cluster_from_arguments(
    *,
    name: str,
    region: str | None,
    nodes: int = 2,
    instance_types: Sequence[str] = (),
    zones: Sequence[str] = (),
    kubernetes: str | None = None,
    name_flag: str = "--name",
) -> EksCluster:
    """Return the cluster that flags ask for: one node group of `nodes` nodes, everything else as by default.

    `kubernetes` None is this release's default minor, no `zones` lets AWS's offers decide; a `region` is needed.
    `name_flag` is what findings call the name. Raises FileError with a finding per argument that is wrong.
    """
    size = max(nodes, 0)
    group = NodeGroup(name=GROUP, min=min(size, 1), desired=size, max=size + _SPARE)
    if instance_types:
        group = group.model_copy(update={"instance_types": tuple(instance_types)})
    cluster = EksCluster(
        name=name,
        provider="eks",
        region=region or "",
        kubernetes=kubernetes or versions().eks.default,
        vpc=Vpc(zones=tuple(zones)),
        node_groups=(group,),
    )
    problems = [*_beyond_the_file(region, nodes), *problems_of_values(cluster.model_dump())]
    problems = [each for each in problems if each.severity == "error"]
    if problems:
        findings = findings_at(problems, _Arguments(name_flag, tuple(instance_types), tuple(zones)))
        raise FileError("the arguments do not describe a cluster", findings=findings)
    return cluster


def write_eks_file(path: Path, cluster: EksCluster) -> None:
    """Write a commented file for a cluster; raises FileError, and changes nothing, if `path` is there already."""
    write_new(path, eks_cluster_text(cluster))


def _beyond_the_file(region: str | None, nodes: int) -> Iterator[Problem]:
    if not region:
        fix = "add --region, for example --region eu-central-1, or set AWS_REGION"
        yield Problem(key=("region",), check="missing-key", message="no region is given", fix=fix)
    if nodes < 0:
        fix = "write 0 or more"
        yield Problem(
            key=("node_groups", 0, "desired"), check="size", message=f"{nodes} is less than 0", fix=fix
        )


@dataclass(frozen=True, slots=True)
class _Arguments:
    """Names the flag, and the word behind it, that a value came from."""

    name_flag: str
    instance_types: tuple[str, ...]
    zones: tuple[str, ...]

    def line(self, _problem: Problem) -> int:
        return 0

    def named(self, problem: Problem) -> tuple[str, str]:
        return self._flag(problem.key), ""

    def _flag(self, key: Key) -> str:
        match key:
            case ("name" | "region" | "kubernetes" as part,):
                return self.name_flag if part == "name" else f"--{part}"
            case ("vpc", "zones", int() as index):
                return f"--zone {self.zones[index]}"
            case ("vpc", "zones"):
                return "--zone"
            case ("node_groups", _, "instance_types", int() as index) if self.instance_types:
                return f"--instance-type {self.instance_types[index]}"
            case ("node_groups", _, "min" | "desired" | "max"):
                return "--nodes"
        return key_text(key)
