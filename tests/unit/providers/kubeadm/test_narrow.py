from __future__ import annotations

from collections.abc import Mapping

from provision.model.plan import Reason, Step
from provision.providers.kubeadm.steps.narrow import narrow


def step(*hosts: str, **variables: object) -> Step:
    reasons = tuple(Reason(host, "x") for host in hosts)
    values: Mapping[str, object] = variables
    return Step(name="s", summary="S", playbook="s", hosts=hosts, reasons=reasons, variables=values)


def narrowed(one: Step, *lost: str) -> Step:
    left = narrow(one, frozenset(lost))
    assert left is not None
    return left


def test_nobody_waits_for_a_node_whose_host_failed() -> None:
    left = narrowed(step("cp1", cluster_ready_nodes=["cp1", "w1", "w2"]), "w1")

    assert left.variables["cluster_ready_nodes"] == ["cp1", "w2"]


def test_a_node_whose_host_failed_is_not_labelled() -> None:
    left = narrowed(step("cp1", node_labels_nodes={"w1": {"labels": {}}, "w2": {"labels": {}}}), "w1")

    assert set(left.variables["node_labels_nodes"]) == {"w2"}  # type: ignore[call-overload]


def test_a_smoke_test_between_nodes_is_left_out_when_one_of_them_failed() -> None:
    one = step("cp1", smoke_test_server_node="w1", smoke_test_client_node="cp1")

    assert narrow(one, frozenset({"w1"})) is None
    assert narrow(one, frozenset({"w2"})) is not None


def test_a_step_whose_hosts_all_failed_is_none_any_more() -> None:
    assert narrow(step("w1"), frozenset({"w1"})) is None


def test_without_failures_a_step_stays_what_it_is() -> None:
    one = step("cp1", cluster_ready_nodes=["cp1"])

    assert narrow(one, frozenset()) is one or narrow(one, frozenset()) == one
