"""A cluster on lab machines: its file, `provision` run as a user would inside the lab's network, and its hosts."""

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

COMMAND_TIMEOUT, CONDITION_TIMEOUT = 1200, 600  # seconds
KUBECTL = "sudo kubectl --kubeconfig /etc/kubernetes/admin.conf"
LOGINS = "sudo journalctl -u ssh --no-pager -o cat | grep -c 'Accepted publickey' || test $? = 1"
PROVISION = (sys.executable, "-m", "provision")


@dataclass
class LabCluster:
    """The lab `name` and the directory of its cluster file."""

    name: str
    directory: Path

    @property
    def file(self) -> Path:
        return self.directory / "cluster.yaml"

    @property
    def kubeconfig(self) -> Path:
        return self.directory / f"{self.name}.kubeconfig"

    def command(self, *arguments: str, controller: str = "") -> list[str]:
        """The argument list; with `controller`, as from another machine, which does not share local locks."""
        environment = ["env", f"PROVISION_STATE={self.directory / controller}"] if controller else []
        return self.lab_command(*environment, *PROVISION, *arguments, "--file", str(self.file))

    def provision(self, *arguments: str, controller: str = "") -> subprocess.CompletedProcess[str]:
        argv = self.command(*arguments, controller=controller)
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=COMMAND_TIMEOUT)
        print(done.stdout, done.stderr)  # noqa: T201  (pytest shows it where a test fails)
        return done

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command in the background; its output goes to a file named after its verb."""
        with self._log(arguments[0]) as log:
            return subprocess.Popen(
                self.command(*arguments), stdout=log, stderr=log, text=True, start_new_session=True
            )

    def kill_when(
        self,
        description: str,
        condition: Callable[[str], bool],
        *arguments: str,
        sent: signal.Signals = signal.SIGKILL,
        delay: float = 0.0,
    ) -> tuple[int, str]:
        """Send a signal to a command and all its children, as `interrupt_when` does."""
        return self.interrupt_when(
            description,
            condition,
            lambda process: os.killpg(process.pid, sent),
            *arguments,
            delay=delay,
        )

    def interrupt_when(
        self,
        description: str,
        condition: Callable[[str], bool],
        interrupt: Callable[[subprocess.Popen[bytes]], None],
        *arguments: str,
        delay: float = 0.0,
    ) -> tuple[int, str]:
        """Start a command and interrupt it `delay` seconds after the condition holds, if it still runs then.

        The condition gets the output so far. Returns the exit code and the whole output.
        """
        with self._log("interrupted") as log:
            process = subprocess.Popen(
                self.command(*arguments), stdout=log, stderr=log, start_new_session=True
            )
        try:
            wait_for(
                description,
                lambda: process.poll() is not None or condition(self.output("interrupted")),
                CONDITION_TIMEOUT,
            )
            assert process.poll() is None, (
                f"{arguments} ended before {description}:\n{self.output('interrupted')[-3000:]}"
            )
            time.sleep(delay)
            if process.poll() is None:
                interrupt(process)
            return process.wait(COMMAND_TIMEOUT), self.output("interrupted")
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def output(self, name: str) -> str:
        """Output of a command so far: the verb of `start`, or "interrupted" for `interrupt_when`."""
        return (self.directory / f"{name}.log").read_text()

    def run(self, *argv: str) -> str:
        """Standard output of a program that runs in the lab's network."""
        command = self.lab_command(*argv)
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout

    def kubectl(self, *arguments: str) -> str:
        """Standard output of kubectl with the kubeconfig beside the file."""
        return self.run("kubectl", "--kubeconfig", str(self.kubeconfig), *arguments)

    def on(
        self, host: str, script: str, *, stdin: str = "", succeed: bool = True, seconds: float = 180
    ) -> str:
        """Standard output of a script on a machine of the lab."""
        argv = [*PROVISION, "lab", "ssh", host, "--name", self.name, "--", script]
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False, timeout=seconds)
        assert done.returncode == 0 or not succeed, done.stderr
        return done.stdout

    def nodes(self) -> dict[str, str]:
        """State of each node by name as kubectl prints it ("Ready,SchedulingDisabled"); {} without an API server.

        Uses the first control plane of the file that responds.
        """
        for host in yaml.safe_load(self.file.read_text())["hosts"]:
            if host.get("role") == "control-plane":
                text = self.on(host["name"], f"{KUBECTL} get nodes --no-headers", succeed=False)
                if nodes := dict(re.findall(r"^(\S+)\s+(\S+)", text, re.MULTILINE)):
                    return nodes
        return {}

    def etcd(self) -> dict[str, bool]:
        """Health of each etcd member by name."""
        done = self.provision("status", "-o", "json")
        return {member["name"]: member["healthy"] for member in json.loads(done.stdout)["etcd"]}

    def lab_command(self, *argv: str) -> list[str]:
        """The argument list that runs a program in the lab's network."""
        return [*PROVISION, "lab", "run", "--name", self.name, "--", *argv]

    def _log(self, name: str) -> IO[str]:
        return (self.directory / f"{name}.log").open("w")


def without_hosts(text: str, *names: str) -> str:
    """The text of a cluster file without these hosts."""
    for name in names:
        text = re.sub(rf"  - name: {name}\n(?:    .*\n)+", "", text)
    return text


def without_endpoint(text: str) -> str:
    return re.sub(r"^endpoint:.*\n", "", text, flags=re.MULTILINE)


@contextmanager
def running_lab(cluster: LabCluster, *size: str) -> Iterator[None]:
    """Boot the machines of the lab; remove it afterwards, and first one that an earlier run left."""
    down = [*PROVISION, "lab", "down", "--name", cluster.name]
    subprocess.run(down, check=True, capture_output=True)
    subprocess.run(
        [*PROVISION, "lab", "up", "--name", cluster.name, *size, "--file", str(cluster.file)], check=True
    )
    try:
        yield
    finally:
        subprocess.run(down, check=True, capture_output=True)


def reinstall(name: str, host: str) -> None:
    """Restore a machine of lab `name` to its state before the first boot."""
    machines.power_off(name, host)
    lab_directory(name).machine(host).joinpath("disk.cow").unlink()
    machines.power_on(name, host)
    machines.wait_until_reachable(name, [host])


def wait_for(description: str, condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {description}"
        time.sleep(0.5)
