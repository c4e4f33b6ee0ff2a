"""What goals on a cluster file have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from provision import events, kubeconfig
from provision.report.outcome import Ending, ending_text
from provision.report.text import counted

if TYPE_CHECKING:
    from pathlib import Path

    from provision.cli.goal import ClusterGoal, Run
    from provision.config import Loaded
    from provision.eks.model import EksCluster
    from provision.events import Emit
    from provision.model import Cluster

C = TypeVar("C", "Cluster", "EksCluster")


@dataclass(frozen=True, slots=True)
class OfFile(Generic[C]):
    """`loaded` is the file as it is to be."""

    loaded: Loaded[C]

    @property
    def file(self) -> Path:
        return self.loaded.path

    @property
    def wanted(self) -> C:
        return self.loaded.cluster

    @property
    def cluster(self) -> str:
        return self.wanted.name

    def begin(self, _seen: object) -> None:
        """Nothing comes before the first step."""


@dataclass(frozen=True, slots=True)
class OfHosts(OfFile["Cluster"]):
    """Of a file with `provider: kubeadm`."""

    @property
    def lock(self) -> str:
        return self.wanted.name

    @property
    def subject(self) -> str:
        return counted(len(self.wanted.hosts), "host")


def ended(goal: ClusterGoal[Any], file: Path, seen: object, run: Run, emit: Emit, text: str | None) -> str:
    """The end of bringing a cluster to its file: the kubeconfig `text` lies beside it; after a run, the nodes."""
    target = kubeconfig.beside(file, goal.cluster)
    written = text is not None and kubeconfig.keep(target, text)
    if written:
        emit(events.KubeconfigWritten(path=str(target)))
    if not run.changed:
        return f"kubeconfig: {target}\n" if written else ""
    return ending_text(
        Ending(
            status=goal.status(seen),
            seconds=run.seconds,
            proofs=run.proofs,
            kubeconfig=target,
            file=file,
        )
    )
