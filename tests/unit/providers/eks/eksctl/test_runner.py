"""eksctl itself cannot work here: below it lies CloudFormation, which moto does not have for EKS. A program of its name
stands in, which records how it was called and says what eksctl says.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from provision.engine.events import Event, HostFailed, Note, TaskFinished, TaskStarted
from provision.engine.executor import StepResult
from provision.errors import CheckError
from provision.providers.eks.eksctl.plan import plan
from provision.providers.eks.eksctl.runner import Commands, environment, find
from tests.unit.providers.eks import factories

_PROGRAM = """#!{python}
import json, os, sys, time
here = {here!r}
if sys.argv[1:] == ["version"]:
    print(open(here + "/version").read())
    raise SystemExit
names = ("AWS_PROFILE", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
record = {{
    "arguments": sys.argv[1:],
    "stdin": sys.stdin.read(),
    "environment": {{name: os.environ[name] for name in names if name in os.environ}},
    "session": os.getsid(0) == os.getpid(),
    "pid": os.getpid(),
}}
with open(here + "/calls", "a") as calls:
    calls.write(json.dumps(record) + "\\n")
for line in open(here + "/says"):
    print(line, end="", flush=True)
if os.path.exists(here + "/hangs"):
    time.sleep(600)
raise SystemExit(int(open(here + "/code").read()))
"""

_CREATION = """\
2026-11-21 13:35:07 [i]  eksctl version 0.215.0
2026-11-21 13:35:07 [i]  using region eu-central-1
2026-11-21 13:35:08 [i]  deploying stack "eksctl-demo-cluster"
2026-11-21 13:35:38 [i]  waiting for CloudFormation stack "eksctl-demo-cluster"
2026-11-21 13:36:08 [i]  waiting for CloudFormation stack "eksctl-demo-cluster"
2026-11-21 13:45:08 [i]  creating addon: vpc-cni
2026-11-21 13:45:09 [✔]  successfully created addon: vpc-cni
2026-11-21 13:45:10 [i]  deploying stack "eksctl-demo-nodegroup-workers"
2026-11-21 13:45:40 [!]  recommended policies were found for "vpc-cni" addon
2026-11-21 13:49:10 [✔]  created 1 managed nodegroup(s) in cluster "demo"
2026-11-21 13:49:11 [✔]  EKS cluster "demo" in "eu-central-1" region is ready
"""
_FAILURE = """\
2026-11-21 13:35:08 [i]  deploying stack "eksctl-demo-cluster"
2026-11-21 13:35:09 [✖]  creating CloudFormation stack "eksctl-demo-cluster": AlreadyExistsException: already exists
Error: failed to create cluster "demo"
"""


@dataclass(frozen=True)
class Fake:
    """The stand-in's directory."""

    here: Path

    def says(self, text: str, *, code: int = 0) -> None:
        (self.here / "says").write_text(text, encoding="utf-8")
        (self.here / "code").write_text(str(code))

    def hangs(self) -> None:
        (self.here / "hangs").touch()

    def version(self, text: str) -> None:
        (self.here / "version").write_text(text)

    @property
    def calls(self) -> list[Any]:
        path = self.here / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def eksctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    path = tmp_path / "eksctl"
    path.write_text(_PROGRAM.format(python=sys.executable, here=str(tmp_path)), encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    fake = Fake(tmp_path)
    fake.version("0.215.0")
    fake.says(_CREATION)
    return fake


CLUSTER = factories.cluster(backend="eksctl")


def run(
    cancel: threading.Event | None = None, recorded: list[Event] | None = None
) -> tuple[StepResult, list[Event]]:
    """The creation of the cluster, as it would go in a run."""
    events: list[Event] = [] if recorded is None else recorded
    (step,) = plan(CLUSTER, factories.nothing())
    result = Commands(CLUSTER, find()).run_step(step, events.append, cancel or threading.Event())
    return result, events


def test_eksctl_is_given_the_config_on_standard_input_and_nothing_else(eksctl: Fake) -> None:
    result, _ = run()
    assert result == StepResult(changed=True)
    (call,) = eksctl.calls
    assert call["arguments"] == [
        "create",
        "cluster",
        "--config-file=-",
        "--write-kubeconfig=false",
        "--timeout=60m",
        "--color=false",
    ]
    assert yaml.safe_load(call["stdin"])["metadata"]["name"] == "demo"
    assert call["session"], "Ctrl-C at the terminal must not reach it"
    assert sorted(path.name for path in eksctl.here.iterdir()) == [
        "calls",
        "code",
        "eksctl",
        "says",
        "version",
    ]


def test_its_lines_become_events_of_each_resource(eksctl: Fake) -> None:
    del eksctl
    _, events = run()
    tasks = [(event.host, event.task) for event in events if isinstance(event, TaskStarted)]
    assert tasks == [
        ("cluster", "eksctl version 0.215.0"),
        ("cluster", "using region eu-central-1"),
        ("cluster", 'deploying stack "eksctl-demo-cluster"'),
        ("cluster", 'waiting for CloudFormation stack "eksctl-demo-cluster"'),
        ("addon vpc-cni", "creating addon: vpc-cni"),
        ("node-group workers", 'deploying stack "eksctl-demo-nodegroup-workers"'),
    ]
    notes = [event.text for event in events if isinstance(event, Note)]
    assert notes == ['recommended policies were found for "vpc-cni" addon']
    changes = {event.host: event.changes for event in events if isinstance(event, TaskFinished)}
    assert set(changes) == set(plan(CLUSTER, factories.nothing())[0].hosts)
    assert 'EKS cluster "demo" in "eu-central-1" region is ready' in changes["cluster"]
    assert changes["addon vpc-cni"] == ("successfully created addon: vpc-cni",)


def test_a_failure_has_the_output_of_eksctl_the_cause_and_the_fix(eksctl: Fake) -> None:
    eksctl.says(_FAILURE, code=1)
    result, events = run()
    assert result.failed == set(plan(CLUSTER, factories.nothing())[0].hosts)
    (failed,) = [event for event in events if isinstance(event, HostFailed)]
    assert failed.host == "cluster"
    assert "AlreadyExistsException" in failed.message
    assert failed.cause == "an earlier attempt left a CloudFormation stack behind"
    assert "eksctl delete cluster --name demo --region eu-central-1 --wait" in failed.fix
    assert failed.command == "eksctl create cluster --config-file=- --write-kubeconfig=false --timeout=60m"


def test_a_failure_without_output_is_reported_by_its_exit_code(eksctl: Fake) -> None:
    eksctl.says("", code=3)
    _, events = run()
    (failed,) = [event for event in events if isinstance(event, HostFailed)]
    assert failed.message == "eksctl ended with exit code 3"


def test_an_interruption_ends_eksctl_at_once(eksctl: Fake) -> None:
    eksctl.hangs()
    cancel, recorded = threading.Event(), list[Event]()
    done: list[StepResult] = []
    thread = threading.Thread(target=lambda: done.append(run(cancel, recorded)[0]))
    thread.start()
    wait_for(lambda: any(isinstance(event, TaskStarted) and "workers" in event.host for event in recorded))
    cancel.set()
    thread.join(8)
    assert not thread.is_alive()
    assert done[0].failed == set(plan(CLUSTER, factories.nothing())[0].hosts)
    assert not any(isinstance(event, HostFailed) for event in recorded), "who stops it knows why"
    with pytest.raises(ProcessLookupError):
        os.kill(eksctl.calls[0]["pid"], 0)


def test_secrets_in_its_lines_are_hidden(eksctl: Fake) -> None:
    eksctl.says("[i]  using proxy http://ada:secret@proxy.example.com\n[x]\n", code=1)
    _, events = run()
    assert "secret" not in repr(events)


@pytest.mark.parametrize("said", ["0.202.0", "0.215.0-dev+abc", "1.0.0\n"])
def test_a_new_enough_eksctl_is_used(eksctl: Fake, said: str) -> None:
    eksctl.version(said)
    assert find().path == str(eksctl.here / "eksctl")


def test_an_eksctl_that_is_too_old_is_refused(eksctl: Fake) -> None:
    eksctl.version("0.201.9")
    with pytest.raises(CheckError, match=r"eksctl is 0\.201\.9, which is too old") as caught:
        find()
    assert "install eksctl 0.202.0 or newer" in caught.value.fix


def test_a_program_without_a_version_is_refused(eksctl: Fake) -> None:
    eksctl.version("hello")
    with pytest.raises(CheckError, match="printed no version but 'hello'"):
        find()


def test_no_eksctl_is_an_error_with_both_fixes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CheckError, match="there is no eksctl on PATH") as caught:
        find()
    assert "write `backend: boto3`" in caught.value.fix


def test_a_profile_of_the_file_wins_over_keys_of_the_environment() -> None:
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_SESSION_TOKEN": "c", "HOME": "/root"}
    assert environment(factories.cluster(profile="production"), keys) == {
        "HOME": "/root",
        "AWS_PROFILE": "production",
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
    }


def test_without_a_profile_the_credentials_of_the_environment_are_passed_on() -> None:
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    assert environment(factories.cluster(), keys) | keys == environment(factories.cluster(), keys)


def wait_for(condition: Callable[[], bool], seconds: float = 8.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)
