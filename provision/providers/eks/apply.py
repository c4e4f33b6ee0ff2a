"""Runs a step of a plan against AWS: finds what is there, makes or changes what is missing, waits.

Every action looks again at what it is about to touch, by tags and names, so that a step may be run after any other run
that was cut off anywhere.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from provision.errors import InterruptedRunError
from provision.providers.eks.actions import ACTIONS
from provision.providers.eks.aws.calls import Pace
from provision.providers.eks.work import Work

if TYPE_CHECKING:
    from provision.engine.events import Emit
    from provision.engine.executor import StepResult
    from provision.model.eks import EksCluster
    from provision.model.plan import PlaybookStep
    from provision.providers.eks.aws.account import Account
    from provision.providers.eks.facts import Observation

# Seconds: how soon a cancelled run is noticed, and how long a call that is on its way may still take.
_HEAR_CANCEL, _GRACE = 0.1, 0.5


@contextmanager
def actions(
    cluster: EksCluster,
    account: Account,
    observation: Observation,
    *,
    pace: Pace | None = None,
    wait: bool = True,
) -> Iterator[Actions]:
    """What runs the steps of one run. `wait` false: the last waits are left out, where no step builds on their end."""
    yield Actions(cluster, account, observation, pace or Pace(), wait)


@dataclass(frozen=True, slots=True)
class Actions:
    """Made by `actions`."""

    cluster: EksCluster
    account: Account
    observation: Observation
    pace: Pace
    wait: bool

    def run_step(self, step: PlaybookStep, emit: Emit, cancel: threading.Event) -> StepResult:
        """Run the step's action on its resources; ends within a second after `cancel` is set.

        Resources that failed are in the result, each with a HostFailed event; so are, without one, those that were
        not come to. What the action raises beside errors of AWS is raised.
        """
        work = Work(
            cluster=self.cluster,
            account=self.account.renewed(),
            observation=self.observation,
            step=step,
            pace=self.pace,
            wait=self.wait,
            cancel=cancel,
            _emit=emit,
        )
        going = _Going(work)
        thread = threading.Thread(target=going.run, name=f"action {step.name}", daemon=True)
        thread.start()
        while thread.is_alive() and not cancel.is_set():
            thread.join(_HEAR_CANCEL)
        # A call that hangs is left alone: the next run finds what became of it.
        thread.join(_GRACE if cancel.is_set() else None)
        result = work.leave()
        if going.broken is not None:
            raise going.broken
        return result


@dataclass(slots=True)
class _Going:
    """An action on its way in a thread of its own."""

    work: Work
    broken: BaseException | None = field(default=None)

    def run(self) -> None:
        try:
            ACTIONS[self.work.step.playbook](self.work)
        except InterruptedRunError:
            return
        except BaseException as error:  # noqa: BLE001  (raised again by run_step)
            self.broken = error
