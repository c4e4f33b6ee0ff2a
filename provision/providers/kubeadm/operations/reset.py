"""`provision reset`: hosts are brought back to what they were before the cluster."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from provision import kubeconfig
from provision.model.outcome import HostsReset, KubeconfigRemoved
from provision.model.plan import DRAIN_SECONDS
from provision.providers.kubeadm.checks import quorum
from provision.providers.kubeadm.checks.resets import reset_findings, warn_left_out, warn_unreachable
from provision.providers.kubeadm.facts.gather import unreachable_error
from provision.providers.kubeadm.operations.locked import keeps_lock, locked_playbooks
from provision.providers.kubeadm.operations.observed import Observed, observe_all
from provision.providers.kubeadm.operations.operation import KubeadmOperation
from provision.providers.kubeadm.steps.leaving import RESET_PLAYBOOK
from provision.providers.kubeadm.steps.planning import removal_plan, reset_plan

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from provision.engine.events import Emit
    from provision.engine.operation import Interaction, RunResult, StepRunner
    from provision.model.outcome import Outcome
    from provision.model.plan import Finding, PlaybookPlan, PlaybookStep


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetOperation(KubeadmOperation):
    """Reset the hosts of these names, () for all of them, and so the cluster.

    `force`: hosts that cannot be reached are left as they are, and pods without a controller are deleted.
    """

    hosts: tuple[str, ...] = ()
    force: bool = False

    @property
    def resume_command(self) -> str:
        return shlex.join(
            ["provision", "reset", *self.hosts, "-f", str(self.file), *(["--force"] * self.force)]
        )

    @property
    def whole(self) -> bool:
        return not self.hosts or set(self.hosts) >= {host.name for host in self.cluster.hosts}

    @property
    def names(self) -> tuple[str, ...]:
        return self.hosts or tuple(host.name for host in self.cluster.hosts)

    def observe(self, emit: Emit, interaction: Interaction, previous: Observed | None = None) -> Observed:
        """Raises UnreachableError for a host that is to be reset; one that stays may be down."""
        skip = self.force or not self.whole
        observed = observe_all(self.cluster, emit, interaction, previous, skip_unreachable=skip)
        silent = [observed.unreachable[name] for name in self.names if name in observed.unreachable]
        if silent and not self.force:
            raise unreachable_error(silent, len(self.cluster.hosts))
        return observed

    def check(self, observed: Observed) -> tuple[Finding, ...]:
        leaving = () if self.whole else self.names
        # Only the endpoint of others depends on control planes; firewalls are closed for all by the next `apply`.
        concerned = observed.unreachable if self.cluster.control_planes_among(self.names) else {}
        return (
            *reset_findings(self.cluster, observed.observation, self.names),
            *quorum.removal(self.cluster, observed.observation, leaving),
            *warn_left_out(self.names, observed.observation, observed.unreachable),
            *warn_unreachable(self.names, concerned),
        )

    def plan(self, observed: Observed) -> PlaybookPlan:
        if self.whole or observed.observation.cluster is None:
            return reset_plan(self.cluster, observed.observation, self.names, force=self.force)
        return removal_plan(
            self.cluster, observed.observation, self.names, force=self.force, drain_seconds=DRAIN_SECONDS
        )

    def warnings(self, _observed: Observed, plan: PlaybookPlan) -> tuple[str, ...]:
        resets = [step for step in plan if step.playbook == RESET_PLAYBOOK]
        hosts = ", ".join(dict.fromkeys(host for step in resets for host in step.hosts))
        lost = "the cluster with everything in it" if self.whole else "their pods and the data of these"
        etcd = ", etcd with all objects" if self.whole else ""
        return (f"This destroys {lost}: {hosts}: pods, images{etcd} and the preparation of the hosts.",)

    def step_runner(
        self, observed: Observed, interaction: Interaction
    ) -> AbstractContextManager[StepRunner[PlaybookStep]]:
        held = keeps_lock(self.cluster, observed, self.names)
        return locked_playbooks(self.cluster, held, interaction, command=self.resume_command)

    def finish(self, observed: Observed, result: RunResult, interaction: Interaction) -> Outcome | None:
        """Remove the kubeconfig of a cluster that does not exist any more."""
        removed = None
        target = kubeconfig.beside(self.file, self.cluster.name)
        if self.whole and target.exists():
            target.unlink()
            removed = target
        elif not self.whole and result.changed:
            self.refresh_kubeconfig(observed, self.names, interaction)
        if not result.changed:
            return KubeconfigRemoved(path=removed) if removed else None
        return HostsReset(
            cluster=self.cluster.name,
            hosts=tuple(name for name in self.names if name in observed.observation.hosts),
            seconds=result.seconds,
            removed_kubeconfig=removed,
        )
