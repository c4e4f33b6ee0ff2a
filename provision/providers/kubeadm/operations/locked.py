"""Run playbooks under the cluster's lock, and undo what an interrupted join or drain left behind."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from provision.errors import ProvisionError

if TYPE_CHECKING:
    import threading
    from collections.abc import Collection, Iterator

    from provision.engine.events import Emit
    from provision.engine.executor import StepResult
    from provision.engine.operation import Interaction, StepRunner
    from provision.model.cluster import Cluster
    from provision.model.plan import PlaybookStep
    from provision.providers.kubeadm.operations.cluster_lock import ClusterLock
    from provision.providers.kubeadm.operations.observed import Observed
    from provision.ssh import Secrets

_JOINS = ("join-workers", "join-control-planes")
_DRAIN = "drain-nodes"


@contextmanager
def locked_playbooks(
    cluster: Cluster, observed: Observed, interaction: Interaction, *, command: str
) -> Iterator[StepRunner[PlaybookStep]]:
    """Hold the cluster's lock and run steps as playbooks; `command` is shown to other runs that want the lock.

    Raises BusyError if another run holds the lock.
    """
    # A run without steps needs none of these, and they take half a second to import.
    from provision.ansible import playbooks  # noqa: PLC0415
    from provision.providers.kubeadm.operations.cluster_lock import cluster_lock  # noqa: PLC0415
    from provision.ssh import Secrets  # noqa: PLC0415

    secrets = Secrets(sudo_password=observed.sudo_password)
    with (
        cluster_lock(
            cluster, observed.observation, command=command, secrets=secrets, warn=interaction.warn
        ) as lock,
        playbooks(cluster, sudo_password=observed.sudo_password) as runner,
    ):
        guarded = _Guarded(runner, lock)
        try:
            yield guarded
        finally:
            for through, steps in guarded.failed_joins.items():
                _revoke(cluster, through, steps, secrets, interaction)
            for drain in guarded.failed_drains:
                _uncordon(cluster, drain, secrets, interaction)


def keeps_lock(cluster: Cluster, observed: Observed, leaving: Collection[str]) -> Observed:
    """The observation of the hosts that stay and so keep the lock; of all hosts where no control plane stays."""
    staying = observed.observation.hosts.keys() - set(leaving)
    if not cluster.control_planes_among(staying):
        return observed
    return replace(observed, observation=observed.observation.of_hosts(staying))


@dataclass(frozen=True, slots=True)
class _Guarded:
    """Runs steps only while this run has the lock.

    `failed_joins` are steps by the control plane where their tokens were created.
    """

    runner: StepRunner[PlaybookStep]
    lock: ClusterLock
    failed_joins: dict[str, list[str]] = field(default_factory=dict)
    failed_drains: list[PlaybookStep] = field(default_factory=list)

    def run_step(self, step: PlaybookStep, emit: Emit, cancel: threading.Event) -> StepResult:
        self.lock.check()
        try:
            result = self.runner.run_step(step, emit, cancel)
        except BaseException:
            self._record_failure(step)
            raise
        if result.failed:
            self._record_failure(step)
        return result

    def _record_failure(self, step: PlaybookStep) -> None:
        if step.playbook in _JOINS:
            self.failed_joins.setdefault(step.through, []).append(step.playbook)
        elif step.playbook == _DRAIN:
            self.failed_drains.append(step)


def _revoke(
    cluster: Cluster, through: str, steps: list[str], secrets: Secrets, interaction: Interaction
) -> None:
    """Revoke the credentials that interrupted playbooks could not revoke themselves."""
    from provision.providers.kubeadm.operations.tokens import revoke  # noqa: PLC0415

    try:
        revoke(cluster, through, steps, secrets=secrets)
    except ProvisionError as error:
        interaction.warn(f"{error.message}; a token of the interrupted join lives for up to 15 minutes")


def _uncordon(cluster: Cluster, drain: PlaybookStep, secrets: Secrets, interaction: Interaction) -> None:
    """Make the nodes of an interrupted drain schedulable again, as the playbook does after a failed one."""
    from provision.providers.kubeadm.operations.agent_requests import request  # noqa: PLC0415

    nodes = list(drain.nodes)
    try:
        answer = request(cluster, drain.through, {"do": "uncordon", "nodes": nodes}, secrets=secrets)
    except ProvisionError as error:
        interaction.warn(
            f"{error.message}; to make the nodes schedulable: `kubectl uncordon {' '.join(nodes)}`"
        )
        return
    for name in answer["uncordoned"]:
        interaction.inform(f"{name} is uncordoned again")
