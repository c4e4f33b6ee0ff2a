"""What the operations on a kubeadm cluster have in common: their file, lock, playbooks and kubeconfig."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from provision import kubeconfig
from provision.engine import events
from provision.engine.operation import Description
from provision.errors import ProvisionError
from provision.model.units import counted
from provision.providers.kubeadm.operations.locked import locked_playbooks

if TYPE_CHECKING:
    from collections.abc import Collection
    from contextlib import AbstractContextManager
    from pathlib import Path

    from provision.config import Loaded
    from provision.engine.operation import Interaction, StepRunner
    from provision.model.cluster import Cluster
    from provision.model.plan import PlaybookPlan, PlaybookStep
    from provision.providers.kubeadm.operations.observed import Observed


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeadmOperation:
    """An operation on the cluster of a file; `loaded` is the file as it is to be."""

    loaded: Loaded[Cluster]

    @property
    def file(self) -> Path:
        return self.loaded.path

    @property
    def cluster(self) -> Cluster:
        return self.loaded.cluster

    @property
    def subject(self) -> str:
        return counted(len(self.cluster.hosts), "host")

    @property
    def resume_command(self) -> str:
        return f"provision apply -f {self.file}"

    @property
    def description(self) -> Description:
        return Description(
            cluster=self.cluster.name,
            lock=self.cluster.name,
            subject=self.subject,
            resume_command=self.resume_command,
        )

    def warnings(self, _observed: Observed, _plan: PlaybookPlan) -> tuple[str, ...]:
        return ()

    def begin(self, _observed: Observed) -> None:
        """Nothing comes before the first step."""

    def step_runner(
        self, observed: Observed, interaction: Interaction
    ) -> AbstractContextManager[StepRunner[PlaybookStep]]:
        return locked_playbooks(self.cluster, observed, interaction, command=self.resume_command)

    def refresh_kubeconfig(
        self, observed: Observed, names: Collection[str], interaction: Interaction
    ) -> None:
        """Fetch the kubeconfig after control planes of these names came or left: it may name one that is gone."""
        if not self.cluster.control_planes_among(names) or not observed.observation.source:
            return
        try:
            self.write_kubeconfig(fetch_kubeconfig(self.cluster, observed), interaction)
        except ProvisionError as error:
            interaction.warn(f"{error.message}; later: `provision kubeconfig`")

    def write_kubeconfig(self, text: str, interaction: Interaction) -> bool:
        """Write the kubeconfig beside the cluster file; false if it is there already."""
        target = kubeconfig.beside(self.file, self.cluster.name)
        written = kubeconfig.write_if_changed(target, text)
        if written:
            interaction.emit(events.KubeconfigWritten(path=str(target)))
        return written


def fetch_kubeconfig(cluster: Cluster, observed: Observed) -> str:
    """The admin kubeconfig of the control plane that was observed, named after the cluster.

    Behind `endpoint: local` it names that control plane, because the endpoint is one for nodes only.
    Raises UnreachableError if the host cannot be read from, ProvisionError if what it has is no kubeconfig.
    """
    from provision.ssh import Secrets, fetch_file  # noqa: PLC0415  (fabric is slow to import)

    host = cluster.host(observed.observation.source)
    secrets = Secrets(sudo_password=observed.sudo_password)
    text = fetch_file(cluster, host, kubeconfig.ADMIN, secrets=secrets).decode(errors="replace")
    return kubeconfig.rename(kubeconfig.replace_loopback(text, host.address), cluster.name)
