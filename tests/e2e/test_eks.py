"""The life of an EKS cluster through the command line: a real process, real HTTP, and the tests' AWS account."""

from __future__ import annotations

import base64
import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from tests.aws.account import AwsAccount

FILE = """\
name: demo
provider: eks
region: eu-central-1
kubernetes: "1.34"
vpc: {cidr: 10.20.0.0/16, zones: [eu-central-1a, eu-central-1b]}
endpoint: {public_cidrs: [203.0.113.0/24]}
node_groups:
  - {name: workers, instance_types: [m7i.large], min: 1, desired: 2, max: 4}
fargate_profiles:
  - {name: batch, selectors: [{namespace: batch}]}
addons:
  - {name: vpc-cni}
  - {name: kube-proxy}
  - {name: eks-pod-identity-agent}
  - {name: coredns}
  - {name: aws-ebs-csi-driver}
pod_identities:
  - namespace: kube-system
    service_account: ebs-csi-controller-sa
    policy_arns: [arn:aws:iam::aws:policy/service-role/AmazonEBSCSIDriverPolicy]
logs: [audit]
tags: {team: platform}
"""
BOUND = 120  # seconds for a whole run against an account that answers at once
# Calls after which the process is killed: the first ones of every step. `--every-kill` takes all of them.
SOME_KILLS = (1, 4, 9, 16, 22, 27, 31, 36, 40, 42)
ALL_KILLS = range(1, 61)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "calls" in metafunc.fixturenames:
        every = metafunc.config.getoption("--every-kill")
        metafunc.parametrize("calls", ALL_KILLS if every else SOME_KILLS)


@dataclass(frozen=True, slots=True)
class Desk:
    """A directory with a cluster file, and the environment that leads to the account."""

    place: Path
    aws: AwsAccount
    environment: dict[str, str] = field(repr=False)

    @property
    def file(self) -> Path:
        return self.place / "cluster.yaml"

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "provision", *arguments],
            cwd=self.place,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def provision(self, *arguments: str, code: int = 0) -> str:
        """What it prints on standard output; the exit code must be `code`."""
        with self.start(*arguments) as process:
            out, err = process.communicate(timeout=BOUND)
        assert process.returncode == code, f"{arguments} ended with {process.returncode}:\n{out}\n{err}"
        return out


@pytest.fixture
def desk(aws: AwsAccount, tmp_path: Path) -> Desk:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        **aws.environment,
        "PROVISION_POLL_SECONDS": "0",
        "PROVISION_STATE": str(tmp_path / "state"),
    }
    made = Desk(tmp_path, aws, environment)
    made.file.write_text(FILE)
    return made


