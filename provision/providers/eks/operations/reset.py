"""Delete the cluster of a file and everything that was created for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from provision import kubeconfig
from provision.model.outcome import ClusterDeleted
from provision.providers.eks.eksctl import plan as eksctl_plan
from provision.providers.eks.operations.apply import EksOperation, Observed
from provision.providers.eks.operations.observe import observe
from provision.providers.eks.resources.orphans import observe_orphans, remaining, reset_findings
from provision.providers.eks.steps.catalogue import reset_plan

if TYPE_CHECKING:
    from provision.engine.events import Emit
    from provision.engine.operation import Interaction, RunResult
    from provision.model.costs import Estimate
    from provision.model.outcome import Outcome
    from provision.model.plan import Finding, Plan
    from provision.providers.eks.facts import Orphans


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetOperation(EksOperation):
    """`delete_volumes`: delete the volumes of its persistent volume claims, too."""

    delete_volumes: bool = False

    @property
    def resume_command(self) -> str:
        return f"provision reset -f {self.file}"

    def observe(self, emit: Emit, _interaction: Interaction, _previous: Observed | None = None) -> Observed:
        observation = observe(self.cluster, self.account, emit)
        return Observed(observation, observe_orphans(self.cluster, self.account, observation))

    def check(self, observed: Observed) -> tuple[Finding, ...]:
        return reset_findings(self.cluster, observed.observation)

    def plan(self, observed: Observed) -> Plan:
        if self.by_eksctl:
            return eksctl_plan.delete_plan(self.cluster, observed.observation)
        return reset_plan(
            self.cluster,
            observed.observation,
            self._orphans(observed),
            delete_volumes=self.delete_volumes,
        )

    def warnings(self, observed: Observed, _plan: Plan) -> tuple[str | Estimate, ...]:
        orphans = self._orphans(observed)
        return remaining(self.cluster, observed.observation, orphans, delete_volumes=self.delete_volumes)

    def finish(self, _observed: Observed, result: RunResult, _interaction: Interaction) -> Outcome | None:
        """Remove the kubeconfig with the cluster."""
        kubeconfig.beside(self.file, self.cluster.name).unlink(missing_ok=True)
        if not result.changed:
            return None
        return ClusterDeleted(cluster=self.cluster.name, seconds=result.seconds)

    def _orphans(self, observed: Observed) -> Orphans:
        if observed.orphans is None:
            raise AssertionError("a reset observes orphans")
        return observed.orphans
