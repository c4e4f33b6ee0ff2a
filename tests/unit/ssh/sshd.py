"""A real OpenSSH server on loopback, with keys of its own, for as long as a test needs it."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from provision.lab.toolchain import require_packages

ADDRESS = "127.0.0.1"
_STARTED_WITHIN = 10.0


@dataclass(frozen=True, slots=True)
class Server:
    """`key` logs in as `user`; `host_key` is the key that the server offers; `log` is its log file."""

    port: int
    user: str
    key: Path
    host_key: str
    log: Path

    def logins(self) -> int:
        """How many SSH connections were accepted: not sessions, which connections share."""
        return self.log.read_text().count("Accepted publickey")


def new_key(path: Path) -> str:
    """Make a key pair; returns the public key without its comment."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path], check=True)
    return " ".join(path.with_suffix(".pub").read_text().split()[:2])


def program() -> str:
    """The path of sshd. In CI it is installed; elsewhere, where that would start a server, the test is skipped."""
    places = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"
    if shutil.which("sshd", path=places) is None and os.environ.get("CI"):
        require_packages(("openssh-server",), print)
    found = shutil.which("sshd", path=places)
    if found is None:
        pytest.skip("no sshd on this machine: apt-get install openssh-server")
    return found


@contextmanager
def running(directory: Path, more: Callable[[Path], str] = lambda _: "") -> Iterator[Server]:
    """Start a server whose files are in `directory`, and stop it; skips where there is no sshd.

    `more`, called with the path of its host key, gives lines of its settings that go before ours.
    """
    sshd = program()
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd's own, for privilege separation
    host_key, user_key = new_key(directory / "host"), new_key(directory / "user")
    (directory / "authorized").write_text(user_key + "\n")
    with socket.socket() as free:
        free.bind((ADDRESS, 0))
        port = free.getsockname()[1]
    log = directory / "sshd.log"
    settings = {
        "ListenAddress": f"{ADDRESS}:{port}",
        "HostKey": directory / "host",
        "AuthorizedKeysFile": directory / "authorized",
        "PidFile": directory / "sshd.pid",
        "StrictModes": "no",
        "UsePAM": "no",
        "PermitRootLogin": "prohibit-password",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "MaxStartups": "100",
        "AllowTcpForwarding": "yes",
    }
    lines = [f"{name} {value}\n" for name, value in settings.items()]
    (directory / "sshd_config").write_text("".join([more(directory / "host"), *lines]))
    server = subprocess.Popen([sshd, "-D", "-f", directory / "sshd_config", "-E", log])
    try:
        _wait_until_it_answers(port)
        yield Server(port, getpass.getuser(), directory / "user", host_key, log)
    finally:
        server.terminate()
        server.wait(timeout=10)


def _wait_until_it_answers(port: int) -> None:
    end = time.monotonic() + _STARTED_WITHIN
    while True:
        try:
            socket.create_connection((ADDRESS, port), timeout=1).close()
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            return
