"""Commands and files read from hosts over SSH, as root. Changing hosts is Ansible's work.

All hosts in parallel, every connection bounded, host keys always checked: the key pinned in the file if there is one,
else known_hosts. Failures come back as a finding per host, not as the first exception.
"""

from __future__ import annotations

from provision.ssh.command import CONNECT_SECONDS, Command, CommandResult, fetch_file, run_as_root
from provision.ssh.connections import Secrets
from provision.ssh.session import Session, session

__all__ = [
    "CONNECT_SECONDS",
    "Command",
    "CommandResult",
    "Secrets",
    "Session",
    "fetch_file",
    "run_as_root",
    "session",
]
