"""The host keys of hosts that are not pinned yet: from known_hosts, or as the host offers it now."""

from __future__ import annotations

import queue
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from provision.ssh import findings
from provision.ssh.connections import Connections, LoginError, Secrets, start_thread
from provision.ssh.known_hosts import key_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import paramiko

    from provision.model.cluster import Cluster, Host
    from provision.model.plan import Finding
    from provision.ssh.connections import Connection


@dataclass(frozen=True, slots=True)
class HostKey:
    """`line` is `type base64` as a file pins it; `known`: known_hosts has it, so it needs no confirmation."""

    line: str
    fingerprint: str  # SHA256:..., as ssh-keygen prints it
    known: bool

    @property
    def type(self) -> str:
        return self.line.partition(" ")[0]


def fetch_host_keys(
    cluster: Cluster, hosts: Sequence[Host], *, seconds: float = 10.0
) -> dict[str, HostKey | Finding]:
    """The key of each host by its name, or a finding why it could not be had; all hosts in parallel.

    A host that known_hosts lists is not contacted. Others offer their key, at most `seconds` to connect and as long
    to exchange keys; they are not logged in to. Raises UnreachableError if the bastion cannot be used.
    """
    with Connections(cluster, Secrets(), seconds) as connections:
        reports: queue.SimpleQueue[tuple[str, HostKey | Finding]] = queue.SimpleQueue()
        found: dict[str, HostKey | Finding] = {}
        for host in hosts:
            connection = connections.prepare(host)
            known = _known_key(connections, connection)
            if known is not None:
                found[host.name] = known
            else:
                start_thread(partial(_fetch_key, connection, host, reports.put))
        deadline = time.monotonic() + 2 * seconds
        while len(found) < len(hosts):
            try:
                name, result = reports.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                break
            found[name] = result
    silent = {
        host.name: findings.no_answer(host.name, f"{host.address}:{host.port}", 2 * seconds) for host in hosts
    }
    return {**silent, **found}


def _known_key(connections: Connections, connection: Connection) -> HostKey | None:
    keys = sorted(
        connections.known_hosts.keys(connection.known_name), key=lambda key: key.get_name() != "ssh-ed25519"
    )
    return _host_key(keys[0], known=True) if keys else None


def _fetch_key(
    connection: Connection, host: Host, report: Callable[[tuple[str, HostKey | Finding]], None]
) -> None:
    """Connect until the host has offered its key, refuse it, and disconnect; in a thread of its own."""
    result: HostKey | Finding
    try:
        connection.connect()
        connection.log_in()
        result = findings.not_connected(
            host.name, f"{host.address}:{host.port}", "it let us in without showing its key"
        )
    except LoginError as refusal:
        key = connection.offered_key
        result = refusal.finding if key is None else _host_key(key, known=False)
    connection.close()
    report((host.name, result))


def _host_key(key: paramiko.PKey, *, known: bool) -> HostKey:
    return HostKey(key_line(key), str(key.fingerprint), known)
