"""The operations of provider eks: `apply`, which `status` and others read from, and `reset`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from provision import kubeconfig
from provision.engine import events
from provision.engine.operation import Description
from provision.errors import CheckError, ProvisionError
from provision.model.outcome import ClusterDeleted, ClusterReady, KubeconfigOnly
from provision.providers.eks.aws import kube_api
from provision.providers.eks.aws.calls import pace_of
from provision.providers.eks.aws.kubeconfig import kubeconfig_text
from provision.providers.eks.aws.token import token
from provision.providers.eks.checks import check, support
from provision.providers.eks.checks.preflight import observe_preflight
from provision.providers.eks.eksctl import plan as eksctl_plan
from provision.providers.eks.eksctl.runner import commands, find
from provision.providers.eks.observe import observe
from provision.providers.eks.pricing.estimate import estimate
from provision.providers.eks.pricing.prices import bundled, live
from provision.providers.eks.resources.orphans import observe_orphans, remaining, reset_findings
from provision.providers.eks.status import status
from provision.providers.eks.steps.catalogue import apply_plan, reset_plan
from provision.providers.eks.steps.runner import actions

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from provision.config import Loaded
    from provision.engine.events import Emit
    from provision.engine.operation import Interaction, RunResult, StepRunner
    from provision.model.costs import Estimate
    from provision.model.eks import EksCluster
    from provision.model.outcome import Outcome
    from provision.model.plan import Finding, Plan
    from provision.model.status import Status
    from provision.providers.eks.aws.account import Account
    from provision.providers.eks.aws.kube_api import KubeNode
    from provision.providers.eks.facts import Observation, Orphans


@dataclass(frozen=True, slots=True)
class Observed:
    """What was observed of the account; `orphans` only where something is to be deleted."""

    observation: Observation
    orphans: Orphans | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _EksOperation:
    """What both operations share."""

    loaded: Loaded[EksCluster]
    account: Account

    @property
    def file(self) -> Path:
        return self.loaded.path

    @property
    def cluster(self) -> EksCluster:
        return self.loaded.cluster

    @property
    def resume_command(self) -> str:
        return f"provision apply -f {self.file}"

    @property
    def description(self) -> Description:
        return Description(
            cluster=self.cluster.name,
            lock=f"{self.cluster.region}.{self.cluster.name}",
            subject=f"the AWS account in {self.cluster.region}",
            resume_command=self.resume_command,
        )

    @property
    def waits(self) -> bool:
        return True

    @property
    def by_eksctl(self) -> bool:
        return self.cluster.backend == "eksctl"

    def begin(self, _observed: Observed) -> None:
        """Nothing comes before the first step."""

    def step_runner(
        self, observed: Observed, _interaction: Interaction
    ) -> AbstractContextManager[StepRunner[Any]]:
        if self.by_eksctl:
            return commands(self.cluster, find())
        pace = pace_of(os.environ)
        return actions(self.cluster, self.account, observed.observation, pace=pace, wait=self.waits)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyOperation(_EksOperation):
    """Bring the account to what the file says.

    `wait` false: what no later step needs is left to AWS; `live_prices`: the estimate is made of today's prices.
    """

    wait: bool = True
    live_prices: bool = False

    @property
    def waits(self) -> bool:
        return self.wait

    def observe(self, emit: Emit, _interaction: Interaction, _previous: Observed | None = None) -> Observed:
        return Observed(observe(self.cluster, self.account, emit))

    def check(self, observed: Observed) -> tuple[Finding, ...]:
        observation = observed.observation
        preflight = observe_preflight(self.cluster, self.account, observation, lambda _event: None)
        return (*self.loaded.warnings, *check(self.cluster, observation, preflight))

    def plan(self, observed: Observed) -> Plan:
        make = eksctl_plan.plan if self.by_eksctl else apply_plan
        return make(self.cluster, observed.observation)

    def warnings(self, observed: Observed, _plan: Plan) -> tuple[str | Estimate, ...]:
        """What a new cluster costs."""
        return (self.estimate(),) if observed.observation.cluster is None else ()

    def estimate(self) -> Estimate:
        prices = live(self.cluster, self.account) if self.live_prices else bundled(self.cluster)
        extended = support.bundled().extended(self.cluster.kubernetes, datetime.now(UTC).date())
        return estimate(self.cluster, prices, extended=extended)

    def finish(self, observed: Observed, result: RunResult, interaction: Interaction) -> Outcome | None:
        """Write the kubeconfig wherever it differs: there is no secret in it."""
        text, written = self.kubeconfig(observed, self.cluster.name), False
        target = kubeconfig.beside(self.file, self.cluster.name)
        if text is not None and kubeconfig.write_if_changed(target, text):
            interaction.emit(events.KubeconfigWritten(path=str(target)))
            written = True
        if not result.changed:
            return KubeconfigOnly(path=target) if written else None
        return ClusterReady(
            status=self.status(observed, interaction),
            seconds=result.seconds,
            proofs=result.proofs,
            kubeconfig=target,
            file=self.file,
        )

    def status(self, observed: Observed, interaction: Interaction) -> Status:
        """With the nodes themselves where the API server can be reached from here, else by node group."""
        nodes = None
        found = observed.observation.cluster
        if found is not None and found.owned and found.endpoint:
            try:
                nodes = self.nodes(observed)
            except ProvisionError as error:
                interaction.warn(f"nodes cannot be listed: {error.message}")
        return status(self.cluster, observed.observation, self.plan(observed), nodes)

    def nodes(self, observed: Observed) -> tuple[KubeNode, ...]:
        """The nodes as the API server has them. Raises ProvisionError where that cannot be asked."""
        found = observed.observation.cluster
        if found is None or not found.endpoint:
            fix = f"provision apply -f {self.file}"
            raise CheckError(f"the account has no EKS cluster {self.cluster.name} that can be asked", fix=fix)
        bearer = token(self.cluster.name, self.cluster.region, self.account.signer)
        return kube_api.nodes(found, bearer)

    def kubeconfig(self, observed: Observed, name: str) -> str | None:
        found = observed.observation.cluster
        if found is None or not found.endpoint:
            return None
        return kubeconfig_text(self.cluster, found.endpoint, found.authority, context=name)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetOperation(_EksOperation):
    """Delete everything that was made for the cluster; `delete_volumes`: the volumes of its claims, too."""

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
