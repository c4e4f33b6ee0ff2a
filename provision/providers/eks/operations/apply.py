"""Apply a cluster file to an AWS account, and read status, nodes and kubeconfig of its cluster."""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from provision import kubeconfig
from provision.engine import events
from provision.engine.operation import Description
from provision.errors import CheckError, ProvisionError
from provision.model.outcome import ClusterReady, KubeconfigOnly
from provision.providers.eks.aws import kube_api
from provision.providers.eks.aws.calls import pace_of
from provision.providers.eks.aws.kubeconfig import kubeconfig_text
from provision.providers.eks.aws.token import token
from provision.providers.eks.checks import check, support
from provision.providers.eks.checks.preflight import observe_preflight
from provision.providers.eks.eksctl import plan as eksctl_plan
from provision.providers.eks.eksctl.runner import Commands, find
from provision.providers.eks.operations.observe import observe
from provision.providers.eks.operations.status import status
from provision.providers.eks.pricing.estimate import estimate
from provision.providers.eks.pricing.prices import bundled, live
from provision.providers.eks.steps.catalogue import apply_plan
from provision.providers.eks.steps.runner import Actions

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
    """The observation of the account; `orphans` only where the cluster is to be deleted."""

    observation: Observation
    orphans: Orphans | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EksOperation:
    """The common part of apply and reset."""

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
            return nullcontext(Commands(self.cluster, find()))
        pace = pace_of(os.environ)
        return nullcontext(Actions(self.cluster, self.account, observed.observation, pace, self.waits))


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyOperation(EksOperation):
    """Bring the account to what the file asks for.

    `wait` false: do not wait for what no later step needs; `live_prices`: estimate the costs with today's prices.
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
        """The estimated costs of a new cluster."""
        return (self.estimate(),) if observed.observation.cluster is None else ()

    def estimate(self) -> Estimate:
        prices = live(self.cluster, self.account) if self.live_prices else bundled(self.cluster)
        extended = support.bundled().extended(self.cluster.kubernetes, datetime.now(UTC).date())
        return estimate(self.cluster, prices, extended=extended)

    def finish(self, observed: Observed, result: RunResult, interaction: Interaction) -> Outcome | None:
        """Write the kubeconfig if it differs; it holds no secret."""
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
        """The status with its nodes if the API server can be reached from this machine, else with its node groups."""
        nodes = None
        found = observed.observation.cluster
        if found is not None and found.owned and found.endpoint:
            try:
                nodes = self.nodes(observed)
            except ProvisionError as error:
                interaction.warn(f"nodes cannot be listed: {error.message}")
        return status(self.cluster, observed.observation, self.plan(observed), nodes)

    def nodes(self, observed: Observed) -> tuple[KubeNode, ...]:
        """The nodes as the API server lists them. Raises ProvisionError if it cannot be reached."""
        found = observed.observation.cluster
        if found is None or not found.endpoint:
            fix = f"provision apply -f {self.file}"
            raise CheckError(
                f"the account has no EKS cluster {self.cluster.name} with an API server", fix=fix
            )
        bearer = token(self.cluster.name, self.cluster.region, self.account.signer)
        return kube_api.nodes(found, bearer)

    def kubeconfig(self, observed: Observed, name: str) -> str | None:
        found = observed.observation.cluster
        if found is None or not found.endpoint:
            return None
        return kubeconfig_text(self.cluster, found.endpoint, found.authority, context=name)
