"""Which hosts are looked at when a command is about a few of them."""

from __future__ import annotations

import pytest

from provision.errors import UnreachableError
from provision.ssh import findings

from . import factories
from .fixtures import Hosts


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> Hosts:
    cluster = factories.cluster("cp", "cp", "cp", "w", "w", "w", endpoint="10.0.0.10:6443")
    return Hosts(cluster, monkeypatch)


def test_the_chosen_hosts_and_one_control_plane_are_visited_at_once_and_nobody_else(hosts: Hosts) -> None:
    found = hosts.observe("w2", "w3")

    assert hosts.rounds == [["w2", "w3", "cp1"]]
    assert found.observation.source == "cp1"
    assert list(found.observation.hosts) == ["cp1", "w2", "w3"]
    assert (found.unreachable, found.passed_over) == ({}, ())


def test_dead_and_silent_control_planes_are_passed_over_one_by_one(hosts: Hosts) -> None:
    hosts.kill("cp1")
    hosts.silence("cp2")

    found = hosts.observe("w2")

    assert hosts.rounds == [["w2", "cp1"], ["cp2"], ["cp3"]]
    assert found.observation.source == "cp3"
    assert found.observation.cluster is not None
    assert list(found.observation.hosts) == ["cp3", "w2"]
    assert [(passed.where, passed.check) for passed in found.passed_over] == [
        ("cp1", "ssh-no-answer"),
        ("cp2", "api-server-silent"),
    ]


def test_a_control_plane_whose_reset_was_interrupted_is_passed_over(hosts: Hosts) -> None:
    hosts.documents["cp1"]["kubernetes"]["markers"] = ["before", "reset-started"]

    found = hosts.observe("w2")

    assert found.observation.source == "cp2"
    (passed,) = found.passed_over
    assert (passed.where, passed.message) == ("cp1", "its reset was interrupted")


def test_a_control_plane_that_leaves_is_never_worked_through_though_it_is_healthy(hosts: Hosts) -> None:
    found = hosts.observe("cp1", not_through=["cp1"])

    assert hosts.rounds == [["cp1", "cp2"]]
    assert found.observation.source == "cp2"
    assert list(found.observation.hosts) == ["cp1", "cp2"]


def test_a_chosen_host_that_does_not_answer_is_told_and_the_others_are_seen(hosts: Hosts) -> None:
    hosts.kill("w2")

    found = hosts.observe("w2", "w3")

    assert list(found.unreachable) == ["w2"]
    assert list(found.observation.hosts) == ["cp1", "w3"]


def test_without_any_healthy_control_plane_each_is_named_with_what_is_wrong(hosts: Hosts) -> None:
    hosts.kill("cp1", "cp3")
    hosts.documents["cp2"] = factories.fresh(hosts.cluster.host("cp2"))

    found = hosts.observe("w2")

    assert found.observation.cluster is None
    assert [passed.where for passed in found.passed_over] == ["cp1", "cp2", "cp3"]
    assert "no control plane yet" in found.passed_over[1].message


def test_a_missing_password_is_asked_for_before_anything_is_concluded(hosts: Hosts) -> None:
    hosts.kill("w2")
    hosts.dead["cp1"] = findings.command_failed(
        "cp1", "me", 1, "sudo: a password is required", password=False
    )

    with pytest.raises(UnreachableError) as refusal:
        hosts.observe("w2")

    assert [finding.where for finding in refusal.value.findings] == ["cp1"]


def test_hosts_whose_firewalls_know_the_members_are_visited_too(hosts: Hosts) -> None:
    noted = {"input": [], "hosts": ["cp1", "w1", "w3"]}
    hosts.documents["cp1"] = factories.with_firewall(hosts.documents["cp1"], noted=noted)
    hosts.kill("w3")

    found = hosts.observe("w2")

    assert hosts.rounds == [["w2", "cp1"], ["w1", "w3"]]
    assert list(found.observation.hosts) == ["cp1", "w1", "w2"]
    assert list(found.unreachable) == ["w3"]
