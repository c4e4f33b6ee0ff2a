"""`provision apply`, and what `check`, `plan`, `status` and `kubeconfig` read: the whole cluster of a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from provision import kubeconfig
from provision.model.outcome import ClusterReady, KubeconfigOnly
from provision.providers.kubeadm.checks import check
from provision.providers.kubeadm.operations.observed import Observed, observe_all
from provision.providers.kubeadm.operations.operation import KubeadmOperation, fetch_kubeconfig
from provision.providers.kubeadm.operations.status import status
from provision.providers.kubeadm.steps.planning import apply_plan

if TYPE_CHECKING:
    from provision.engine.events import Emit
    from provision.engine.operation import Interaction, RunResult
    from provision.model.outcome import Outcome
    from provision.model.plan import Finding, PlaybookPlan
    from provision.model.status import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyOperation(KubeadmOperation):
    """Bring hosts and cluster to what the file says.

    `smoke`: end with a smoke test where nodes were made. `skip_unreachable`: leave out hosts that cannot be observed.
    """

    smoke: bool = True
    skip_unreachable: bool = False

    def observe(self, emit: Emit, interaction: Interaction, previous: Observed | None = None) -> Observed:
        observed = observe_all(
            self.cluster, emit, interaction, previous, skip_unreachable=self.skip_unreachable
        )
        for name, finding in observed.unreachable.items():
            interaction.warn(f"{name}: {finding.message}")
        return observed

    def check(self, observed: Observed) -> tuple[Finding, ...]:
        return (*self.loaded.warnings, *check(self.cluster, observed.observation))

    def plan(self, observed: Observed) -> PlaybookPlan:
        return apply_plan(self.cluster, observed.observation, smoke=self.smoke)

    def finish(self, observed: Observed, result: RunResult, interaction: Interaction) -> Outcome | None:
        """Fetch the admin kubeconfig after a run, and where it is missing."""
        target = kubeconfig.beside(self.file, self.cluster.name)
        text = None
        if result.changed or not target.exists():
            text = self.kubeconfig(observed, self.cluster.name)
        written = text is not None and self.write_kubeconfig(text, interaction)
        if not result.changed:
            return KubeconfigOnly(path=target) if written else None
        return ClusterReady(
            status=self.status(observed, interaction),
            seconds=result.seconds,
            proofs=result.proofs,
            kubeconfig=target,
            file=self.file,
        )

    def status(self, observed: Observed, _interaction: Interaction) -> Status:
        return status(self.cluster, observed.observation, self.plan(observed))

    def kubeconfig(self, observed: Observed, name: str) -> str | None:
        if observed.observation.cluster is None:
            return None
        return kubeconfig.rename(fetch_kubeconfig(self.cluster, observed), name)
