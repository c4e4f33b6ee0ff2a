"""A mock AWS account on this machine for interactive use: `eval "$(python -m tests.aws --background)"`.

Prints the environment variables for it; `python -m tests.aws --stop` stops the background process.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_STARTS_WITHIN = 60.0  # seconds; moto's import alone takes one to five
_ROOT = Path(__file__).parents[2]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.aws", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; any free one if not given")
    parser.add_argument("--region", default="eu-central-1", help="region of the environment that is printed")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--background", action="store_true", help="return once the account is there")
    group.add_argument("--stop", action="store_true", help="end the account that runs in the background")
    options = parser.parse_args()
    if options.stop:
        return _stop()
    if options.background:
        return _start_in_background(options.port, options.region)
    return _serve(options.port, options.region)


def _serve(port: int, region: str) -> int:
    from tests.aws.account import start_account  # noqa: PLC0415 - --stop and --background need no moto

    # Blocked before any thread starts, so that no thread receives the signal.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    account = start_account(port, region)
    for name, value in account.environment.items():
        print(f"export {name}={shlex.quote(value)}")  # noqa: T201
    print("unset AWS_PROFILE AWS_SESSION_TOKEN", flush=True)  # noqa: T201
    signal.sigwait({signal.SIGINT, signal.SIGTERM})
    account.stop()
    return 0


def _directory() -> Path:
    """Pid file and log of the account in the background: one per user."""
    base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    directory = Path(base) / f"provision-tests-aws-{os.getuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    if directory.stat().st_uid != os.getuid():
        sys.exit(f"error: {directory} belongs to another user")
    return directory


def _running(directory: Path) -> int | None:
    """Pid of the background process, if it is one of this module."""
    try:
        pid = int((directory / "pid").read_text(encoding="ascii"))
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if b"tests.aws" in command else None


def _start_in_background(port: int, region: str) -> int:
    directory = _directory()
    log, exports = directory / "log", directory / "environment"
    if _running(directory) is None:
        exports.unlink(missing_ok=True)
        command = [sys.executable, "-m", "tests.aws", "--port", str(port), "--region", region]
        with log.open("w", encoding="utf-8") as errors, exports.open("w", encoding="utf-8") as output:
            child = subprocess.Popen(
                command,
                cwd=_ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )
        (directory / "pid").write_text(str(child.pid), encoding="ascii")
        deadline = time.monotonic() + _STARTS_WITHIN
        while "unset" not in exports.read_text(encoding="utf-8"):
            if child.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"error: the account did not start: {log.read_text(encoding='utf-8')[-2000:]}")
            time.sleep(0.05)
    print(exports.read_text(encoding="utf-8"), end="")  # noqa: T201
    return 0


def _stop() -> int:
    directory = _directory()
    pid = _running(directory)
    if pid is None:
        print("no account runs in the background", file=sys.stderr)  # noqa: T201
        return 0
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _STARTS_WITHIN
    while _running(directory) is not None and time.monotonic() < deadline:
        time.sleep(0.05)
    (directory / "pid").unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
