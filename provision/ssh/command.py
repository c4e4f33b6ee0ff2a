"""Commands that run as root on hosts: in parallel, each over its own connection and within a bounded time."""

from __future__ import annotations

import math
import queue
import shlex
import time
from collections import deque
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING

import paramiko

from provision.errors import UnreachableError
from provision.ssh import findings
from provision.ssh.connections import Connections, Secrets, start_thread
from provision.ssh.openssh import LoginError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from provision.model.cluster import Cluster, Host
    from provision.model.plan import Finding
    from provision.ssh.connections import Connection

CONNECT_SECONDS = 10.0
_MAX_THREADS = 256  # one per host; most of them wait
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Command:
    """What to run: `argv` is visible to every user of the host and in sudo's log, `input` (stdin) is not.

    One more line may come before the input: the sudo password, if sudo did not read it.
    """

    argv: Sequence[str]
    input: bytes = b""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """Standard output of a command that succeeded; `began` and `ended` by this machine's clock (s since the epoch)."""

    out: bytes
    began: float
    ended: float


class Stage(Enum):
    """How far the command of a host has come; each stage has its own time limit."""

    CONNECTING = "connecting"
    WAITING = "waiting for a login slot"
    LOGGING_IN = "logging in"
    RUNNING = "running"


@dataclass(frozen=True, slots=True)
class _Progress:
    host: Host
    deadline: float  # by the monotonic clock
    stage: Stage = Stage.CONNECTING


def run_as_root(
    cluster: Cluster,
    hosts: Sequence[Host],
    command: Command,
    *,
    secrets: Secrets,
    seconds: float = 30.0,
    connect_seconds: float = CONNECT_SECONDS,
) -> Iterator[tuple[Host, CommandResult | Finding]]:
    """Run a command on all hosts in parallel; yield each host's result as it comes, or a finding that explains failure.

    At most `connect_seconds` to connect, as long to log in, and `seconds` to run. Raises UnreachableError if the
    key file or the bastion cannot be used, for then no host can be reached.
    """
    with Connections(cluster, secrets, connect_seconds) as connections:
        yield from _run_on_hosts(connections, hosts, command, seconds)


def fetch_file(cluster: Cluster, host: Host, path: str, *, secrets: Secrets) -> bytes:
    """The content of a file that only root may read.

    Raises UnreachableError if the host cannot be reached or has no such file.
    """
    mark = "--- provision file ---"
    argv = ("/bin/sh", "-c", 'printf "%s\\n" "$1"; cat -- "$2" && printf "\\n%s\\n" "$1"', "sh", mark, path)
    ((_, result),) = run_as_root(cluster, [host], Command(argv), secrets=secrets)
    if not isinstance(result, CommandResult):
        raise UnreachableError(
            f"{path} cannot be read from {host.name}: {result.message}", fix=result.fix, findings=(result,)
        )
    # A login shell may have printed a greeting before it.
    _, begin, rest = result.out.partition(f"{mark}\n".encode())
    content, end, _ = rest.rpartition(f"\n{mark}\n".encode())
    if not begin or not end:
        raise UnreachableError(f"{host.name}: {path} came back incomplete", fix="try again")
    return content


def start_as_root(channel: paramiko.Channel, user: str, command: Command, sudo_password: str | None) -> None:
    """Start a command, as root by sudo, and send its input. Raises OSError or SSHException.

    The sudo password goes through standard input, never argv.
    """
    sudo = () if user == "root" else ("sudo", "-S", "-p", "") if sudo_password else ("sudo", "-n")
    # By env, for a login shell that does not know `NAME=value command`.
    channel.exec_command("env LC_ALL=C " + shlex.join([*sudo, *command.argv]))
    if sudo_password and sudo:
        channel.sendall(f"{sudo_password}\n".encode())
    if command.input:
        channel.sendall(command.input)


