"""The playbooks of a run, under the cluster's lock; what a run that was cut off minted or cordoned is taken back."""

from __future__ import annotations

import sys
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from provision.errors import ProvisionError

if TYPE_CHECKING:
    from provision.engine.events import Emit
    from provision.engine.executor import StepResult
    from provision.engine.operation import Backend
    from provision.model.cluster import Cluster
    from provision.model.plan import PlaybookStep
    from provision.providers.kubeadm.operations.cluster_lock import ClusterLock
    from provision.providers.kubeadm.operations.looking import Look
    from provision.ssh import Secrets

_JOINS = ("join-workers", "join-control-planes")
_DRAIN = "drain-nodes"


@contextmanager
def locked_playbooks(cluster: Cluster, seen: Look, *, command: str) -> Iterator[Backend]:
    """What runs the steps against a cluster while its lock is held; `command` is what others are told.

    Raises BusyError if another run holds the lock.
    """
    from provision.ansible import playbooks
    from provision.providers.kubeadm.operations.cluster_lock import cluster_lock
    from provision.ssh import Secrets

    secrets = Secrets(sudo_password=seen.sudo_password)
    with (
        cluster_lock(cluster, seen.observation, command=command, secrets=secrets, tell=_warn) as lock,
        playbooks(cluster, sudo_password=seen.sudo_password) as backend,
    ):
        guarded = _Guarded(backend, lock)
        try:
            yield guarded
        finally:
            for through, steps in guarded.unfinished.items():
                _revoke(cluster, through, steps, secrets)
            for drain in guarded.drains:
                _uncordon(cluster, drain, secrets)


def staying(cluster: Cluster, seen: Look, names: Collection[str]) -> Look:
    """What was seen of hosts that stay when those of these names go: the lock is theirs to keep.

    Of all hosts where no control plane stays.
    """
    from provision.providers.kubeadm.operations.looking import Look
    from provision.providers.kubeadm.steps.removal import only

    stay = seen.observation.hosts.keys() - set(names)
    if not cluster.control_planes_among(stay):
        return seen
    return Look(only(seen.observation, stay), seen.sudo_password)


@dataclass(frozen=True, slots=True)
class _Guarded:
    """Runs steps only while the lock is ours.

    `unfinished` are joins that failed, by where their tokens were made; `drains` are drains that did.
    """

    backend: Backend
    lock: ClusterLock
    unfinished: dict[str, list[str]] = field(default_factory=dict)
    drains: list[PlaybookStep] = field(default_factory=list)

    def run_step(self, step: PlaybookStep, emit: Emit, cancel: threading.Event) -> StepResult:
        self.lock.check()
        try:
            result = self.backend.run_step(step, emit, cancel)
        except BaseException:
            self._remember(step)
            raise
        if result.failed:
            self._remember(step)
        return result

    def _remember(self, step: PlaybookStep) -> None:
        if step.playbook in _JOINS:
            self.unfinished.setdefault(step.through, []).append(step.playbook)
        elif step.playbook == _DRAIN:
            self.drains.append(step)


def _revoke(cluster: Cluster, through: str, steps: list[str], secrets: Secrets) -> None:
    """Take back what playbooks that were cut off could not take back themselves."""
    from provision.providers.kubeadm.operations.tokens import revoke

    try:
        revoke(cluster, through, steps, secrets=secrets)
    except ProvisionError as error:
        _warn(f"{error.message}; a token of the interrupted join lives for up to 15 minutes")


def _uncordon(cluster: Cluster, drain: PlaybookStep, secrets: Secrets) -> None:
    """Nodes whose drain was cut off get pods again, as they do after one that failed."""
    from provision.providers.kubeadm.operations.errand import errand

    nodes = list(drain.nodes)
    try:
        answer = errand(cluster, drain.through, {"do": "uncordon", "nodes": nodes}, secrets=secrets)
    except ProvisionError as error:
        _warn(f"{error.message}; so that pods come again: `kubectl uncordon {' '.join(nodes)}`")
        return
    for name in answer["uncordoned"]:
        print(f"{name} is uncordoned again", file=sys.stderr)


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)
