"""The command line from outside: what is printed where, and the exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from provision.cli import run
from provision.config import eks_only, load
from provision.engine.locks import run_lock
from provision.engine.signals import interruptible
from provision.errors import BusyError

COMMANDS = (
    "init kubeadm",
    "init eks",
    "check",
    "plan",
    "apply",
    "status",
    "kubeconfig",
    "reset",
    "schema",
    "eks token",
    "eks policy",
    "token create",
    "token list",
    "token delete",
    "node add",
    "node remove",
    "node replace",
    "node list",
)


@dataclass(frozen=True, slots=True)
class Said:
    code: int
    out: str
    err: str


@pytest.fixture
def provision(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Provision:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROVISION_STATE", str(tmp_path / "state"))
    return Provision(capsys)


@dataclass(frozen=True, slots=True)
class Provision:
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str) -> Said:
        code = run(arguments)
        captured = self.capsys.readouterr()
        return Said(code, captured.out, captured.err)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_has_an_example(provision: Provision, command: str) -> None:
    said = provision(*command.split(), "--help")

    assert said.code == 0
    assert f"Example: provision {command}" in said.out
    assert said.err == ""


def test_the_version_is_data(provision: Provision) -> None:
    assert provision("--version").out == "provision 0.1.0\n"


@pytest.mark.parametrize(
    ("arguments", "fact"),
    [
        (("plan", "--colour"), "no such option: --colour"),
        (("aply",), "no such command 'aply'"),
        (("plan", "-o", "xml"), "'xml' is not one of 'text', 'json'"),
        (("kubeconfig", "--context", "x"), "--context names a context of your own kubeconfig"),
    ],
)
def test_wrong_arguments_are_one_error_with_a_fix_and_exit_code_3(
    provision: Provision, arguments: Sequence[str], fact: str
) -> None:
    said = provision(*arguments)

    assert said.code == 3
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert fact in said.err
    assert "\n  fix: " in said.err


@pytest.mark.parametrize("command", ["check", "plan", "apply", "status", "kubeconfig"])
def test_a_missing_file_is_exit_code_3_and_says_how_to_get_one(provision: Provision, command: str) -> None:
    said = provision(command)

    assert said.code == 3
    assert "cluster.yaml does not exist" in said.err + said.out
    assert "provision init kubeadm" in said.err + said.out


def test_with_json_an_error_is_one_object_on_standard_output_too(provision: Provision) -> None:
    said = provision("plan", "-o", "json")

    error = json.loads(said.out)
    assert (error["event"], error["exit_code"]) == ("error", 3)
    assert error["findings"][0]["fix"]


def test_the_findings_of_check_are_data(provision: Provision) -> None:
    Path("cluster.yaml").write_text("name: Demo\nhosts: []\n")

    text, machine = provision("check"), provision("check", "-o", "json")

    assert text.code == machine.code == 3
    assert "error: cluster.yaml:1: name: " in text.out
    assert {"name", "hosts"} <= {finding["key"] for finding in json.loads(machine.out)["findings"]}


def test_init_writes_a_file_that_loads_and_never_overwrites_one(provision: Provision) -> None:
    arguments = ("init", "kubeadm", "--control-plane", "me@192.0.2.1", "--name", "mine")

    first, second = provision(*arguments), provision(*arguments)

    assert first.code == 0
    assert "name: mine" in Path("cluster.yaml").read_text()
    assert second.code == 3
    assert "exists already" in second.err


def test_init_eks_writes_a_file_that_loads_and_takes_the_region_of_the_environment(
    provision: Provision, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.delenv("AWS_REGION", raising=False)
    refused = provision("init", "eks", "--nodes", "3")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    written = provision("init", "eks", "--nodes", "3")

    assert refused.code == 3
    assert "error: --region: no region is given" in refused.err
    assert written.code == 0
    cluster = eks_only(load(Path("cluster.yaml")), "a test").cluster
    assert (cluster.region, cluster.node_groups[0].desired) == ("eu-west-1", 3)


def test_a_wrong_eks_file_is_refused_before_anything_of_aws_is_imported(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text("name: demo\nprovider: eks\nregion: eu-central-1a\nkubernetes: 1.35\n")
    code = (
        f"import sys; from provision.cli import run; code = run(['plan', '-f', {str(file)!r}]);"
        "print(code, sorted({'boto3', 'botocore', 'ansible', 'rich'} & set(sys.modules)))"
    )

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert said.stdout == "3 []\n"
    assert said.stderr.count("error: ") == 3


def test_apply_with_hosts_does_not_touch_a_file_that_is_there(provision: Provision) -> None:
    Path("cluster.yaml").write_text("mine")

    said = provision("apply", "--control-plane", "me@192.0.2.1")

    assert said.code == 3
    assert Path("cluster.yaml").read_text() == "mine"


def test_the_schema_is_json(provision: Provision) -> None:
    assert json.loads(provision("schema").out)["title"] == "provision cluster file"


def test_a_reader_that_goes_away_is_no_error() -> None:
    argv = f"{sys.executable} -m provision schema | head -c 1"
    done = subprocess.run(argv, shell=True, capture_output=True, text=True, check=False)  # noqa: S602  a pipe is the point

    assert done.stdout == "{"
    assert done.stderr == ""


def test_help_imports_nothing_heavy() -> None:
    heavy = ("ansible_runner", "fabric", "paramiko", "boto3", "pydantic", "rich", "yaml")
    code = (
        "import sys; from provision.cli import run; run(['--help']); "
        f"print([name for name in {heavy} if name in sys.modules], file=sys.stderr)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stderr == "[]\n"


def test_a_wrong_file_is_told_without_importing_what_talks_to_hosts(tmp_path: Path) -> None:
    (tmp_path / "cluster.yaml").write_text("name: Demo\n")
    code = (
        "import sys; from provision.cli import run; code = run(['plan']); "
        "print(code, [name for name in ('ansible_runner', 'fabric', 'rich') if name in sys.modules])"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )

    assert done.stdout == "3 []\n"


def test_two_runs_on_one_cluster_are_kept_apart_and_the_second_is_told_by_whom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVISION_STATE", str(tmp_path))

    with (
        run_lock("demo"),
        run_lock("other"),
        pytest.raises(BusyError, match=f"process {os.getpid()}"),
        run_lock("demo"),
    ):
        pass  # pragma: no cover

    with run_lock("demo"):
        pass  # it is free again


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_stops_in_order_and_the_second_at_once(number: signal.Signals) -> None:
    before, told = signal.getsignal(number), threading.Event()

    with pytest.raises(KeyboardInterrupt), interruptible(told.set) as cancel:  # noqa: PT012  the second one raises
        signal.raise_signal(number)
        assert cancel.is_set()
        assert told.wait(5)
        signal.raise_signal(number)

    assert signal.getsignal(number) == before
