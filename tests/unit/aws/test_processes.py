"""Processes outside: the control route, the kill after a call, and the account that runs in the background."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.aws.account import AwsAccount
from tests.aws.calls import kill_peer

ROOT = Path(__file__).parents[3]
VPCS = """
import boto3
ec2 = boto3.client("ec2")
for index in range(5):
    ec2.describe_vpcs()
    ec2.create_vpc(CidrBlock=f"10.{index}.0.0/16")
"""
CALLER = """
import socket, sys
caller = socket.socket()
caller.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
caller.bind(("127.0.0.1", int(sys.argv[1])))
caller.connect(("127.0.0.1", int(sys.argv[2])))
caller.recv(1)
"""


def control(endpoint: str, order: dict[str, Any] | None = None, path: str = "") -> Any:
    data = None if order is None else json.dumps(order).encode()
    with urlopen(Request(f"{endpoint}/_control{path}", data=data), timeout=30) as answer:  # noqa: S310
        return json.loads(answer.read())


def test_a_process_is_killed_right_after_its_third_mutating_call(aws: AwsAccount) -> None:
    aws.states.kill_after(mutating_calls=3)
    aws.states.quota("L-F678F1CE", 10)

    ended = subprocess.run([sys.executable, "-c", VPCS], env={**os.environ, **aws.environment}, check=False)

    assert ended.returncode == -signal.SIGKILL
    assert [call.operation for call in aws.mutating_calls] == ["CreateVpc"] * 3
    assert len(aws.inventory()["vpc"]) == 4  # and the default one
    again = subprocess.run([sys.executable, "-c", VPCS], env={**os.environ, **aws.environment}, check=False)
    assert again.returncode == 0


def test_who_calls_is_told_by_both_ends_of_the_connection() -> None:
    """The kernel gives one port to connections with different servers: test runs side by side met it."""
    with socket.create_server(("127.0.0.1", 0)) as other, socket.create_server(("127.0.0.1", 0)) as server:
        bystander = socket.socket()
        bystander.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bystander.bind(("127.0.0.1", 0))
        bystander.connect(other.getsockname())
        port = bystander.getsockname()[1]
        ours: tuple[str, int] = server.getsockname()
        caller = subprocess.Popen([sys.executable, "-c", CALLER, str(port), str(ours[1])])
        with bystander, caller, server.accept()[0]:
            assert kill_peer(ours, ("127.0.0.1", port)) == caller.pid
            assert caller.wait(timeout=30) == -signal.SIGKILL
            assert kill_peer(other.getsockname(), ("127.0.0.1", port)) is None  # it is this process


def test_the_control_route_does_what_the_object_does(aws: AwsAccount) -> None:
    control(aws.endpoint, {"do": "throttle", "with": {"operation": "DescribeVpcs", "times": 1}})
    assert aws.states.throttled == {"DescribeVpcs": 1}
    aws.client("sts").get_caller_identity()

    calls = control(aws.endpoint, path="/calls")

    assert [(call["service"], call["operation"], call["error"]) for call in calls] == [
        ("sts", "GetCallerIdentity", "")
    ]
    assert control(aws.endpoint, path="/inventory") == aws.inventory()
    control(aws.endpoint, {"do": "reset"})
    assert (aws.states.throttled, aws.calls) == ({}, ())


@pytest.mark.parametrize(
    "order", [{"do": "explode"}, {"do": "throttle", "with": {"times": 1}}, {"do": "__init__"}]
)
def test_an_order_that_is_none_is_refused(aws: AwsAccount, order: dict[str, Any]) -> None:
    with pytest.raises(HTTPError) as caught:
        control(aws.endpoint, order)
    with caught.value as error:
        assert error.code == 400


def run(arguments: list[str], environment: dict[str, str]) -> str:
    command = [sys.executable, "-m", "tests.aws", *arguments]
    done = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True, timeout=90
    )
    return done.stdout


def test_the_account_runs_in_the_background_until_it_is_stopped(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(tmp_path)}
    printed = run(["--background"], environment)
    try:
        again = run(["--background"], environment)
        exports = dict(line.removeprefix("export ").split("=", 1) for line in printed.splitlines()[:-1])
        called = subprocess.run(
            [sys.executable, "-c", VPCS],
            env={**environment, **exports},
            capture_output=True,
            text=True,
            check=False,
        )
        calls = control(exports["AWS_ENDPOINT_URL"], path="/calls")
    finally:
        run(["--stop"], environment)

    assert again == printed
    assert "VpcLimitExceeded" in called.stderr  # four more than the default one, and no fifth
    assert [call["error"] for call in calls if call["mutating"]] == ["", "", "", "", "VpcLimitExceeded"]
    with pytest.raises(OSError, match="refused"):
        control(exports["AWS_ENDPOINT_URL"], path="/calls")
