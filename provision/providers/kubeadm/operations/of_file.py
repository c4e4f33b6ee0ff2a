"""What goals on a cluster file have in common."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from provision import kubeconfig
from provision.engine import events
from provision.errors import ProvisionError
from provision.model.outcome import ClusterReady, KubeconfigOnly
from provision.model.units import counted
from provision.report.tables import outcome_text

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from provision.config import Loaded
    from provision.engine.events import Emit
    from provision.engine.operation import ClusterGoal, Run
    from provision.model.cluster import Cluster
    from provision.model.eks import EksCluster
    from provision.providers.kubeadm.operations.looking import Look

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

    def renew_kubeconfig(self, seen: Look, names: Collection[str], emit: Emit) -> None:
        """After control planes of these names came or left: the kubeconfig may name one that is gone."""
        if not self.wanted.control_planes_among(names) or not seen.observation.source:
            return
        target = kubeconfig.beside(self.file, self.cluster)
        try:
            text = kubeconfig.fetch(self.wanted, seen.observation.source, sudo_password=seen.sudo_password)
            _kept(target, text, emit)
        except ProvisionError as error:
            print(f"warning: {error.message}; later: `provision kubeconfig`", file=sys.stderr)


def ended(goal: ClusterGoal[Any], file: Path, seen: object, run: Run, emit: Emit, text: str | None) -> str:
    """The end of bringing a cluster to its file: the kubeconfig `text` lies beside it; after a run, the nodes."""
    target = kubeconfig.beside(file, goal.cluster)
    written = text is not None and _kept(target, text, emit)
    if not run.changed:
        return outcome_text(KubeconfigOnly(path=target) if written else None)
    return outcome_text(
        ClusterReady(
            status=goal.status(seen),
            seconds=run.seconds,
            proofs=run.proofs,
            kubeconfig=target,
            file=file,
        )
    )


def _kept(target: Path, text: str, emit: Emit) -> bool:
    """Whether the kubeconfig had to be written; that is told."""
    written = kubeconfig.keep(target, text)
    if written:
        emit(events.KubeconfigWritten(path=str(target)))
    return written
