"""Print the state of lab hosts as JSON, read over plain ssh: an idempotent converge must not change it.

usage: host_state.py HOST...
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

SSH = Path(__file__).with_name("ssh")
# Files with content, owner, mode and time of change; start times of services; packages; kernel settings.
_COMMANDS = {
    "files": "find /etc /usr/local /var/lib/provision -type f -printf '%C@ %u %m %p\\n' | sort -k4; "
    "find /etc /usr/local /var/lib/provision -type f -exec sha256sum {} + | sort -k2",
    "units": "systemctl show --property=Id,ActiveEnterTimestampMonotonic,NRestarts containerd.service crio.service "
    "docker.service cri-docker.service kubelet.service ssh.service systemd-modules-load.service systemd-sysctl.service",
    "packages": "dpkg-query --show --showformat='${binary:Package} ${Version} ${Status}\\n'",
    "modules": "cut -d' ' -f1 /proc/modules | sort",
    "sysctls": "sysctl net.ipv4.ip_forward net.bridge",
    "swaps": "cat /proc/swaps",
    "hostname": "hostname; cat /etc/hostname",
}


def ask(host: str, command: str) -> str:
    """Run `command` as root on `host` and return its output."""
    argv = [str(SSH), host, f"sudo sh -c {shlex.quote(command)}"]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def states(hosts: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the outputs of all commands by host and name."""
    return {host: {name: ask(host, command) for name, command in _COMMANDS.items()} for host in hosts}


if __name__ == "__main__":
    json.dump(states(sys.argv[1:]), sys.stdout, indent=2)
