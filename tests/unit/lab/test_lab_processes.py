"""Processes that outlive this one: found by one argument, stopped with all that they started, and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from provision.errors import LabError
from provision.lab import processes

CHILD = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"


@pytest.fixture
def argument(tmp_path: Path) -> Iterator[str]:
    wanted = f"only-here={tmp_path}"
    yield wanted
    for process in processes.find(wanted):
        processes.stop(process)


def spawn(argument: str, tmp_path: Path, code: str = "import time; time.sleep(600)") -> int:
    argv = (sys.executable, "-c", code, argument)
    return processes.spawn(argv, log=tmp_path / "log", environment=os.environ)


def wait_for_session(session: int, members: int) -> None:
    deadline = time.monotonic() + 20
    while sum(one.session == session for one in processes._all()) < members:
        assert time.monotonic() < deadline, f"session {session} has fewer than {members} processes"
        time.sleep(0.01)


def test_a_spawned_process_is_found_by_its_argument_alone(argument: str, tmp_path: Path) -> None:
    pid = spawn(argument, tmp_path)

    assert [process.pid for process in processes.find(argument)] == [pid]
    assert processes.find(argument[:-1]) == ()


def test_a_process_that_only_mentions_the_argument_is_not_found(argument: str) -> None:
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as sleeper:
        found = processes.find(f"{argument}/console.log")
        sleeper.kill()

    assert found == ()


def test_a_process_of_a_users_session_with_the_argument_is_not_found(argument: str) -> None:
    argv = [sys.executable, "-c", "import time; time.sleep(600)", argument]
    with subprocess.Popen(argv) as mine:
        found = processes.find(argument)
        mine.kill()

    assert found == ()


@pytest.mark.skipif(os.geteuid() != 0, reason="a pid namespace of its own needs root")
def test_in_a_pid_namespace_a_process_whose_session_leads_outside_is_not_found(argument: str) -> None:
    """As in a container or a CI job: there the session of everything that was not spawned reads as 0."""
    code = (
        "import subprocess, sys; from provision.lab import processes\n"
        "mine = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)', sys.argv[1]])\n"
        "found = processes.find(sys.argv[1]); mine.kill(); print(found)"
    )
    enter = [
        "unshare",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        sys.executable,
        "-c",
        code,
        argument,
    ]
    done = subprocess.run(enter, capture_output=True, text=True, check=True)

    assert done.stdout == "()\n"


def test_stopping_ends_everything_that_the_process_started(argument: str, tmp_path: Path) -> None:
    pid = spawn(argument, tmp_path, CHILD)
    wait_for_session(pid, members=2)

    (process,) = processes.find(argument)
    processes.stop(process)

    assert not any(one.session == pid for one in processes._all())
    assert processes.find(argument) == ()


def test_a_child_that_outlives_it_is_found_and_stopped(argument: str, tmp_path: Path) -> None:
    child = [sys.executable, "-c", "import time; time.sleep(600)", argument]
    pid = spawn(argument, tmp_path, f"import subprocess; subprocess.run({child!r})")
    wait_for_session(pid, members=2)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)

    (left,) = processes.find(argument)
    processes.stop(left)

    assert not left.is_leader
    assert processes.find(argument) == ()


def test_it_runs_in_another_directory_and_session_and_without_input(argument: str, tmp_path: Path) -> None:
    code = "import os, sys; print(os.getcwd(), os.getsid(0) == os.getpid(), repr(sys.stdin.read()))"

    pid = spawn(argument, tmp_path, code)
    os.waitpid(pid, 0)

    assert (tmp_path / "log").read_text() == "/ True ''\n"


def test_a_program_that_cannot_be_started_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="cannot start"):
        processes.spawn(("true",), log=tmp_path / "no" / "log", environment={"PATH": os.defpath})