def _run_on_hosts(
    connections: Connections, hosts: Sequence[Host], command: Command, seconds: float
) -> Iterator[tuple[Host, CommandResult | Finding]]:
    waiting = deque(hosts)
    running: dict[str, _Progress] = {}
    reports: queue.SimpleQueue[tuple[Host, CommandResult | Finding | Stage | Exception]] = queue.SimpleQueue()
    limits = {Stage.WAITING: math.inf, Stage.LOGGING_IN: connections.seconds, Stage.RUNNING: seconds}
    while waiting or running:
        while waiting and len(running) < _MAX_THREADS:
            host = waiting.popleft()
            running[host.name] = _Progress(host, time.monotonic() + connections.seconds)
            start_thread(partial(_run_on_host, connections, host, command, seconds, reports.put))
        try:
            host, report = reports.get(timeout=_until_next_deadline(running))
        except queue.Empty:
            yield from _give_up_overdue(running, connections, seconds)
            continue
        if host.name not in running:
            continue  # it came after its deadline
        if isinstance(report, Exception):
            raise report  # a defect: hidden in its thread, it would look like a host that does not answer
        if isinstance(report, Stage):
            running[host.name] = _Progress(host, time.monotonic() + limits[report], report)
        else:
            del running[host.name]
            yield host, report


def _until_next_deadline(running: dict[str, _Progress]) -> float | None:
    """Seconds until the next deadline; None if every host waits for a login slot."""
    deadline = min(progress.deadline for progress in running.values())
    return None if math.isinf(deadline) else max(0.0, deadline - time.monotonic())


def _give_up_overdue(
    running: dict[str, _Progress], connections: Connections, seconds: float
) -> Iterator[tuple[Host, Finding]]:
    now = time.monotonic()
    for progress in [progress for progress in running.values() if progress.deadline <= now]:
        host = progress.host
        del running[host.name]
        if progress.stage is Stage.RUNNING:
            yield host, findings.too_slow(host.name, seconds)
        else:
            yield host, findings.no_answer(host.name, findings.place(host), connections.seconds)


def _run_on_host(
    connections: Connections,
    host: Host,
    command: Command,
    seconds: float,
    report: Callable[[tuple[Host, CommandResult | Finding | Stage | Exception]], None],
) -> None:
    """Connect to one host, log in and run the command, in a thread of its own; report each stage, and the result last.

    TCP connections are opened all in parallel, so that a dead host is known soon; logins, which cost CPU here, a
    few at a time.
    """
    connection = None
    result: CommandResult | Finding | Exception
    try:
        connection = connections.prepare(host)
        connection.connect()
        report((host, Stage.WAITING))
        with connections.login_slots:
            report((host, Stage.LOGGING_IN))
            connection.log_in()
        report((host, Stage.RUNNING))
        result = _execute(connection, command, connections.secrets.sudo_password, seconds)
    except LoginError as refusal:
        result = refusal.finding
    except TimeoutError:
        result = findings.too_slow(host.name, seconds)
    except (OSError, EOFError, paramiko.SSHException) as error:
        result = findings.connection_lost(host.name, str(error) or type(error).__name__)
    except Exception as error:  # noqa: BLE001 - raised again by the thread that reads the reports
        result = error
    if connection is not None:
        connection.close()  # before the report: after the last result the bastion is closed, which this goes through
    report((host, result))


def _execute(
    connection: Connection, command: Command, sudo_password: str | None, seconds: float
) -> CommandResult | Finding:
    deadline = time.monotonic() + seconds
    channel = connection.open_channel(seconds)
    began = time.time()
    start_as_root(channel, connection.user, command, sudo_password)
    channel.shutdown_write()
    out = _read_all(channel.recv, channel, deadline)
    ended = time.time()
    errors = _read_all(channel.recv_stderr, channel, deadline).decode(errors="replace")
    channel.status_event.wait(max(0.0, deadline - time.monotonic()))
    if channel.exit_status != 0:
        password = bool(sudo_password) and connection.user != "root"
        return findings.command_failed(
            connection.host,
            connection.user,
            channel.exit_status,
            errors,
            out=out[-_CHUNK:].decode(errors="replace"),
            login=connection.settings.command,
            password=password,
        )
    return CommandResult(out, began, ended)


def _read_all(receive: Callable[[int], bytes], channel: paramiko.Channel, deadline: float) -> bytes:
    chunks: list[bytes] = []
    while True:
        channel.settimeout(max(0.01, deadline - time.monotonic()))
        chunk = receive(_CHUNK)
        if not chunk:
            return b"".join(chunks)
        chunks.append(chunk)
