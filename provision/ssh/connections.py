"""SSH connections of a run: shared settings, strict host keys, log-in."""

from __future__ import annotations

import contextlib
import logging
import math
import queue
import socket
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fabric
import paramiko

from provision.errors import ProvisionError
from provision.ssh import findings
from provision.ssh.known_hosts import FILES, KnownHosts, StrictPolicy, key_line, known_name, parse_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from provision.model.cluster import Cluster, Host
    from provision.model.plan import Finding

_PARALLEL_LOGINS = 16  # more of them only starve each other's key exchange


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """Passwords the user typed, for the length of a run; never stored, never shown."""

    sudo_password: str | None = field(default=None, repr=False)


class LoginError(ProvisionError):
    """Why a connection or login failed, as a finding; never leaves this package."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding


class Connection:
    """A connection to one host, not open until `connect` and `log_in`; only a known host key is accepted."""

    def __init__(
        self, shared: Connections, client: fabric.Connection, policy: StrictPolicy, host: str, *, pinned: bool
    ) -> None:
        """`host` is the name that findings give, "" for the bastion; `pinned`: the file has its host key."""
        self._shared = shared
        self._policy = policy
        self._pinned = pinned
        self.host = host
        self.client = client
        self.user = str(client.user)
        self.known_name = known_name(client)

    @property
    def offered_key(self) -> paramiko.PKey | None:
        """The key the host offered, if it is not known."""
        return self._policy.offered

    def connect(self) -> None:
        """Open the TCP connection, unless a jump host does. Raises LoginError."""
        if self.client.gateway is not None:
            return
        address = (str(self.client.host), int(self.client.port))
        try:
            self.client.connect_kwargs["sock"] = socket.create_connection(
                address, timeout=self._shared.seconds
            )
        except (OSError, UnicodeError) as error:
            raise LoginError(self._finding(error)) from error

    def log_in(self) -> None:
        """Exchange keys and log in, over a TCP connection of its own without `connect`. Raises LoginError."""
        try:
            self.client.open()
        except (paramiko.SSHException, OSError, EOFError, UnicodeError) as error:
            raise LoginError(self._finding(error)) from error

    def open_channel(self, seconds: float) -> paramiko.Channel:
        return self.client.transport.open_session(timeout=seconds)

    def close(self) -> None:
        with contextlib.suppress(OSError, EOFError):
            self.client.client.close()

    def _finding(self, error: Exception) -> Finding:
        """Explain an exception of `connect` or `log_in`."""
        host, address = self.host, f"{self.client.host}:{self.client.port}"
        if isinstance(error, paramiko.BadHostKeyException):
            offered, known = error.key.fingerprint, error.expected_key.fingerprint
            return findings.key_changed(host, address, offered, known, self.known_name, pinned=self._pinned)
        if self.offered_key is not None:
            return findings.key_unknown(
                host, address, self.offered_key.fingerprint, key_line(self.offered_key)
            )
        refusals = (paramiko.AuthenticationException, paramiko.PasswordRequiredException)
        if isinstance(error, refusals) or "No authentication methods" in str(error):
            return self._login_refused(address)
        if isinstance(error, socket.gaierror | UnicodeError):
            reason = str(error.strerror if isinstance(error, OSError) else error).lower()
            return findings.name_unknown(host, str(self.client.host), reason)
        if isinstance(error, TimeoutError):
            return findings.no_answer(host, address, self._shared.seconds)
        return findings.not_connected(host, address, _reason(error).lower())

    def _login_refused(self, address: str) -> Finding:
        if self._shared.key_problem is not None:
            return replace(self._shared.key_problem, where=self.host)
        return findings.login_refused(self.host, address, self.user, self._shared.tried_keys(self.client))


class Connections:
    """What the connections of a run share: OpenSSH's settings, known hosts, the private key, the bastion.

    A context manager that closes the bastion. Raises UnreachableError if the key file or the bastion cannot be used.
    """

    def __init__(self, cluster: Cluster, secrets: Secrets, seconds: float) -> None:
        """`seconds` to connect and as long to log in, per host."""
        # Errors are reported as findings; paramiko would print their tracebacks.
        logging.getLogger("paramiko").setLevel(logging.CRITICAL)
        self.seconds = seconds
        self.secrets = secrets
        self.login_slots = threading.BoundedSemaphore(_PARALLEL_LOGINS)
        self.known_hosts = KnownHosts(FILES)
        self._settings = cluster.ssh
        self._config = fabric.Config(lazy=True)  # not lazy: fabric's own files in /etc and ~ would count
        self._config.load_ssh_config()
        self._key, self.key_problem = _private_key(cluster.ssh.key)
        self._bastion: Connection | None = None
        if cluster.ssh.bastion:
            self._bastion = self._open_bastion(cluster.ssh.bastion)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bastion is not None:
            self._bastion.close()

    def prepare(self, host: Host) -> Connection:
        return self._prepare(
            host.address, host.name, host.host_key, user=host.user or self._settings.user, port=host.port
        )

    def tried_keys(self, client: fabric.Connection) -> str:
        """The keys a login was tried with, for the message."""
        files = [self._settings.key] if self._settings.key else client.connect_kwargs["key_filename"]
        agent = paramiko.Agent()
        count = len(agent.get_keys())
        agent.close()
        in_agent = [f"{count} keys of the agent"] if count else []
        defaults = [] if self._settings.key else ["OpenSSH's default keys"]
        return ", ".join([*map(str, files), *in_agent, *defaults])

    def _prepare(self, address: str, name: str, pinned: str | None, **more: Any) -> Connection:
        client = fabric.Connection(
            address,
            # Its own: fabric empties and fills the settings of a connection while it makes it.
            config=self._config.clone(),
            gateway=self._bastion and self._bastion.client,
            connect_timeout=math.ceil(self.seconds),
            connect_kwargs=self._connect_kwargs(),
            **more,
        )
        return Connection(self, client, self._restrict(client, pinned), name, pinned=bool(pinned))

    def _connect_kwargs(self) -> dict[str, Any]:
        return {
            "pkey": self._key,
            "look_for_keys": self._settings.key is None,
            "banner_timeout": self.seconds,
            "auth_timeout": self.seconds,
            "channel_timeout": self.seconds,
        }

    def _restrict(self, client: fabric.Connection, pinned: str | None) -> StrictPolicy:
        """Accept only known host keys, of this host and of every jump host in OpenSSH's settings."""
        gateway = client.gateway
        ours = self._bastion and self._bastion.client
        if isinstance(gateway, fabric.Connection) and gateway is not ours:
            gateway.connect_kwargs.update(self._connect_kwargs())
            self._restrict(gateway, None)
        existing = [path for path in client.connect_kwargs.get("key_filename", ()) if Path(path).is_file()]
        client.connect_kwargs["key_filename"] = existing
        name = known_name(client)
        keys = client.client.get_host_keys()
        if pinned:
            key = parse_key(pinned)
            keys.add(name, key.get_name(), key)
        else:
            for key in self.known_hosts.keys(name):
                keys.add(name, key.get_name(), key)
        policy = StrictPolicy()
        client.client.set_missing_host_key_policy(policy)
        return policy

    def _open_bastion(self, address: str) -> Connection:
        """Log in to the bastion within `seconds`, name resolution and TCP connection included."""
        connection = self._prepare(address, "", None)
        outcome: queue.SimpleQueue[Finding | None] = queue.SimpleQueue()

        def attempt() -> None:
            try:
                connection.log_in()
            except LoginError as refusal:
                outcome.put(refusal.finding)
            else:
                outcome.put(None)

        start_thread(attempt)
        try:
            finding = outcome.get(timeout=self.seconds)
        except queue.Empty:
            finding = findings.no_answer("", address, self.seconds)
        if finding:
            raise findings.unreachable(findings.bastion_failed(address, finding))
        return connection


