"""Calls and the processes that made them."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass

import psutil

_FOUND_WITHIN = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the user. `error` is its error code, "" on success, "lost" if the connection was reset."""

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


def kill_peer(ours: tuple[str, int], theirs: tuple[str, int]) -> int | None:
    """SIGKILL the process that holds the other end of a connection between these two addresses; its pid, or None.

    A port alone does not name it: other connections, to other addresses, may have the same one at the same time.
    This process is never killed: a client inside it cannot be killed separately.
    """
    deadline = time.monotonic() + _FOUND_WITHIN
    while True:
        for connection in psutil.net_connections("tcp4"):
            if (connection.laddr, connection.raddr) != (theirs, ours) or connection.pid is None:
                continue
            if connection.pid == os.getpid():
                return None
            os.kill(connection.pid, signal.SIGKILL)
            return connection.pid
        # The client waits for the response; on a busy machine the table, read in pieces, may miss its connection.
        if time.monotonic() > deadline:
            return None
        time.sleep(0.01)
