"""Hosts as network and mount namespaces on one network of their own: real firewalls without a machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

PLAYBOOKS = Path(__file__).parents[3] / "playbooks"
TOOLS = ("nft", "iptables", "ufw", "firewalld", "firewall-cmd", "dbus-daemon", "unshare", "nsenter", "ip")
PACKAGES = "nftables iptables ufw firewalld dbus iproute2 util-linux"
# Directories that a namespace changes for itself alone.
_OWN = ("/etc", "/usr/local", "/var/lib", "/var/log", "/run")
_CALL = """
import importlib, json, sys
import ansible.module_utils
ansible.module_utils.__path__.append({module_utils!r})
sys.path.insert(0, {library!r})
module, function = sys.argv[1].split(":")
host = importlib.import_module("ansible.module_utils.provision_host")
record = importlib.import_module("ansible.module_utils.provision_record").Record("files")
changes = host.Changes(record=record)
try:
    found = getattr(importlib.import_module("ansible.module_utils." + module), function)(
        *json.load(sys.stdin), **({{"changes": changes}} if len(sys.argv) > 2 else {{}}))
except host.HostError as error:
    sys.exit("HostError: " + error.message)
print(json.dumps(changes.sentences if len(sys.argv) > 2 else found))
"""
_SERVE = """
import socket, sys, threading
for port in map(int, sys.argv[1:]):
    server = socket.create_server(("", port))
    threading.Thread(target=lambda s=server: [s.accept() for _ in iter(int, 1)]).start()
print("listening", flush=True)
"""
_CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 1)"


def require_tools() -> None:
    """Skip visibly where namespaces or firewalls cannot be had; fail in CI, which must have them."""
    places = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
    missing = [name for name in TOOLS if shutil.which(name, path=places) is None]
    why = f"missing {', '.join(missing)}: apt-get install {PACKAGES}" if missing else ""
    if not why and (
        os.geteuid() != 0 or subprocess.run(["unshare", "--net", "true"], check=False).returncode
    ):
        why = "network namespaces need root"
    if why and os.environ.get("CI"):
        pytest.fail(why)
    if why:
        pytest.skip(why)


class Namespace:
    """One host; everything that is started in it ends with the stack."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.process = self._started(["unshare", "--net", "--mount", "sleep", "infinity"])
        own = Path("/proc/self/ns/mnt").readlink()
        wait_for(lambda: Path(f"/proc/{self.process.pid}/ns/mnt").readlink() != own)
        self.run("ip", "link", "set", "lo", "up")

    def with_own_files(self) -> Namespace:
        """Directories of a host's configuration can be changed; systemctl is a double that does nothing."""
        self.run("mount", "--make-rprivate", "/")
        self.run("mount", "-t", "tmpfs", "own", "/mnt")
        for number, path in enumerate(_OWN):
            upper, work = f"/mnt/{number}/upper", f"/mnt/{number}/work"
            self.run("mkdir", "-p", upper, work)
            layers = f"lowerdir={path},upperdir={upper},workdir={work}"
            self.run("mount", "-t", "overlay", "own", "-o", layers, path)
        self.run(
            "sh",
            "-c",
            "printf '#!/bin/sh\\n' > /usr/local/sbin/systemctl; chmod 755 /usr/local/sbin/systemctl",
        )
        self.run("sh", "-c", "rm -rf /var/lib/provision")
        return self

    def run(self, *argv: str, stdin: str = "", check: bool = True) -> str:
        done = subprocess.run(
            self._inside(argv), input=stdin, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0 or not check, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout

    def start(self, *argv: str) -> subprocess.Popen[str]:
        return self._started(self._inside(argv))

    def serve(self, *ports: int) -> None:
        process = self.start(sys.executable, "-c", _SERVE, *map(str, ports))
        assert process.stdout is not None
        assert process.stdout.readline() == "listening\n"

    def reaches(self, address: str, port: int) -> bool:
        argv = self._inside((sys.executable, "-c", _CONNECT, address, str(port)))
        return subprocess.run(argv, capture_output=True, check=False).returncode == 0

    def call(self, name: str, *arguments: Any, changes: bool = True) -> Any:
        """The changes that a function of module_utils (`module:function`) made here, or else what it returned."""
        program = _CALL.format(
            module_utils=str(PLAYBOOKS / "module_utils"), library=str(PLAYBOOKS / "library")
        )
        argv = (sys.executable, "-c", program, name, *(["changes"] if changes else []))
        return json.loads(self.run(*argv, stdin=json.dumps(arguments)))

    def connect(self, switch: Namespace, name: str, address: str) -> None:
        """Connect to the bridge of `switch`; the network is 10.9.0.0/24."""
        pid = str(self.process.pid)
        switch.run("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", pid)
        switch.run("ip", "link", "set", name, "master", "switch", "up")
        self.run("ip", "address", "add", f"{address}/24", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")

    def _inside(self, argv: tuple[str, ...]) -> list[str]:
        return ["nsenter", "--target", str(self.process.pid), "--net", "--mount", "--wd=/", *argv]

    def _started(self, argv: list[str]) -> subprocess.Popen[str]:
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self._stack.callback(_end, process)
        return process


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def wait_for(condition: Any, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.05)
