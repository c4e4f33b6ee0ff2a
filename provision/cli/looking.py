"""Looking at the hosts, asking for a password where one is needed: what check, plan, apply and status begin with."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import typer

from provision.errors import UnreachableError

if TYPE_CHECKING:
    from provision.events import Emit
    from provision.kubeadm.facts import Observation
    from provision.model import Cluster

_TRIES = 3
_HELPED_BY_ASKING = ("sudo-password", "sudo-password-wrong")


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen, and the sudo password that had to be asked for (kept for this run only, in memory)."""

    observation: Observation
    sudo_password: str | None = field(default=None, repr=False)


def look(cluster: Cluster, emit: Emit, *, again: Look | None = None) -> Look:
    """Observe every host of the cluster; `again`: with the password of an earlier look.

    Where only sudo's password is missing it is asked for, if somebody is there to ask.
    Raises UnreachableError with a finding per host that cannot be used.
    """
    from provision.kubeadm.observe import observe

    password = again.sudo_password if again else None
    for _ in range(_TRIES):
        try:
            return Look(observe(cluster, sudo_password=password, emit=emit), password)
        except UnreachableError as error:
            helped = all(finding.check in _HELPED_BY_ASKING for finding in error.findings)
            if not helped or not error.findings or not sys.stdin.isatty():
                raise
            print(f"{error.findings[0].where}: {error.findings[0].message}", file=sys.stderr)
        password = typer.prompt("password for sudo on the hosts", hide_input=True, err=True)
    return Look(observe(cluster, sudo_password=password, emit=emit), password)
