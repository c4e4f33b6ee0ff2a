"""Looking at the hosts, asking for a password where one is needed: what check, plan, apply and status begin with."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import typer

from provision.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from provision.engine.events import Emit
    from provision.model.cluster import Cluster, Host
    from provision.model.plan import Finding
    from provision.providers.kubeadm.facts.host import Observation

T = TypeVar("T")
_TRIES = 3
_HELPED_BY_ASKING = ("sudo-password", "sudo-password-wrong")


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen, and the sudo password that had to be asked for (kept for this run only, in memory)."""

    observation: Observation
    sudo_password: str | None = field(default=None, repr=False)


def look(
    cluster: Cluster, emit: Emit, *, again: Look | None = None, hosts: Sequence[Host] | None = None
) -> Look:
    """Observe `hosts` (by default all of the cluster); `again`: with the password of an earlier look.

    Where only sudo's password is missing it is asked for, if somebody is there to ask.
    Raises UnreachableError with a finding per host that cannot be used.
    """
    from provision.providers.kubeadm.facts.gather import observe

    observation, password = asking(
        lambda password: observe(cluster, hosts=hosts, sudo_password=password, emit=emit),
        again.sudo_password if again else None,
    )
    return Look(observation, password)


def asking(see: Callable[[str | None], T], password: str | None) -> tuple[T, str | None]:
    """What `see` returns for a sudo password, and that password; it is asked for where it alone is missing."""
    for _ in range(_TRIES):
        try:
            return see(password), password
        except UnreachableError as error:
            helped = all(finding.check in _HELPED_BY_ASKING for finding in error.findings)
            if not helped or not error.findings or not sys.stdin.isatty():
                raise
            print(f"{error.findings[0].where}: {error.findings[0].message}", file=sys.stderr)
        password = typer.prompt("password for sudo on the hosts", hide_input=True, err=True)
    return see(password), password


def look_at_those_that_answer(
    cluster: Cluster, emit: Emit, *, again: Look | None = None, skip: bool
) -> tuple[Look, dict[str, Finding]]:
    """Observe every host; with `skip` those that cannot be used are left out, and the second value says why.

    Raises UnreachableError if one cannot be used and `skip` is off, or if none can.
    """
    try:
        return look(cluster, emit, again=again), {}
    except UnreachableError as error:
        why = {finding.where: finding for finding in error.findings}
        left = [host for host in cluster.hosts if host.name not in why]
        if not skip or not left or len(left) == len(cluster.hosts):
            raise
    return look(cluster, emit, again=again, hosts=left), why
