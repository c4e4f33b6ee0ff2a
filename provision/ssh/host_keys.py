"""Which key a host shows before anybody trusts it: to be shown to a person, and pinned if that person agrees."""

from __future__ import annotations

import binascii
import contextlib
import queue
import socket
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import paramiko

from provision.ssh import findings as unreachable
from provision.ssh.connections import Secrets, Ways, start
from provision.ssh.known_hosts import known_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from provision.model.cluster import Cluster, Host
    from provision.model.plan import Finding


@dataclass(frozen=True, slots=True)
class HostKey:
    """`line` is `type base64` as a file pins it; `known`: known_hosts has it, so nobody needs to be asked."""

    line: str
    fingerprint: str
    known: bool


def host_keys(
    cluster: Cluster, hosts: Sequence[Host], *, seconds: float = 10.0
) -> dict[str, HostKey | Finding]:
    """The key of each host by its name, or why it could not be had; all hosts at once.

    A host that known_hosts knows is not contacted. Of others the key is what they show now, at most `seconds` to
    connect and as long to exchange keys; nothing else is done there. Raises UnreachableError if the bastion is of
    no use.
    """
    ways = Ways(cluster, Secrets(), seconds)
    try:
        return _keys(ways, hosts)
    finally:
        ways.close()


def fingerprint(line: str) -> str:
    """`SHA256:...` of a public key `type base64`, as ssh-keygen prints it. Raises ValueError if it is none."""
    kind, _, text = line.partition(" ")
    try:
        return str(paramiko.PKey.from_type_string(kind, binascii.a2b_base64(text)).fingerprint)
    except (paramiko.SSHException, ValueError, IndexError, TypeError) as error:
        raise ValueError(line) from error


def _keys(ways: Ways, hosts: Sequence[Host]) -> dict[str, HostKey | Finding]:
    news: queue.SimpleQueue[tuple[str, HostKey | Finding]] = queue.SimpleQueue()
    found: dict[str, HostKey | Finding] = {}
    for host in hosts:
        known = _known(ways, host)
        if known is not None:
            found[host.name] = known
        else:
            start(partial(_ask, ways, host, news.put))
    end = time.monotonic() + 2 * ways.seconds
    while len(found) < len(hosts):
        try:
            name, result = news.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            break
        found[name] = result
    silent = {
        host.name: unreachable.no_answer(host.name, f"{host.address}:{host.port}", 2 * ways.seconds)
        for host in hosts
    }
    return {**silent, **found}


def _known(ways: Ways, host: Host) -> HostKey | None:
    connection, _ = ways.connection(host)
    keys = sorted(ways.known.keys(known_name(connection)), key=lambda key: key.get_name() != "ssh-ed25519")
    return _as_key(keys[0], known=True) if keys else None


def _ask(ways: Ways, host: Host, tell: Callable[[tuple[str, HostKey | Finding]], None]) -> None:
    """In a thread of its own: connect until the host has shown its key, which is refused, and leave."""
    connection, policy = ways.connection(host)
    place = f"{connection.host}:{connection.port}"
    result: HostKey | Finding
    try:
        if connection.gateway is None:
            address = (str(connection.host), int(connection.port))
            connection.connect_kwargs["sock"] = socket.create_connection(address, timeout=ways.seconds)
        connection.open()
        result = unreachable.not_connected(host.name, place, "it let us in without showing its key")
    except socket.gaierror as error:
        result = unreachable.name_unknown(host.name, str(connection.host), str(error.strerror).lower())
    except TimeoutError:
        result = unreachable.no_answer(host.name, place, ways.seconds)
    except (OSError, EOFError, UnicodeError, paramiko.SSHException) as error:
        if policy.offered is None:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            result = unreachable.not_connected(host.name, place, reason.lower())
        else:
            result = _as_key(policy.offered, known=False)
    with contextlib.suppress(OSError, EOFError):
        connection.client.close()
    tell((host.name, result))


def _as_key(key: paramiko.PKey, *, known: bool) -> HostKey:
    return HostKey(f"{key.get_name()} {key.get_base64()}", str(key.fingerprint), known)
