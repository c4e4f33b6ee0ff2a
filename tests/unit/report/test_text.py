from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from provision.errors import CheckError, StepFailedError
from provision.model.outcome import NodesRemoved
from provision.model.plan import Reason
from provision.report.tables import outcome_text
from provision.report.text import error_text, findings_text, plan_text

from . import a_run

Golden = Callable[[str, str], None]


def test_findings_list_errors_first_each_with_its_place_and_fix(golden: Golden) -> None:
    golden("console/findings.txt", findings_text(a_run.FINDINGS))


def test_a_lost_machine_that_would_take_the_virtual_address_is_named() -> None:
    lost = ("cp3", "w1")
    removed = NodesRemoved(
        cluster="demo",
        names=lost,
        not_reset=lost,
        seconds=5.0,
        file=Path("cluster.yaml"),
        vip_holders=("cp3",),
    )

    with_vip = outcome_text(removed)
    without = outcome_text(replace(removed, vip_holders=()))

    assert "the machines of cp3, w1 were not reset: keep them powered off" in with_vip
    assert (
        "cp3 would also announce the virtual address: run `systemctl disable --now provision-vip` there"
        in with_vip
    )
    assert "provision-vip" not in without


def test_an_error_with_findings_is_printed_as_its_findings() -> None:
    error = CheckError("the checks found errors", findings=a_run.FINDINGS)

    assert error_text(error) == findings_text(a_run.FINDINGS)


def test_any_other_error_is_printed_with_its_last_lines_and_its_fix() -> None:
    error = StepFailedError("join-workers failed on w1", fix="provision apply", detail=("no route to host",))

    assert (
        error_text(error)
        == "error: join-workers failed on w1\n  | no route to host\n  fix: provision apply\n"
    )


def test_a_plan_names_for_every_step_who_needs_it_and_why(golden: Golden) -> None:
    golden("console/plan.txt", plan_text("demo", a_run.PLAN))


def test_hosts_with_the_same_reason_share_a_line() -> None:
    hosts = [f"w{number}" for number in range(1, 301)]
    step = replace(
        a_run.PLAN[1], hosts=tuple(hosts), reasons=tuple(Reason(host, "not a node") for host in hosts)
    )

    text = plan_text("demo", (step,))

    assert text.count("not a node") == 1
    assert "294 more" in text


def test_an_empty_plan_is_nothing_to_do() -> None:
    assert plan_text("demo", ()) == "cluster demo: nothing to do\n"
