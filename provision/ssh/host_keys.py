"""The host keys of hosts that are not pinned yet: from known_hosts, or as the host offers it now."""

from __future__ import annotations

import queue
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from provision.ssh import findings
from provision.ssh.connections import Connections, Secrets, start_thread
from provision.ssh.known_hosts import Verdict, key_line
from provision.ssh.openssh import LoginError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from provision.model.cluster import Cluster, Host
    from provision.model.plan import Finding
    from provision.ssh.connections import Connection


@dataclass(frozen=True, slots=True)
class HostKey:
    """`line` is `type base64` as a file pins it; `known`: known_hosts has it, so it needs no confirmation."""

    line: str
    fingerprint: str  # SHA256:..., as ssh-keygen prints it
    known: bool
    stale: Finding | None = None  # known_hosts has another key of the host

    @property
    def type(self) -> str:
        return self.line.partition(" ")[0]


def fetch_host_keys(
    cluster: Cluster, hosts: Sequence[Host], *, seconds: float = 10.0
) -> dict[str, HostKey | Finding]:
    """The key of each host by its name, or a finding why it could not be had; all hosts in parallel.

    Every host shows its key, at most `seconds` to connect and as long to exchange keys; none is logged in to.
    Raises UnreachableError if the bastion cannot be used.
    """
    with Connections(cluster, Secrets(), seconds) as connections:
        reports: queue.SimpleQueue[tuple[str, HostKey | Finding]] = queue.SimpleQueue()
        found: dict[str, HostKey | Finding] = {}
        for host in hosts:
            start_thread(partial(_fetch_key, connections, host, reports.put))
        deadline = time.monotonic() + 2 * seconds
        while len(found) < len(hosts):
            try:
                name, result = reports.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                break
            found[name] = result
    silent = {host.name: findings.no_answer(host.name, findings.place(host), 2 * seconds) for host in hosts}
    return {**silent, **found}


def _fetch_key(
    connections: Connections, host: Host, report: Callable[[tuple[str, HostKey | Finding]], None]
) -> None:
    """Connect until the host has shown its key, and disconnect; in a thread of its own."""
    connection = None
    result: HostKey | Finding
    try:
        connection = connections.prepare(host)
        connection.policy.look_only = True
        connection.log_in()
        result = findings.not_connected(
            host.name, findings.place(host), "it let us in without showing its key"
        )
    except LoginError as refusal:
        result = refusal.finding
        if connection is not None and connection.policy.offered is not None:
            result = _shown(connection, refusal.finding)
    if connection is not None:
        connection.close()
    report((host.name, result))


def _shown(connection: Connection, refusal: Finding) -> HostKey | Finding:
    """The key that a host showed; `refusal` if it must not be trusted whatever a person says."""
    key, verdict = connection.policy.offered, connection.policy.verdict
    if key is None or verdict is Verdict.REVOKED:
        return refusal
    stale = refusal if verdict is Verdict.CHANGED else None
    return HostKey(key_line(key), str(key.fingerprint), known=verdict is Verdict.KNOWN, stale=stale)
