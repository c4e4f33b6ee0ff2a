"""The goals of provider eks: the account is as the file says, or holds nothing of the cluster any more."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from provision import kubeconfig
from provision.errors import CheckError, ProvisionError
from provision.model.eks import EksCluster
from provision.model.outcome import ClusterDeleted
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
from provision.providers.kubeadm.operations.of_file import OfFile, ended
from provision.report.tables import outcome_text
from provision.report.text import estimate_text

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from provision.engine.events import Emit
    from provision.engine.operation import Backend, Run
    from provision.model.costs import Estimate
    from provision.model.plan import Finding, Plan
    from provision.model.status import Status
    from provision.providers.eks.aws.account import Account
    from provision.providers.eks.aws.kube_api import KubeNode
    from provision.providers.eks.facts import Observation, Orphans


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen of the account; `orphans` only where something is to be deleted."""

    observation: Observation
    orphans: Orphans | None = None


@dataclass(frozen=True, slots=True)
class _InAccount(OfFile[EksCluster]):
    """What both goals share."""

    account: Account

    @property
    def lock(self) -> str:
        return f"{self.wanted.region}.{self.wanted.name}"

    @property
    def subject(self) -> str:
        return f"the AWS account in {self.wanted.region}"

    @property
    def by_eksctl(self) -> bool:
        return self.wanted.backend == "eksctl"

    def backend(self, seen: Sight) -> AbstractContextManager[Backend]:
        if self.by_eksctl:
            return commands(self.wanted, find())
        return actions(
            self.wanted, self.account, seen.observation, pace=pace_of(os.environ), wait=self._waits
        )

    @property
    def _waits(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class EksGoal(_InAccount):
    """`wait` false: what nothing builds on is left to AWS; `live_prices`: the estimate is made of today's."""

    wait: bool = True
    live_prices: bool = False

    @property
    def again(self) -> str:
        return f"provision apply -f {self.file}"

    @property
    def _waits(self) -> bool:
        return self.wait

    def look(self, emit: Emit, _again: Sight | None = None) -> Sight:
        return Sight(observe(self.wanted, self.account, emit))

    def check(self, seen: Sight) -> tuple[Finding, ...]:
        preflight = observe_preflight(self.wanted, self.account, seen.observation, lambda _event: None)
        return (*self.loaded.warnings, *check(self.wanted, seen.observation, preflight))

    def plan(self, seen: Sight) -> Plan:
        make = eksctl_plan.plan if self.by_eksctl else apply_plan
        return make(self.wanted, seen.observation)

    def notice(self, seen: Sight, _steps: Plan) -> str:
        """What a new cluster costs."""
        if seen.observation.cluster is not None:
            return ""
        return estimate_text(self.estimate())

    def estimate(self) -> Estimate:
        prices = live(self.wanted, self.account) if self.live_prices else bundled(self.wanted)
        extended = support.bundled().extended(self.wanted.kubernetes, datetime.now(UTC).date())
        return estimate(self.wanted, prices, extended=extended)

    def end(self, seen: Sight, run: Run, emit: Emit) -> str:
        """Write the kubeconfig, which holds no secret, wherever it differs."""
        return ended(self, self.file, seen, run, emit, self.kubeconfig(seen, self.cluster))

    def status(self, seen: Sight) -> Status:
        """With the nodes themselves where the API server can be reached from here, else by node group."""
        return status(self.wanted, seen.observation, self.plan(seen), self._nodes(seen))

    def nodes(self, seen: Sight) -> tuple[KubeNode, ...]:
        """The nodes as the API server has them. Raises ProvisionError where that cannot be asked."""
        found = seen.observation.cluster
        if found is None or not found.endpoint:
            fix = f"provision apply -f {self.file}"
            raise CheckError(f"the account has no EKS cluster {self.cluster} that can be asked", fix=fix)
        bearer = token(self.wanted.name, self.wanted.region, self.account.signer)
        return kube_api.nodes(found, bearer)

    def _nodes(self, seen: Sight) -> tuple[KubeNode, ...] | None:
        found = seen.observation.cluster
        if found is None or not found.owned or not found.endpoint:
            return None
        try:
            return self.nodes(seen)
        except ProvisionError as error:
            print(f"warning: the nodes themselves cannot be seen: {error.message}", file=sys.stderr)
            return None

    def kubeconfig(self, seen: Sight, name: str) -> str | None:
        found = seen.observation.cluster
        if found is None or not found.endpoint:
            return None
        return kubeconfig_text(self.wanted, found.endpoint, found.authority, context=name)


@dataclass(frozen=True, slots=True)
class EksResetGoal(_InAccount):
    """Nothing that provision made for the cluster is left; `delete_volumes`: nor are the volumes of its claims."""

    delete_volumes: bool = False

    @property
    def again(self) -> str:
        return f"provision reset -f {self.file}"

    def look(self, emit: Emit, _again: Sight | None = None) -> Sight:
        account = self.account
        observation = observe(self.wanted, account, emit)
        return Sight(observation, observe_orphans(self.wanted, account, observation))

    def check(self, seen: Sight) -> tuple[Finding, ...]:
        return reset_findings(self.wanted, seen.observation)

    def plan(self, seen: Sight) -> Plan:
        if self.by_eksctl:
            return eksctl_plan.delete_plan(self.wanted, seen.observation)
        return reset_plan(
            self.wanted, seen.observation, self._orphans(seen), delete_volumes=self.delete_volumes
        )

    def notice(self, seen: Sight, _steps: Plan) -> str:
        return "".join(f"{line}\n" for line in self._staying(seen))

    def end(self, _seen: Sight, run: Run, _emit: Emit) -> str:
        """The kubeconfig goes with the cluster."""
        target = kubeconfig.beside(self.file, self.cluster)
        target.unlink(missing_ok=True)
        if not run.changed:
            return ""
        return outcome_text(ClusterDeleted(cluster=self.cluster, seconds=run.seconds))

    def _orphans(self, seen: Sight) -> Orphans:
        if seen.orphans is None:
            raise AssertionError("a reset observes orphans")
        return seen.orphans

    def _staying(self, seen: Sight) -> tuple[str, ...]:
        return remaining(
            self.wanted, seen.observation, self._orphans(seen), delete_volumes=self.delete_volumes
        )
