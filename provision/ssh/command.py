"""One host from connect to answer: log in, run a program as root, say what went wrong."""

from __future__ import annotations

import contextlib
import shlex
import socket
import time
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

import paramiko

from provision.errors import ProvisionError
from provision.ssh import findings as unreachable
from provision.ssh.known_hosts import known_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import fabric

    from provision.model.cluster import Host
    from provision.model.plan import Finding
    from provision.ssh.connections import StrictPolicy, Ways

_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Program:
    """What is run: `argv` can be seen by everybody on the host and is in sudo's log, `input` by the program alone.

    Before its input a program may find one more line: the sudo password, where sudo did not want it.
    """

    argv: Sequence[str]
    input: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a program wrote; `began` and `ended` are this machine's clock (seconds since the epoch)."""

    out: bytes
    began: float
    ended: float


class Stage(Enum):
    """How far a visit has come; each stage has its own time."""

    CONNECTING = "connecting"
    WAITING = "waiting for its turn"
    LOGGING_IN = "logging in"
    RUNNING = "running"


class LoginError(ProvisionError):
    """A finding on its way from a thread of a host to the caller; never leaves this package."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding


def look_in(
    ways: Ways,
    host: Host,
    program: Program,
    seconds: float,
    tell: Callable[[tuple[Host, Answer | Finding | Stage]], None],
) -> None:
    """One host from connect to answer, in a thread of its own; tells each stage, and the answer at last.

    Connections are made all at once, so that a dead host is known soon; of logins, which cost CPU here, only a
    few at a time.
    """
    connection = None
    result: Answer | Finding
    try:
        connection, policy = ways.connection(host)
        _connect(connection, policy, host.name, ways)
        tell((host, Stage.WAITING))
        with ways.turns:
            tell((host, Stage.LOGGING_IN))
            log_in(connection, policy, host.name, ways, pinned=bool(host.host_key))
        tell((host, Stage.RUNNING))
        result = _execute(connection, host, program, seconds, ways.secrets.sudo_password)
    except LoginError as refusal:
        result = refusal.finding
    except TimeoutError:
        result = unreachable.too_slow(host.name, seconds)
    except (OSError, EOFError, paramiko.SSHException) as error:
        result = unreachable.connection_lost(host.name, str(error) or type(error).__name__)
    if connection is not None:
        # Before telling: after the last answer the bastion is closed, which this goes through.
        with contextlib.suppress(OSError, EOFError):
            connection.client.close()
    tell((host, result))


def _connect(connection: fabric.Connection, policy: StrictPolicy, host: str, ways: Ways) -> None:
    """Open the TCP connection, if there is no jump host to do it."""
    if connection.gateway is not None:
        return
    place = (str(connection.host), int(connection.port))
    try:
        connection.connect_kwargs["sock"] = socket.create_connection(place, timeout=ways.seconds)
    except (OSError, UnicodeError) as error:
        raise LoginError(_why_not(error, connection, policy, host, ways)) from error


def log_in(
    connection: fabric.Connection, policy: StrictPolicy, host: str, ways: Ways, *, pinned: bool
) -> None:
    """Connect and log in. Raises LoginError with what to tell the user."""
    place = f"{connection.host}:{connection.port}"
    try:
        connection.open()
    except paramiko.BadHostKeyException as error:
        offered, known = error.key.fingerprint, error.expected_key.fingerprint
        finding = unreachable.key_changed(host, place, offered, known, known_name(connection), pinned=pinned)
        raise LoginError(finding) from error
    except (paramiko.SSHException, OSError, EOFError, UnicodeError) as error:
        raise LoginError(_why_not(error, connection, policy, host, ways)) from error


def _why_not(
    error: Exception, connection: fabric.Connection, policy: StrictPolicy, host: str, ways: Ways
) -> Finding:
    """What an exception of connecting or logging in means."""
    place = f"{connection.host}:{connection.port}"
    if policy.offered is not None:
        key = policy.offered
        return unreachable.key_unknown(host, place, key.fingerprint, f"{key.get_name()} {key.get_base64()}")
    refusals = (paramiko.AuthenticationException, paramiko.PasswordRequiredException)
    if isinstance(error, refusals) or "No authentication methods" in str(error):
        if ways.key_problem is not None:
            return replace(ways.key_problem, where=host)
        return unreachable.login_refused(host, place, str(connection.user), ways.tried(connection))
    if isinstance(error, socket.gaierror | UnicodeError):
        reason = str(error.strerror if isinstance(error, OSError) else error).lower()
        return unreachable.name_unknown(host, str(connection.host), reason)
    if isinstance(error, TimeoutError):
        return unreachable.no_answer(host, place, ways.seconds)
    return unreachable.not_connected(host, place, _reason(error).lower())


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


def _execute(
    connection: fabric.Connection, host: Host, program: Program, seconds: float, password: str | None
) -> Answer | Finding:
    """Run a program as root on an open connection; a sudo password goes through standard input, never argv."""
    user = str(connection.user)
    as_root = () if user == "root" else ("sudo", "-S", "-p", "") if password else ("sudo", "-n")
    command = "LC_ALL=C " + shlex.join([*as_root, *program.argv])
    deadline = time.monotonic() + seconds
    transport = connection.transport
    channel = transport.open_session(timeout=seconds)
    began = time.time()
    channel.exec_command(command)
    if password and as_root:
        channel.sendall(f"{password}\n".encode())
    if program.input:
        channel.sendall(program.input)
    channel.shutdown_write()
    out = _drain(channel.recv, channel, deadline)
    ended = time.time()
    errors = _drain(channel.recv_stderr, channel, deadline).decode(errors="replace")
    channel.status_event.wait(max(0.0, deadline - time.monotonic()))
    status = channel.exit_status
    if status != 0:
        return unreachable.command_failed(
            host.name, user, status, errors, password=bool(password and as_root)
        )
    return Answer(out, began, ended)


def _drain(receive: Callable[[int], bytes], channel: paramiko.Channel, deadline: float) -> bytes:
    chunks: list[bytes] = []
    while True:
        channel.settimeout(max(0.01, deadline - time.monotonic()))
        chunk = receive(_CHUNK)
        if not chunk:
            return b"".join(chunks)
        chunks.append(chunk)
