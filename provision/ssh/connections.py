"""SSH connections of a run: OpenSSH's settings, strict host keys, log-in."""

from __future__ import annotations

import contextlib
import logging
import math
import queue
import socket
import threading
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fabric
import paramiko

from provision.model.units import split_destination
from provision.ssh import findings
from provision.ssh.known_hosts import KnownHosts, Trust, TrustPolicy, Verdict, key_line, parse_key
from provision.ssh.login import KeyFiles, KeyLogin, LoginFailure
from provision.ssh.openssh import LoginError, Proxy, Settings, client_options, read_settings

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


class _Transport(paramiko.Transport):  # type: ignore[misc] # paramiko has no types
    """Asks for the types of host keys that can be proven first."""

    def __init__(self, trust: Trust, sock: object, **more: Any) -> None:
        super().__init__(sock, **more)
        self._algorithms = trust.algorithms()

    @property
    def preferred_keys(self) -> tuple[str, ...]:
        return self._algorithms


class Connection:
    """A connection to one host, not open until `connect` and `log_in`; only a trusted host key is accepted."""

    def __init__(self, shared: Connections, settings: Settings, host: str, pinned: str | None) -> None:
        """`host` is the name that findings give, "" for the bastion; `pinned`: its host key in the file."""
        self._shared = shared
        self._pinned = pinned
        self._proxy: Proxy | None = None
        self._login = KeyLogin(settings, shared.key_files)
        self.host = host
        self.settings = settings
        self.user = settings.user
        trust = Trust(settings.alias, keys=(parse_key(pinned),)) if pinned else shared.trust(settings)
        self.policy = TrustPolicy(trust)
        self.client: fabric.Connection = fabric.Connection(
            settings.hostname,
            user=settings.user,
            port=settings.port,
            # Its own: fabric empties and fills the settings of a connection while it makes it.
            config=shared.fabric.clone(),
            gateway=shared.bastion.client if shared.bastion else None,
            connect_timeout=math.ceil(shared.seconds),
            connect_kwargs={
                "auth_strategy": self._login,
                "transport_factory": partial(_Transport, trust),
                "banner_timeout": shared.seconds,
                "auth_timeout": shared.seconds,
                "channel_timeout": shared.seconds,
            },
        )
        self.client.client.set_missing_host_key_policy(self.policy)

    def connect(self) -> None:
        """Open the TCP connection, or start what makes one; a bastion opens its own. Raises LoginError."""
        if self.client.gateway is not None or "sock" in self.client.connect_kwargs:
            return
        try:
            if command := self.settings.proxy:
                self._proxy = Proxy(self.settings, command)
                connection = self._proxy.socket
            else:
                connection = self.settings.open_socket(self._shared.seconds)
        except (OSError, UnicodeError) as error:
            raise LoginError(self._finding(error)) from error
        self.client.connect_kwargs["sock"] = connection

    def log_in(self) -> None:
        """Exchange keys and log in. Raises LoginError."""
        self.connect()
        try:
            self.client.open()
        except (paramiko.SSHException, OSError, EOFError, UnicodeError) as error:
            raise LoginError(self._finding(error)) from error

    def open_channel(self, seconds: float) -> paramiko.Channel:
        return self.client.transport.open_session(timeout=seconds)

    def close(self) -> None:
        with contextlib.suppress(OSError, EOFError):
            self.client.client.close()
        self._login.close()
        if self._proxy is not None:
            self._proxy.close()
        elif "sock" in self.client.connect_kwargs:
            self.client.connect_kwargs["sock"].close()

    def changed_key(self) -> Finding:
        """The finding of a host that shows another key than the one that is known."""
        offered, known = self.policy.offered, self.policy.trust.keys
        assert offered is not None  # noqa: S101 - the caller has seen it
        like = [key for key in known if key.get_name() == offered.get_name()] or known
        return findings.key_changed(
            self.host,
            self.settings.address,
            offered.fingerprint,
            like[0].fingerprint,
            self.settings.known_name,
            pinned=self._pinned is not None,
        )

    def _finding(self, error: Exception) -> Finding:
        """Explain an exception of `connect` or `log_in`."""
        host, address = self.host, self.settings.address
        if self.policy.verdict in (Verdict.CHANGED, Verdict.UNKNOWN, Verdict.REVOKED):
            return self._distrusted()
        if self._proxy is not None and self.policy.verdict is None:
            said = self._proxy.said()
            return findings.proxy_failed(host, address, self._proxy.name, said, self._proxy.command)
        refusals = (paramiko.AuthenticationException, paramiko.PasswordRequiredException)
        if isinstance(error, refusals):
            return self._login_refused(error)
        if isinstance(error, socket.gaierror | UnicodeError):
            reason = str(error.strerror if isinstance(error, OSError) else error).lower()
            return findings.name_unknown(host, self.settings.hostname, reason)
        if isinstance(error, TimeoutError):
            return findings.no_answer(host, address, self._shared.seconds)
        return findings.not_connected(host, address, _reason(error).lower())

    def _distrusted(self) -> Finding:
        offered, host, address = self.policy.offered, self.host, self.settings.address
        assert offered is not None  # noqa: S101 - there is a verdict
        if self.policy.verdict is Verdict.CHANGED:
            return self.changed_key()
        if self.policy.verdict is Verdict.REVOKED:
            return findings.key_revoked(host, address, offered.fingerprint)
        flaw = self.policy.trust.certificate_flaw(offered) if self.policy.trust.authorities else ""
        return findings.key_unknown(host, address, offered.fingerprint, key_line(offered), flaw)

    def _login_refused(self, error: Exception) -> Finding:
        host, address = self.host, self.settings.address
        if isinstance(error, LoginFailure) and error.wanted:
            return findings.more_than_a_key(host, address, self.user, error.wanted)
        tried, count = self._login.tried, self._login.agent_keys
        if isinstance(error, LoginFailure) and error.too_many:
            return findings.too_many_keys(host, address, self.user, len(tried), count)
        if locked := self._login.locked():
            return replace(findings.passphrase_needed(str(locked.path)), where=host)
        agent = [f"{count} keys of the agent"] if count else []
        files = [one for one in tried if not one.startswith("a key of the agent")]
        return findings.login_refused(host, address, self.user, ", ".join([*files, *agent]) or "no key")