def start_thread(work: Callable[[], None]) -> None:
    # A daemon: a thread that hangs in name resolution must not keep the program from ending.
    threading.Thread(target=work, daemon=True).start()


def _private_key(path: str | None) -> tuple[paramiko.PKey | None, Finding | None]:
    """Load the key once for all hosts; of one with a passphrase a finding, for the case that the agent lacks it."""
    if path is None:
        return None, None
    file = Path(path).expanduser()
    try:
        return paramiko.PKey.from_path(file), None
    except TypeError:
        return None, findings.passphrase_needed(path)
    except (OSError, ValueError, paramiko.SSHException) as error:
        raise findings.unreachable(findings.key_unusable(path, str(error))) from error


def _reason(error: Exception) -> str:
    if isinstance(error, paramiko.ssh_exception.NoValidConnectionsError):
        return str(next(iter(error.errors.values())).strerror)
    if isinstance(error, paramiko.ChannelException):
        return f"the bastion could not connect: {error.text}"
    if isinstance(error, OSError) and error.strerror:
        return str(error.strerror)
    if not str(error) or "protocol banner" in str(error):
        # OpenSSH's PerSourcePenalties and MaxStartups look like this from here.
        return "it closed the connection before the login; after failed logins sshd does so for a while"
    return str(error)
