"""The state of hosts of the lab as JSON, asked over plain ssh.

usage: host_state.py HOST...

It is what a converge that has nothing to do must not touch.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

SSH = Path(__file__).with_name("ssh")
# Files by content, owner, mode and time of change; services by when they started; packages; kernel settings.
_QUESTIONS = {
    "files": "find /etc /usr/local /var/lib/provision -type f -printf '%C@ %u %m %p\\n' | sort -k4; "
    "find /etc /usr/local /var/lib/provision -type f -exec sha256sum {} + | sort -k2",
    "units": "systemctl show --property=Id,ActiveEnterTimestampMonotonic,NRestarts "
    "containerd.service kubelet.service ssh.service systemd-modules-load.service systemd-sysctl.service",
    "packages": "dpkg-query --show --showformat='${binary:Package} ${Version} ${Status}\\n'",
    "modules": "cut -d' ' -f1 /proc/modules | sort",
    "sysctls": "sysctl net.ipv4.ip_forward net.bridge",
    "swaps": "cat /proc/swaps",
    "hostname": "hostname; cat /etc/hostname",
}


def ask(host: str, command: str) -> str:
    """What `command`, run as root, writes on `host`."""
    argv = [str(SSH), host, f"sudo sh -c {shlex.quote(command)}"]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def states(hosts: Sequence[str]) -> dict[str, dict[str, str]]:
    """Answers to all questions, by host and question."""
    return {host: {name: ask(host, command) for name, command in _QUESTIONS.items()} for host in hosts}


if __name__ == "__main__":
    json.dump(states(sys.argv[1:]), sys.stdout, indent=2)
