from __future__ import annotations

import io
import json
import stat
from pathlib import Path

import pytest

from provision.engine.events import HostFailed, KubeconfigWritten
from provision.errors import CheckError
from provision.paths import state_root
from provision.report.journal import Journal
from provision.report.json_lines import JsonLines, document, error_line, event_line

from . import a_run


def test_an_event_is_one_line_of_json_with_its_kind_its_time_and_its_fields() -> None:
    line = event_line(a_run.FAILED[-2])

    assert json.loads(line) == {
        "event": "step-skipped",
        "at": a_run.START + 75.3,
        "step": "wait-ready",
        "because": "join-workers failed",
    }


def test_a_run_starts_with_its_whole_plan() -> None:
    started = json.loads(event_line(a_run.BEGUN[0]))

    assert [step["name"] for step in started["plan"]] == [step.name for step in a_run.PLAN]
    assert started["plan"][0]["reasons"][0] == {
        "host": "cp1",
        "what": "swap is on (/swapfile, from /etc/fstab)",
    }
    assert started["plan"][1]["variables"] == {"node_join_endpoint": "10.0.0.11:6443"}


def test_every_event_ends_its_line_at_once() -> None:
    file = io.StringIO()

    report = JsonLines(file)
    for event in a_run.FAILED:
        report(event)

    kinds = [json.loads(line)["event"] for line in file.getvalue().splitlines()]
    assert kinds[0] == "run-started"
    assert kinds[-1] == "run-finished"
    assert len(kinds) == len(a_run.FAILED)


def test_what_looks_like_a_secret_is_hidden_in_every_text_of_an_event() -> None:
    token = "abcdef.0123456789abcdef"  # noqa: S105  the shape of one
    event = HostFailed(step="s", host="h", task="t", message=f"token {token}", lines=(f"--token {token}",))

    assert token not in event_line(event)


def test_an_error_is_one_line_that_has_its_exit_code_and_findings() -> None:
    error = json.loads(error_line(CheckError("the checks found errors", findings=a_run.FINDINGS)))

    assert error["event"] == "error"
    assert error["exit_code"] == 4
    assert error["findings"][2]["where"] == "w3"


def test_a_result_is_one_indented_document() -> None:
    text = document({"steps": a_run.PLAN, "path": Path("a")})

    assert text.startswith('{\n  "steps": [')
    assert json.loads(text)["path"] == "a"


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PROVISION_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


def test_the_journal_has_every_event_and_only_its_owner_reads_it(state: Path) -> None:
    with Journal("demo") as journal:
        for event in a_run.FAILED:
            journal(event)

    lines = journal.path.read_text().splitlines()
    assert len(lines) == len(a_run.FAILED)
    assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(journal.path.parent.stat().st_mode) == 0o700
    assert journal.path.is_relative_to(state / "runs" / "demo")


def test_the_newest_twenty_runs_are_kept(state: Path) -> None:
    names = []
    for number in range(23):
        with Journal("demo") as journal:
            journal(KubeconfigWritten(path=str(number)))
        names.append(journal.run)

    assert sorted(path.name for path in (state / "runs" / "demo").iterdir()) == names[-20:]


def test_the_state_lies_in_the_users_state_directory_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PROVISION_STATE", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    assert state_root() == tmp_path / "provision"
