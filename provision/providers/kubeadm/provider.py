"""The operations of provider kubeadm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from provision.errors import FileError
from provision.providers.kubeadm.facts.gather import observe_selected
from provision.providers.kubeadm.operations.apply import ApplyOperation
from provision.providers.kubeadm.operations.observed import ask_sudo_password
from provision.providers.kubeadm.operations.reset import ResetOperation
from provision.providers.kubeadm.operations.status import list_nodes

if TYPE_CHECKING:
    from provision.config import Loaded
    from provision.engine.operation import Interaction
    from provision.model.cluster import Cluster
    from provision.model.plan import Finding
    from provision.model.status import Listed


@dataclass(frozen=True, slots=True)
class KubeadmProvider:
    """Implements `provision.providers.Provider`."""

    loaded: Loaded[Cluster]

    def apply(
        self,
        *,
        smoke: bool = True,
        skip_unreachable: bool = False,
        wait: bool = True,  # noqa: ARG002
        live_prices: bool = False,  # noqa: ARG002
    ) -> ApplyOperation:
        return ApplyOperation(loaded=self.loaded, smoke=smoke, skip_unreachable=skip_unreachable)

    def reset(
        self,
        *,
        hosts: tuple[str, ...],
        force: bool,
        delete_volumes: bool,  # noqa: ARG002
    ) -> ResetOperation:
        known = [host.name for host in self.loaded.cluster.hosts]
        for host in hosts:
            if host not in known:
                raise FileError(
                    f"{self.loaded.path} has no host {host}", fix=f"its hosts are {', '.join(known)}"
                )
        return ResetOperation(loaded=self.loaded, hosts=hosts, force=force)

    def list_nodes(self, interaction: Interaction) -> tuple[tuple[Listed, ...], tuple[Finding, ...] | None]:
        cluster = self.loaded.cluster
        selected, _ = ask_sudo_password(
            lambda password: observe_selected(cluster, (), sudo_password=password, emit=interaction.emit),
            interaction,
        )
        if selected.observation.cluster is None:
            return list_nodes(cluster, None), selected.passed_over
        return list_nodes(cluster, selected.observation), None
