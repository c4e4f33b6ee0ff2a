"""The goal of `provision reset` for provider kubeadm: hosts are as they were before us."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from provision import kubeconfig
from provision.cli.node import DRAIN_SECONDS
from provision.model.outcome import HostsReset, KubeconfigRemoved
from provision.providers.kubeadm.checks import quorum
from provision.providers.kubeadm.checks.resets import left_out, reset_findings, untold
from provision.providers.kubeadm.facts.gather import unreachable_error
from provision.providers.kubeadm.operations.looking import Look, look_at_those_that_answer
from provision.providers.kubeadm.operations.of_file import OfHosts
from provision.providers.kubeadm.steps.removal import removal_plan
from provision.providers.kubeadm.steps.reset import RESET_PLAYBOOK, reset_hosts, reset_plan
from provision.report.tables import outcome_text

if TYPE_CHECKING:
    from provision.engine.events import Emit
    from provision.engine.operation import Backend, Run
    from provision.model.plan import Finding, PlaybookPlan


@dataclass(frozen=True, slots=True)
class ResetGoal(OfHosts):
    """`hosts` are names, () for all of them.

    `force`: hosts that cannot be reached are left as they are, and pods end that nothing makes anew elsewhere.
    `_why`, filled by looking: why hosts were left out.
    """

    hosts: tuple[str, ...] = ()
    force: bool = False
    _why: dict[str, Finding] = field(default_factory=dict)

    @property
    def again(self) -> str:
        words = ["provision reset", *self.hosts, "-f", str(self.file), *(["--force"] * self.force)]
        return " ".join(words)

    @property
    def whole(self) -> bool:
        return not self.hosts or set(self.hosts) >= {host.name for host in self.wanted.hosts}

    @property
    def names(self) -> tuple[str, ...]:
        return self.hosts or tuple(host.name for host in self.wanted.hosts)

    def look(self, emit: Emit, again: Look | None = None) -> Look:
        """Raises UnreachableError for a host that is to be reset; one that stays may be down."""
        seen, why = look_at_those_that_answer(
            self.wanted, emit, again=again, skip=self.force or not self.whole
        )
        self._why.update(why)
        silent = [why[name] for name in self.names if name in why]
        if silent and not self.force:
            raise unreachable_error(silent, len(self.wanted.hosts))
        return seen

    def check(self, seen: Look) -> tuple[Finding, ...]:
        leaving = () if self.whole else self.names
        return (
            *reset_findings(self.wanted, seen.observation, self.names),
            *quorum.removal(self.wanted, seen.observation, leaving),
            *left_out(self.names, seen.observation, self._why),
            *untold(self.wanted, self.names, self._why),
        )

    def plan(self, seen: Look) -> PlaybookPlan:
        if self.whole:
            return reset_plan(self.wanted, seen.observation, force=self.force)
        if seen.observation.cluster is None:  # nobody is there to be told that they leave
            return tuple(reset_hosts(self.wanted, seen.observation, self.names))
        return removal_plan(
            self.wanted, seen.observation, self.names, force=self.force, drain_seconds=DRAIN_SECONDS
        )

    def notice(self, _seen: Look, steps: PlaybookPlan) -> str:
        resets = [step for step in steps if step.playbook == RESET_PLAYBOOK]
        hosts = list(dict.fromkeys(host for step in resets for host in step.hosts))
        lost = "the cluster with everything in it" if self.whole else "their pods and what these keep there"
        return (
            f"\nThis destroys {lost}: {', '.join(hosts)}: pods, images"
            f"{', etcd with all objects' if self.whole else ''} and our preparation go for good.\n"
        )

    def backend(self, seen: Look) -> AbstractContextManager[Backend]:
        from provision.providers.kubeadm.operations.locked import locked_playbooks, staying

        return locked_playbooks(self.wanted, staying(self.wanted, seen, self.names), command=self.again)

    def end(self, seen: Look, run: Run, emit: Emit) -> str:
        """Remove the kubeconfig of a cluster that is no more, and say what became of the hosts."""
        removed = None
        if self.whole:
            path = kubeconfig.beside(self.file, self.cluster)
            if path.exists():
                path.unlink()
                removed = path
        elif run.changed:
            self.renew_kubeconfig(seen, self.names, emit)
        if not run.changed:
            return outcome_text(KubeconfigRemoved(path=removed) if removed else None)
        return outcome_text(
            HostsReset(
                cluster=self.cluster,
                hosts=tuple(name for name in self.names if name in seen.observation.hosts),
                seconds=run.seconds,
                removed_kubeconfig=removed,
            )
        )