class Connections:
    """What the connections of a run share: key files, known hosts, the bastion.

    A context manager that closes the bastion. Raises UnreachableError if the key file or the bastion cannot be used.
    """

    def __init__(self, cluster: Cluster, secrets: Secrets, seconds: float) -> None:
        """`seconds` to connect and as long to log in, per host."""
        # Errors are reported as findings; paramiko would print their tracebacks.
        logging.getLogger("paramiko").setLevel(logging.CRITICAL)
        self.seconds = seconds
        self.secrets = secrets
        self.login_slots = threading.BoundedSemaphore(_PARALLEL_LOGINS)
        # ssh_config, empty: ours comes from ssh itself. Lazy: else fabric's own files in /etc and ~ would count.
        self.fabric = fabric.Config(ssh_config=paramiko.SSHConfig(), lazy=True)
        self.key_files = KeyFiles()
        self.bastion: Connection | None = None
        self._ssh = cluster.ssh
        self._known_hosts: dict[tuple[Path, ...], KnownHosts] = {}
        self._lock = threading.Lock()
        if cluster.ssh.key:
            identity = self.key_files.identity(Path(cluster.ssh.key).expanduser())
            if identity.problem:
                raise findings.unreachable(findings.key_unusable(cluster.ssh.key, identity.problem))
        if cluster.ssh.bastion:
            self.bastion = self._open_bastion(cluster.ssh.bastion)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.bastion is not None:
            self.bastion.close()

    def prepare(self, host: Host) -> Connection:
        """Read the settings of a host, by a program that takes its time. Raises LoginError."""
        options = client_options(self._ssh, user=host.user or self._ssh.user, port=host.port)
        settings = read_settings(host.address, options, host.name)
        return Connection(self, settings, host.name, host.host_key)

    def trust(self, settings: Settings) -> Trust:
        """What known_hosts says of a host that the file does not pin."""
        files = settings.known_hosts
        with self._lock:
            if files not in self._known_hosts:
                self._known_hosts[files] = KnownHosts(files)
        return self._known_hosts[files].trust(settings.known_name, settings.alias)

    def _open_bastion(self, address: str) -> Connection:
        """Log in to the bastion within `seconds`, name resolution and TCP connection included."""
        user, host, port = split_destination(address)
        outcome: queue.SimpleQueue[Connection | Finding] = queue.SimpleQueue()

        def attempt() -> None:
            try:
                options = client_options(self._ssh, user=user or None, port=port or None)
                connection = Connection(self, read_settings(host, options, ""), "", None)
                connection.log_in()
            except LoginError as refusal:
                outcome.put(refusal.finding)
            else:
                outcome.put(connection)

        start_thread(attempt)
        try:
            result = outcome.get(timeout=self.seconds)
        except queue.Empty:
            result = findings.no_answer("", address, self.seconds)
        if isinstance(result, Connection):
            return result
        raise findings.unreachable(findings.bastion_failed(address, result))


def start_thread(work: Callable[[], None]) -> None:
    # A daemon: a thread that hangs in name resolution must not keep the program from ending.
    threading.Thread(target=work, daemon=True).start()


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
