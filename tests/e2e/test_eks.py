"""The life cycle of an EKS cluster through the command line: a real process, real HTTP, and a mock AWS account."""

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
RUN_TIMEOUT = 120  # seconds for a run against an account that responds at once
# Numbers of calls after which the process is killed: the first calls of every step; all of them with `--every-kill`.
SOME_KILLS = (1, 4, 9, 16, 22, 27, 31, 36, 40, 42)
ALL_KILLS = range(1, 61)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "calls" in metafunc.fixturenames:
        every = metafunc.config.getoption("--every-kill")
        metafunc.parametrize("calls", ALL_KILLS if every else SOME_KILLS)


@dataclass(frozen=True, slots=True)
class Workspace:
    """A directory with a cluster file, and the environment for the mock account."""

    directory: Path
    aws: AwsAccount
    environment: dict[str, str] = field(repr=False)

    @property
    def file(self) -> Path:
        return self.directory / "cluster.yaml"

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "provision", *arguments],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def provision(self, *arguments: str, code: int = 0) -> str:
        """Standard output of a run; asserts the exit code `code`."""
        with self.start(*arguments) as process:
            out, err = process.communicate(timeout=RUN_TIMEOUT)
        assert process.returncode == code, f"{arguments} ended with {process.returncode}:\n{out}\n{err}"
        return out


@pytest.fixture
def workspace(aws: AwsAccount, tmp_path: Path) -> Workspace:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        **aws.environment,
        "PROVISION_POLL_SECONDS": "0",
        "PROVISION_STATE": str(tmp_path / "state"),
    }
    created = Workspace(tmp_path, aws, environment)
    created.file.write_text(FILE)
    return created


def nodes_by_kubeconfig(path: Path, environment: dict[str, str]) -> list[str]:
    """Names of the nodes, read as kubectl does: with the exec plugin and the CA of the kubeconfig only."""
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


def test_a_cluster_is_created_used_updated_and_deleted_without_a_trace(workspace: Workspace) -> None:
    before = workspace.aws.inventory()

    output = workspace.provision("apply", "--yes")
    assert "cluster demo: 2 of 2 nodes Ready, Kubernetes 1.34" in output
    kubeconfig = workspace.directory / "demo.kubeconfig"
    assert kubeconfig.stat().st_mode & 0o777 == 0o600
    assert len(nodes_by_kubeconfig(kubeconfig, workspace.environment)) == 2

    workspace.aws.forget_calls()
    assert workspace.provision("apply", "--yes") == "cluster demo: nothing to do\n"
    assert workspace.aws.mutating_calls == ()
    assert json.loads(workspace.provision("status", "-o", "json"))["healthy"] is True

    listed = json.loads(workspace.provision("node", "list", "-o", "json"))
    assert [(node["state"], node["in_file"], node["role"]) for node in listed] == [
        ("ready", True, "worker")
    ] * 2

    changed = FILE.replace("desired: 2", "desired: 3").replace("logs: [audit]", "logs: [api, audit]")
    workspace.file.write_text(changed)
    steps = json.loads(workspace.provision("plan", "-o", "json", code=2))["steps"]
    assert {host for step in steps for host in step["hosts"]} == {"node-group workers", "cluster"}
    assert "3 of 3 nodes Ready" in workspace.provision("apply", "--yes")
    assert workspace.provision("apply", "--yes") == "cluster demo: nothing to do\n"

    workspace.provision("reset", "--yes")
    assert workspace.aws.inventory() == before
    assert not kubeconfig.exists()
    assert "nothing to do" in workspace.provision("reset", "--yes")


def test_a_run_killed_after_any_call_is_continued_by_the_next(
    workspace: Workspace, calls: int, uninterrupted: tuple[dict[str, list[Any]], int]
) -> None:
    expected, total = uninterrupted
    if calls > total:
        pytest.skip(f"an uninterrupted run makes {total} mutating calls")
    workspace.aws.states.kill_after(calls)

    with workspace.start("apply", "--yes") as process:
        process.communicate(timeout=RUN_TIMEOUT)
    assert process.returncode == -signal.SIGKILL

    workspace.provision("apply", "--yes")
    assert workspace.aws.inventory() == expected
    assert workspace.provision("apply", "--yes") == "cluster demo: nothing to do\n"


@pytest.fixture(scope="module")
def cache() -> dict[str, tuple[dict[str, list[Any]], int]]:
    return {}


@pytest.fixture
def uninterrupted(
    workspace: Workspace, cache: dict[str, tuple[dict[str, list[Any]], int]]
) -> tuple[dict[str, list[Any]], int]:
    """Inventory after an uninterrupted run and its number of mutating calls; the account is empty again."""
    if "run" not in cache:
        workspace.provision("apply", "--yes")
        cache["run"] = (workspace.aws.inventory(), len(workspace.aws.mutating_calls))
        workspace.aws.reset()
        (workspace.directory / "demo.kubeconfig").unlink()
    return cache["run"]


def test_a_killed_reset_is_continued_by_the_next(workspace: Workspace) -> None:
    before = workspace.aws.inventory()
    workspace.provision("apply", "--yes")
    for calls in (3, 5, 8):
        workspace.aws.states.kill_after(calls)
        with workspace.start("reset", "--yes") as process:
            process.communicate(timeout=RUN_TIMEOUT)
        assert process.returncode == -signal.SIGKILL

    workspace.provision("reset", "--yes")

    assert workspace.aws.inventory() == before


def test_ctrl_c_stops_within_seconds_and_prints_the_command_to_continue(workspace: Workspace) -> None:
    workspace.aws.states.slow("cluster", 10_000)
    workspace.environment["PROVISION_POLL_SECONDS"] = "0.2"
    process = workspace.start("apply", "--yes", "--verbose")
    assert process.stderr is not None
    started = next(line for line in process.stderr if "cluster: make" in line or "create cluster" in line)
    assert started

    interrupted = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=20)

    assert process.returncode == 130
    assert time.monotonic() - interrupted < 10
    assert "go on with `provision apply -f cluster.yaml`" in rest


def test_nothing_is_deleted_without_confirmation(workspace: Workspace) -> None:
    workspace.provision("apply", "--yes")
    workspace.aws.forget_calls()

    workspace.provision("reset", code=3)

    assert workspace.aws.mutating_calls == ()


def test_apply_without_a_file_writes_the_file_and_creates_the_cluster(workspace: Workspace) -> None:
    workspace.file.unlink()

    output = workspace.provision(
        "apply", "--eks", "small", "--region", "eu-central-1", "--nodes", "1", "--yes"
    )

    assert "cluster small: 1 of 1 nodes Ready" in output
    assert "provider: eks" in workspace.file.read_text()
