"""What was called, and by whom."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the user. `error` is the code it failed with, or ""; "lost" if the connection was reset."""

    service: str
    operation: str
    region: str
    mutating: bool
    error: str = ""

    @property
    def action(self) -> str:
        """As a policy names it: "ec2:CreateVpc"."""
        prefix = {
            "elb": "elasticloadbalancing",
            "elbv2": "elasticloadbalancing",
            "service-quotas": "servicequotas",
        }
        return f"{prefix.get(self.service, self.service)}:{self.operation}"


def kill_peer(port: int) -> int | None:
    """SIGKILL the process that holds the other end of a loopback connection, `port` being its end's; its pid, or None.

    This process is never the one: a client inside of it cannot be killed apart.
    """
    inode = _inode(port)
    for directory in Path("/proc").iterdir():
        if not directory.name.isdigit() or directory.name == str(os.getpid()):
            continue
        if inode and _holds(directory / "fd", f"socket:[{inode}]"):
            os.kill(int(directory.name), signal.SIGKILL)
            return int(directory.name)
    return None


def _inode(port: int) -> str:
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if fields[1] == f"0100007F:{port:04X}":
            return fields[9]
    return ""


def _holds(descriptors: Path, target: str) -> bool:
    try:
        return any(os.readlink(each) == target for each in descriptors.iterdir())  # noqa: PTH115 - it is no path
    except OSError:
        return False  # it ended meanwhile, or is not ours
