"""The goal of provider kubeadm: the hosts and the cluster are as the file says."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from provision import events, kubeconfig
from provision.cli.looking import look_at_those_that_answer
from provision.cli.of_file import OfFile
from provision.kubeadm.checks import check
from provision.kubeadm.narrow import narrow
from provision.kubeadm.plan import plan
from provision.kubeadm.status import status
from provision.report.outcome import Ending, ending_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from provision.cli.goal import Backend, Run
    from provision.cli.looking import Look
    from provision.events import Emit
    from provision.model import Finding, Plan, Step
    from provision.status import Status


@dataclass(frozen=True, slots=True)
class KubeadmGoal(OfFile):
    """`smoke`: whether new nodes are proven by a smoke test. `reading`: hosts that cannot be used are left out."""

    smoke: bool = True
    reading: bool = False

    @property
    def file(self) -> Path:
        return self.loaded.path

    @property
    def again(self) -> str:
        return f"provision apply -f {self.file}"

    def look(self, emit: Emit, again: Look | None = None) -> Look:
        seen, lost = look_at_those_that_answer(self.wanted, emit, again=again, skip=self.reading)
        for name, why in lost.items():
            print(f"warning: {name}: {why}", file=sys.stderr)
        return seen

    def check(self, seen: Look) -> tuple[Finding, ...]:
        return (*self.loaded.warnings, *check(self.wanted, seen.observation))

    def plan(self, seen: Look) -> Plan:
        return plan(self.wanted, seen.observation, smoke=self.smoke)

    def notice(self, _seen: Look, _steps: Plan) -> str:
        return ""

    def backend(self, seen: Look) -> AbstractContextManager[Backend]:
        from provision.cli.locked import locked_playbooks

        return locked_playbooks(self.wanted, seen, command=self.again)

    @property
    def narrow(self) -> Callable[[Step, frozenset[str]], Step | None]:
        return narrow

    def end(self, seen: Look, run: Run, emit: Emit) -> str:
        """Keep the admin kubeconfig beside the file; tell the nodes after a run."""
        path = self._keep_kubeconfig(seen, renew=run.changed)
        if path is not None:
            emit(events.KubeconfigWritten(path=str(path)))
        if not run.changed:
            return f"kubeconfig: {path}\n" if path else ""
        return ending_text(
            Ending(
                status=self.status(seen),
                seconds=run.seconds,
                proofs=run.proofs,
                kubeconfig=kubeconfig.beside(self.file, self.cluster),
                file=self.file,
            )
        )

    def status(self, seen: Look) -> Status:
        return status(self.wanted, seen.observation)

    def kubeconfig(self, seen: Look, name: str) -> str | None:
        if seen.observation.cluster is None:
            return None
        text = kubeconfig.fetch(self.wanted, seen.observation.source, sudo_password=seen.sudo_password)
        return kubeconfig.renamed(text, name)

    def _keep_kubeconfig(self, seen: Look, *, renew: bool) -> Path | None:
        """Fetch the admin kubeconfig after a run, and where it is missing; its path if it was written."""
        target = kubeconfig.beside(self.file, self.cluster)
        if target.exists() and not renew:
            return None
        text = self.kubeconfig(seen, self.cluster)
        if text is None or (target.exists() and target.read_text() == text):
            return None
        kubeconfig.write(target, text)
        return target
