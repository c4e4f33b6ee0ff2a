"""The goal of provider kubeadm: the hosts and the cluster are as the file says."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from provision import kubeconfig
from provision.providers.kubeadm.checks import check
from provision.providers.kubeadm.operations.looking import look_at_those_that_answer
from provision.providers.kubeadm.operations.of_file import OfHosts, ended
from provision.providers.kubeadm.operations.status import status
from provision.providers.kubeadm.steps.planning import plan

if TYPE_CHECKING:
    from provision.engine.events import Emit
    from provision.engine.operation import Backend, Run
    from provision.model.plan import Finding, PlaybookPlan
    from provision.model.status import Status
    from provision.providers.kubeadm.operations.looking import Look


@dataclass(frozen=True, slots=True)
class KubeadmGoal(OfHosts):
    """`smoke`: whether new nodes are proven by a smoke test. `reading`: hosts that cannot be used are left out."""

    smoke: bool = True
    reading: bool = False

    @property
    def again(self) -> str:
        return f"provision apply -f {self.file}"

    def look(self, emit: Emit, again: Look | None = None) -> Look:
        seen, lost = look_at_those_that_answer(self.wanted, emit, again=again, skip=self.reading)
        for name, why in lost.items():
            print(f"warning: {name}: {why.message}", file=sys.stderr)
        return seen

    def check(self, seen: Look) -> tuple[Finding, ...]:
        return (*self.loaded.warnings, *check(self.wanted, seen.observation))

    def plan(self, seen: Look) -> PlaybookPlan:
        return plan(self.wanted, seen.observation, smoke=self.smoke)

    def notice(self, _seen: Look, _steps: PlaybookPlan) -> str:
        return ""

    def backend(self, seen: Look) -> AbstractContextManager[Backend]:
        from provision.providers.kubeadm.operations.locked import locked_playbooks

        return locked_playbooks(self.wanted, seen, command=self.again)

    def end(self, seen: Look, run: Run, emit: Emit) -> str:
        """Fetch the admin kubeconfig after a run, and where it is missing; tell the nodes after a run."""
        wanted = run.changed or not kubeconfig.beside(self.file, self.cluster).exists()
        text = self.kubeconfig(seen, self.cluster) if wanted else None
        return ended(self, self.file, seen, run, emit, text)

    def status(self, seen: Look) -> Status:
        return status(self.wanted, seen.observation, self.plan(seen))

    def kubeconfig(self, seen: Look, name: str) -> str | None:
        if seen.observation.cluster is None:
            return None
        text = kubeconfig.fetch(self.wanted, seen.observation.source, sudo_password=seen.sudo_password)
        return kubeconfig.renamed(text, name)
