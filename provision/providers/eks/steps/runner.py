"""Give the steps of a run their effect on AWS, each in a thread that a cancelled run can leave behind."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from provision.errors import InterruptedRunError
from provision.providers.eks.steps.catalogue import effect_of
from provision.providers.eks.steps.execution import Work

if TYPE_CHECKING:
    from collections.abc import Callable

    from provision.engine.events import Emit
    from provision.engine.executor import StepResult
    from provision.model.eks import EksCluster
    from provision.providers.eks.aws.account import Account
    from provision.providers.eks.aws.calls import Pace
    from provision.providers.eks.facts import Observation
    from provision.providers.eks.steps.planning import EksStep

# Seconds: how soon a cancelled run is noticed, and how long a call that is on its way may still take.
_CANCEL_POLL, _GRACE = 0.1, 0.5


@dataclass(frozen=True, slots=True)
class Actions:
    """The runner of the steps of one run. `wait` false: leave out the last waits, where no step builds on their end."""

    cluster: EksCluster
    account: Account
    observation: Observation
    pace: Pace
    wait: bool = True

    def run_step(self, step: EksStep, emit: Emit, cancel: threading.Event) -> StepResult:
        """Run the step on its resources; ends within a second after `cancel` is set.

        Resources that failed are in the result, each with a HostFailed event; so are, without one, those that were
        not attempted. What the step raises beside errors of AWS is raised.
        """
        work = Work(
            cluster=self.cluster,
            account=self.account.renewed(),
            step=step,
            pace=self.pace,
            cancel=cancel,
            _emit=emit,
            observation=self.observation,
            wait=self.wait,
        )
        running = _Running(work, effect_of(step))
        thread = threading.Thread(target=running.run, name=f"action {step.name}", daemon=True)
        thread.start()
        while thread.is_alive() and not cancel.is_set():
            thread.join(_CANCEL_POLL)
        # A call that hangs is left behind: the next run finds what became of it.
        thread.join(_GRACE if cancel.is_set() else None)
        result = work.end()
        if running.error is not None:
            raise running.error
        return result


@dataclass(slots=True)
class _Running:
    """A step in a thread of its own."""

    work: Work
    effect: Callable[[Work], None]
    error: BaseException | None = field(default=None)

    def run(self) -> None:
        try:
            self.effect(self.work)
        except InterruptedRunError:
            return
        except BaseException as error:  # noqa: BLE001  (raised again by run_step)
            self.error = error