def nodes_by_kubeconfig(path: Path, environment: dict[str, str]) -> list[str]:
    """What kubectl would be told: the exec plugin is run as it is written, the authority is the file's alone."""
    config = yaml.safe_load(path.read_text())
    plugin = config["users"][0]["user"]["exec"]
    argv = [plugin["command"], *plugin["args"]]
    done = subprocess.run(argv, cwd="/", env=environment, capture_output=True, text=True, check=True)
    credential = json.loads(done.stdout)
    assert credential["apiVersion"] == plugin["apiVersion"]
    cluster = config["clusters"][0]["cluster"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    request = urllib.request.Request(  # noqa: S310  the endpoint is https
        f"{cluster['server']}/api/v1/nodes",
        headers={"Authorization": f"Bearer {credential['status']['token']}"},
    )
    with urllib.request.urlopen(  # noqa: S310
        request, timeout=20, context=ssl.create_default_context(cadata=authority)
    ) as answer:
        return [item["metadata"]["name"] for item in json.load(answer)["items"]]


def test_a_cluster_is_made_used_changed_and_deleted_without_a_trace(desk: Desk) -> None:
    before = desk.aws.inventory()

    told = desk.provision("apply", "--yes")
    assert "cluster demo: 2 of 2 nodes Ready, Kubernetes 1.34" in told
    kubeconfig = desk.place / "demo.kubeconfig"
    assert kubeconfig.stat().st_mode & 0o777 == 0o600
    assert len(nodes_by_kubeconfig(kubeconfig, desk.environment)) == 2

    desk.aws.forget_calls()
    assert desk.provision("apply", "--yes") == "cluster demo: nothing to do\n"
    assert desk.aws.mutating_calls == ()
    assert json.loads(desk.provision("status", "-o", "json"))["healthy"] is True

    listed = json.loads(desk.provision("node", "list", "-o", "json"))
    assert [(node["state"], node["in_file"], node["role"]) for node in listed] == [
        ("ready", True, "worker")
    ] * 2

    changed = FILE.replace("desired: 2", "desired: 3").replace("logs: [audit]", "logs: [api, audit]")
    desk.file.write_text(changed)
    steps = json.loads(desk.provision("plan", "-o", "json", code=2))["steps"]
    assert {host for step in steps for host in step["hosts"]} == {"node-group workers", "cluster"}
    assert "3 of 3 nodes Ready" in desk.provision("apply", "--yes")
    assert desk.provision("apply", "--yes") == "cluster demo: nothing to do\n"

    desk.provision("reset", "--yes")
    assert desk.aws.inventory() == before
    assert not kubeconfig.exists()
    assert "nothing to do" in desk.provision("reset", "--yes")


def test_a_process_that_is_killed_after_any_call_is_continued_by_the_next(
    desk: Desk, calls: int, undisturbed: tuple[dict[str, list[Any]], int]
) -> None:
    expected, total = undisturbed
    if calls > total:
        pytest.skip(f"an undisturbed run makes {total} mutating calls")
    desk.aws.states.kill_after(calls)

    with desk.start("apply", "--yes") as process:
        process.communicate(timeout=BOUND)
    assert process.returncode == -signal.SIGKILL

    desk.provision("apply", "--yes")
    assert desk.aws.inventory() == expected
    assert desk.provision("apply", "--yes") == "cluster demo: nothing to do\n"


@pytest.fixture(scope="module")
def memory() -> dict[str, tuple[dict[str, list[Any]], int]]:
    return {}


@pytest.fixture
def undisturbed(
    desk: Desk, memory: dict[str, tuple[dict[str, list[Any]], int]]
) -> tuple[dict[str, list[Any]], int]:
    """The inventory after a run that nobody disturbs, and how many mutating calls that took; the account is empty."""
    if "run" not in memory:
        desk.provision("apply", "--yes")
        memory["run"] = (desk.aws.inventory(), len(desk.aws.mutating_calls))
        desk.aws.reset()
        (desk.place / "demo.kubeconfig").unlink()
    return memory["run"]


def test_a_reset_that_is_killed_is_continued_by_the_next(desk: Desk) -> None:
    before = desk.aws.inventory()
    desk.provision("apply", "--yes")
    for calls in (3, 5, 8):
        desk.aws.states.kill_after(calls)
        with desk.start("reset", "--yes") as process:
            process.communicate(timeout=BOUND)
        assert process.returncode == -signal.SIGKILL

    desk.provision("reset", "--yes")

    assert desk.aws.inventory() == before


def test_ctrl_c_stops_soon_and_says_how_to_go_on(desk: Desk) -> None:
    desk.aws.states.slow("cluster", 10_000)
    desk.environment["PROVISION_POLL_SECONDS"] = "0.2"
    process = desk.start("apply", "--yes", "--verbose")
    assert process.stderr is not None
    said = next(line for line in process.stderr if "cluster: make" in line or "create cluster" in line)
    assert said

    asked = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=20)

    assert process.returncode == 130
    assert time.monotonic() - asked < 10
    assert "go on with `provision apply -f cluster.yaml`" in rest


def test_nothing_is_deleted_without_a_yes(desk: Desk) -> None:
    desk.provision("apply", "--yes")
    desk.aws.forget_calls()

    desk.provision("reset", code=3)

    assert desk.aws.mutating_calls == ()


def test_one_command_without_a_file_is_enough(desk: Desk) -> None:
    desk.file.unlink()

    told = desk.provision("apply", "--eks", "small", "--region", "eu-central-1", "--nodes", "1", "--yes")

    assert "cluster small: 1 of 1 nodes Ready" in told
    assert "provider: eks" in desk.file.read_text()
