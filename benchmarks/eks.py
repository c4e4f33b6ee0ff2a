"""Calls and seconds of `provision apply` on EKS, against the mock AWS account on loopback, which responds at once.

usage: python -m benchmarks.eks [--rounds N]

Prints three rows per round: create, no-op, delete; reading calls, changing calls, and the wall seconds of the command
with all polling intervals at zero. Budget: 5 s added to what AWS itself takes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.aws.account import AwsAccount, start_account

FILE = """\
name: bench
provider: eks
region: eu-central-1
kubernetes: "1.34"
vpc: {zones: [eu-central-1a, eu-central-1b, eu-central-1c]}
endpoint: {public_cidrs: [203.0.113.0/24]}
node_groups:
  - {name: workers, min: 1, desired: 2, max: 4}
"""


def timed(account: AwsAccount, place: Path, *arguments: str) -> tuple[int, int, float]:
    """Reading calls, changing calls and wall seconds of one command, which must succeed."""
    account.forget_calls()
    environment = {**os.environ, **account.environment, "PROVISION_POLL_SECONDS": "0"}
    environment["PROVISION_STATE"] = str(place / "state")
    started = time.monotonic()
    command = [sys.executable, "-m", "provision", *arguments]
    subprocess.run(command, cwd=place, env=environment, check=True, capture_output=True)
    seconds = time.monotonic() - started
    changing = len(account.mutating_calls)
    return len(account.calls) - changing, changing, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    account = start_account()
    print(f"{'command':<8} {'reads':>6} {'changes':>8} {'seconds':>8}")
    try:
        for _ in range(rounds):
            account.reset()
            with tempfile.TemporaryDirectory() as name:
                place = Path(name)
                (place / "cluster.yaml").write_text(FILE)
                for title, arguments in (
                    ("create", ("apply",)),
                    ("again", ("apply",)),
                    ("delete", ("reset",)),
                ):
                    reads, changes, seconds = timed(account, place, *arguments, "--yes")
                    print(f"{title:<8} {reads:>6} {changes:>8} {seconds:>8.2f}", flush=True)
    finally:
        account.stop()


if __name__ == "__main__":
    main()
