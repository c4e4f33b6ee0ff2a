"""What tests on a lab share: its machines, a cluster file, and `provision` run as a user would, inside its network."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import yaml

from provision.lab import machines
from provision.lab.state import lab_directory

LIMIT, SEEN_LIMIT = 1200, 600  # seconds for a command; for something to be seen
KUBECTL = "sudo kubectl --kubeconfig /etc/kubernetes/admin.conf"
LOGINS = "sudo journalctl -u ssh --no-pager -o cat | grep -c 'Accepted publickey' || test $? = 1"
PROVISION = (sys.executable, "-m", "provision")


@dataclass
class Rig:
    """Lab `name`, and the directory of its cluster file."""

    name: str
    directory: Path

    @property
    def file(self) -> Path:
        return self.directory / "cluster.yaml"

    @property
    def kubeconfig(self) -> Path:
        return self.directory / f"{self.name}.kubeconfig"

    def command(self, *arguments: str, desk: str = "") -> list[str]:
        """`desk`: as if from another machine, which does not share our locks."""
        elsewhere = ["env", f"PROVISION_STATE={self.directory / desk}"] if desk else []
        return self.entering(*elsewhere, *PROVISION, *arguments, "--file", str(self.file))

    def provision(self, *arguments: str, desk: str = "") -> subprocess.CompletedProcess[str]:
        argv = self.command(*arguments, desk=desk)
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=LIMIT)
        print(done.stdout, done.stderr)  # noqa: T201  (pytest shows it where a test fails)
        return done

    def begun(self, *arguments: str) -> subprocess.Popen[str]:
        """A command that goes on; what it says is in a file named after it."""
        with self._log(arguments[0]) as log:
            return subprocess.Popen(
                self.command(*arguments), stdout=log, stderr=log, text=True, start_new_session=True
            )

    def stopped_when(
        self,
        what: str,
        condition: Callable[[str], bool],
        *arguments: str,
        how: signal.Signals = signal.SIGKILL,
        later: float = 0.0,
    ) -> tuple[int, str]:
        """Like `struck_when`, with a signal to the command and all its children."""
        return self.struck_when(
            what, condition, lambda process: os.killpg(process.pid, how), *arguments, later=later
        )

    def struck_when(
        self,
        what: str,
        condition: Callable[[str], bool],
        strike: Callable[[subprocess.Popen[bytes]], None],
        *arguments: str,
        later: float = 0.0,
    ) -> tuple[int, str]:
        """Start a command and strike `later` seconds after the condition holds, if it goes on by then.

        The condition is given what the command has said so far. Returns its exit code and all that it said.
        """
        with self._log("struck") as log:
            process = subprocess.Popen(
                self.command(*arguments), stdout=log, stderr=log, start_new_session=True
            )
        try:
            wait_for(what, lambda: process.poll() is not None or condition(self.said("struck")), SEEN_LIMIT)
            assert process.poll() is None, f"{arguments} ended before {what}:\n{self.said('struck')[-3000:]}"
            time.sleep(later)
            if process.poll() is None:
                strike(process)
            return process.wait(LIMIT), self.said("struck")
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def said(self, name: str) -> str:
        """What a command said so far: of `begun` under its verb, of `struck_when` as "struck"."""
        return (self.directory / f"{name}.log").read_text()

    def inside(self, *argv: str) -> str:
        """What a program says that runs in the lab's network."""
        enter = self.entering(*argv)
        return subprocess.run(enter, capture_output=True, text=True, check=True, timeout=120).stdout

    def kubectl(self, *arguments: str) -> str:
        """What kubectl says with the kubeconfig beside the file."""
        return self.inside("kubectl", "--kubeconfig", str(self.kubeconfig), *arguments)

    def on(self, host: str, script: str, *, stdin: str = "", succeed: bool = True) -> str:
        """What a script says on a machine of the lab."""
        argv = [*PROVISION, "lab", "ssh", host, "--name", self.name, "--", script]
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False, timeout=180)
        assert done.returncode == 0 or not succeed, done.stderr
        return done.stdout

    def nodes(self) -> dict[str, str]:
        """Name of each node and its state as kubectl says it ("Ready,SchedulingDisabled"); {} if it says nothing.

        Any control plane may say it.
        """
        for host in yaml.safe_load(self.file.read_text())["hosts"]:
            if host.get("role") == "control-plane":
                text = self.on(host["name"], f"{KUBECTL} get nodes --no-headers", succeed=False)
                if nodes := dict(re.findall(r"^(\S+)\s+(\S+)", text, re.MULTILINE)):
                    return nodes
        return {}

    def etcd(self) -> dict[str, bool]:
        """Name of each member of etcd, and whether it is healthy."""
        done = self.provision("status", "-o", "json")
        return {member["name"]: member["healthy"] for member in json.loads(done.stdout)["etcd"]}

    def entering(self, *argv: str) -> list[str]:
        """The command that runs a program in the lab's network."""
        return [*PROVISION, "lab", "run", "--name", self.name, "--", *argv]

    def _log(self, name: str) -> IO[str]:
        return (self.directory / f"{name}.log").open("w")


def without(text: str, *names: str) -> str:
    """The text of a cluster file without these hosts."""
    for name in names:
        text = re.sub(rf"  - name: {name}\n(?:    .*\n)+", "", text)
    return text


def without_endpoint(text: str) -> str:
    return re.sub(r"^endpoint:.*\n", "", text, flags=re.MULTILINE)


@contextmanager
def lab(rig: Rig, *size: str) -> Iterator[None]:
    """The lab with machines that have just booted; it is gone afterwards, as is one that an earlier run left."""
    down = [*PROVISION, "lab", "down", "--name", rig.name]
    subprocess.run(down, check=True, capture_output=True)
    subprocess.run([*PROVISION, "lab", "up", "--name", rig.name, *size, "--file", str(rig.file)], check=True)
    try:
        yield
    finally:
        subprocess.run(down, check=True, capture_output=True)


def reinstall(name: str, host: str) -> None:
    """A machine of lab `name` becomes what it was before its first boot."""
    machines.power_off(name, host)
    lab_directory(name).machine(host).joinpath("disk.cow").unlink()
    machines.power_on(name, host)
    machines.wait_until_reachable(name, [host])


def wait_for(what: str, condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.5)
