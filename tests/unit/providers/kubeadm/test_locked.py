"""What stands around the playbooks of a run: the lock, and tokens that are taken back after a join that failed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from provision import ansible
from provision.cli.interaction import Terminal
from provision.engine.executor import StepResult
from provision.errors import BusyError, UnreachableError
from provision.model.plan import PlaybookStep, Reason
from provision.providers.kubeadm.operations import agent_requests, cluster_lock as clusterlock, tokens
from provision.providers.kubeadm.operations.locked import locked_playbooks
from provision.providers.kubeadm.operations.observed import Observed
from tests.unit.providers.kubeadm import factories

CLUSTER = factories.cluster("cp", "w")


class Rig:
    """The lock and the playbooks, replaced: what was done with them, in order."""

    def __init__(self) -> None:
        self.done: list[object] = []
        self.failed: frozenset[str] = frozenset()
        self.lost = False

    def run_step(self, step: PlaybookStep, *_others: object) -> StepResult:
        self.done.append(step.name)
        return StepResult(changed=True, failed=self.failed)

    def check(self) -> None:
        if self.lost:
            raise BusyError("lost")

    @contextmanager
    def lock(self, *_arguments: object, **_options: object) -> Iterator[Rig]:
        self.done.append("lock")
        yield self
        self.done.append("release")

    @contextmanager
    def playbooks(self, *_arguments: object, **_options: object) -> Iterator[Rig]:
        yield self

    def revoke(self, _cluster: object, through: str, steps: list[str], **_options: object) -> None:
        self.done.append((through, *steps))


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    rig = Rig()
    monkeypatch.setattr(clusterlock, "cluster_lock", rig.lock)
    monkeypatch.setattr(ansible, "playbooks", rig.playbooks)
    monkeypatch.setattr(tokens, "revoke", rig.revoke)
    return rig


def step(name: str, through: str = "") -> PlaybookStep:
    reasons = (Reason("w1", "x"),)
    return PlaybookStep(name=name, summary="", playbook=name, hosts=("w1",), reasons=reasons, through=through)


def run(*steps: PlaybookStep) -> None:
    look = Observed(observation=factories.observation(factories.running(CLUSTER)))
    with locked_playbooks(CLUSTER, look, Terminal(), command="provision apply") as backend:
        for one in steps:
            backend.run_step(one, lambda _event: None, threading.Event())


JOIN = step("join-workers", through="cp1")


def test_steps_run_under_the_lock_and_a_join_that_ended_well_revokes_nothing_more(rig: Rig) -> None:
    run(JOIN)

    assert rig.done == ["lock", "join-workers", "release"]


def test_a_join_that_failed_or_was_cut_off_has_its_token_revoked_before_the_lock_is_free(rig: Rig) -> None:
    rig.failed = frozenset({"w1"})

    run(JOIN)

    assert rig.done == ["lock", "join-workers", ("cp1", "join-workers"), "release"]


def test_a_failure_of_another_step_revokes_nothing(rig: Rig) -> None:
    rig.failed = frozenset({"w1"})

    run(step("prepare-hosts"))

    assert rig.done == ["lock", "prepare-hosts", "release"]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"uncordoned": ["w1"]}, "w1 is uncordoned again\n"),
        (
            UnreachableError("cp1: no answer"),
            "warning: cp1: no answer; to make the nodes schedulable: `kubectl uncordon w1`\n",
        ),
    ],
)
def test_nodes_whose_drain_was_cut_off_get_pods_again(
    rig: Rig,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: dict[str, object] | Exception,
    told: str,
) -> None:
    rig.failed = frozenset({"cp1"})

    def asked(_cluster: object, through: str, request: object, **_options: object) -> dict[str, object]:
        rig.done.append((through, request))
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(agent_requests, "request", asked)

    run(replace(step("drain-nodes", through="cp1"), hosts=("cp1",), nodes=("w1",)))

    request = {"do": "uncordon", "nodes": ["w1"]}
    assert rig.done == ["lock", "drain-nodes", ("cp1", request), "release"]
    assert capsys.readouterr().err == told


def test_without_the_lock_no_further_step_begins(rig: Rig) -> None:
    rig.lost = True

    with pytest.raises(BusyError):
        run(JOIN)

    assert "join-workers" not in rig.done


def test_a_revocation_that_fails_is_a_warning_and_hides_nothing(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rig.failed = frozenset({"w1"})

    def unreachable(*_arguments: Any, **_options: Any) -> None:
        raise UnreachableError("cp1: no answer")

    monkeypatch.setattr(tokens, "revoke", unreachable)

    run(JOIN)

    assert "warning: cp1: no answer; a token of the interrupted join lives" in capsys.readouterr().err
    assert rig.done[-1] == "release"
