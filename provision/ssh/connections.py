"""What all connections of a run share, and how each of them is made safe before it is opened."""

from __future__ import annotations

import binascii
import math
import queue
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fabric
import paramiko

from provision.errors import UnreachableError
from provision.ssh import findings as unreachable
from provision.ssh.command import LoginError, log_in
from provision.ssh.known_hosts import FILES, KnownHosts, known_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from provision.model.cluster import Cluster, Host
    from provision.model.plan import Finding


_LOGINS_AT_ONCE = 16  # more of them only starve each other's key exchange


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """What was asked of the user, for the length of a run; never stored, never shown."""

    sudo_password: str | None = field(default=None, repr=False)
    key_passphrase: str | None = field(default=None, repr=False)


class StrictPolicy(paramiko.MissingHostKeyPolicy):  # type: ignore[misc] # paramiko has no types
    """Refuses every host whose key is not known, and keeps the key for the message."""

    def __init__(self) -> None:
        self.offered: paramiko.PKey | None = None

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:  # noqa: ARG002
        self.offered = key
        raise paramiko.SSHException(f"unknown host key of {hostname}")


class Ways:
    """What all connections of a run share: OpenSSH's settings, known hosts, the private key, the bastion."""

    def __init__(self, cluster: Cluster, secrets: Secrets, seconds: float) -> None:
        self.seconds = seconds  # to log in
        self.cluster = cluster
        self.secrets = secrets
        self.turns = threading.BoundedSemaphore(_LOGINS_AT_ONCE)
        self.config = fabric.Config(lazy=True)  # not lazy: fabric's own files in /etc and ~ would count
        self.config.load_ssh_config()
        self.known = KnownHosts(FILES)
        self.key, self.key_problem = _private_key(cluster.ssh.key, secrets.key_passphrase)
        self.bastion: fabric.Connection | None = None
        if cluster.ssh.bastion:
            self.bastion = self._open_bastion(cluster.ssh.bastion)

    def close(self) -> None:
        if self.bastion is not None:
            self.bastion.client.close()

    def connection(self, host: Host) -> tuple[fabric.Connection, StrictPolicy]:
        """A connection to a host, not yet open."""
        connection = fabric.Connection(
            host.address,
            user=host.user or self.cluster.ssh.user,
            port=host.port,
            config=self.config,
            gateway=self.bastion,
            connect_timeout=math.ceil(self.seconds),
            connect_kwargs=self._kwargs(),
        )
        policy = self._secure(connection, host.host_key)
        return connection, policy

    def tried(self, connection: fabric.Connection) -> str:
        """Which keys a login was tried with, for the message."""
        files = [self.cluster.ssh.key] if self.cluster.ssh.key else connection.connect_kwargs["key_filename"]
        agent = paramiko.Agent()
        names = [
            *map(str, files),
            *([f"{len(agent.get_keys())} keys of the agent"] if agent.get_keys() else []),
        ]
        agent.close()
        if self.cluster.ssh.key is None:
            names.append("OpenSSH's default keys")
        return ", ".join(names)

    def _kwargs(self) -> dict[str, Any]:
        return {
            "pkey": self.key,
            "passphrase": self.secrets.key_passphrase,
            "look_for_keys": self.cluster.ssh.key is None,
            "banner_timeout": self.seconds,
            "auth_timeout": self.seconds,
            "channel_timeout": self.seconds,
        }

    def _secure(self, connection: fabric.Connection, pinned: str | None) -> StrictPolicy:
        """Let only known keys through, here and on every jump host of OpenSSH's settings."""
        gateway = connection.gateway
        if isinstance(gateway, fabric.Connection) and gateway is not self.bastion:
            gateway.connect_kwargs.update(self._kwargs())
            self._secure(gateway, None)
        existing = [
            path for path in connection.connect_kwargs.get("key_filename", ()) if Path(path).is_file()
        ]
        connection.connect_kwargs["key_filename"] = existing
        name = known_name(connection)
        keys = connection.client.get_host_keys()
        if pinned:
            keys.add(name, pinned.split()[0], paramiko.PKey.from_type_string(*_type_and_bytes(pinned)))
        else:
            for key in self.known.keys(name):
                keys.add(name, key.get_name(), key)
        policy = StrictPolicy()
        connection.client.set_missing_host_key_policy(policy)
        return policy

    def _open_bastion(self, place: str) -> fabric.Connection:
        connection = fabric.Connection(
            place, config=self.config, connect_timeout=math.ceil(self.seconds), connect_kwargs=self._kwargs()
        )
        policy = self._secure(connection, None)
        outcome: queue.SimpleQueue[Finding | None] = queue.SimpleQueue()

        def attempt() -> None:
            try:
                log_in(connection, policy, "", self, pinned=False)
            except LoginError as refusal:
                outcome.put(refusal.finding)
            else:
                outcome.put(None)

        start(attempt)
        try:
            finding = outcome.get(timeout=self.seconds)
        except queue.Empty:
            finding = unreachable.no_answer("", place, self.seconds)
        if finding:
            finding = unreachable.bastion_failed(place, finding)
            raise UnreachableError(finding.message, fix=finding.fix, findings=(finding,))
        return connection


def _type_and_bytes(pinned: str) -> tuple[str, bytes]:
    kind, key, *_ = pinned.split()
    return kind, binascii.a2b_base64(key)


def _private_key(path: str | None, passphrase: str | None) -> tuple[paramiko.PKey | None, Finding | None]:
    """Load the key once for all hosts: a passphrase costs a tenth of a second of CPU each time.

    Without the passphrase the agent may still have the key, so that is a finding only if the login fails.
    """
    if path is None:
        return None, None
    file = Path(path).expanduser()
    try:
        return paramiko.PKey.from_path(file), None
    except TypeError:
        if passphrase is None:
            return None, unreachable.passphrase_needed(path, given=False)
    except (OSError, ValueError, paramiko.SSHException) as error:
        finding = unreachable.key_unusable(path, str(error))
        raise UnreachableError(finding.message, fix=finding.fix, findings=(finding,)) from error
    try:
        return paramiko.PKey.from_path(file, passphrase.encode()), None
    except ValueError as error:
        finding = unreachable.passphrase_needed(path, given=True)
        raise UnreachableError(finding.message, fix=finding.fix, findings=(finding,)) from error


def start(work: Callable[[], None]) -> None:
    # A daemon: a thread that hangs in name resolution must not keep the program from ending.
    threading.Thread(target=work, daemon=True).start()
