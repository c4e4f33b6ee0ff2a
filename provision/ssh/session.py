"""A program that runs as root on a host for as long as its caller wants, spoken to line by line."""

from __future__ import annotations

import contextlib
import logging
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import paramiko

from provision.errors import UnreachableError
from provision.ssh.command import LoginError, log_in
from provision.ssh.connections import Secrets, Ways

if TYPE_CHECKING:
    from provision.model.cluster import Cluster, Host
    from provision.ssh.command import Program

_CHUNK = 1 << 16


class Session:
    """Made by `session`. Lines in and out; every method raises UnreachableError when the connection is gone."""

    def __init__(self, host: str, channel: paramiko.Channel) -> None:
        self._host = host
        self._channel = channel
        self._rest = b""

    def send(self, line: bytes) -> None:
        try:
            self._channel.sendall(line)
        except OSError as error:
            raise self._gone(str(error)) from error

    def line(self, seconds: float) -> bytes:
        """The next line that the program writes, with its end."""
        end = time.monotonic() + seconds
        while b"\n" not in self._rest:
            self._channel.settimeout(max(0.01, end - time.monotonic()))
            try:
                chunk = self._channel.recv(_CHUNK)
            except OSError as error:
                raise self._gone(str(error) or f"no answer within {seconds:.0f} s") from error
            if not chunk:
                raise self._gone(self._last_words())
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        return line + b"\n"

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            self._channel.settimeout(1)
            said: str = self._channel.recv_stderr(_CHUNK).decode(errors="replace").strip()
            if said:
                return said.splitlines()[-1]
        return "the program ended"

    def _gone(self, why: str) -> UnreachableError:
        return UnreachableError(f"{self._host}: the connection is gone: {why}", fix="see that the host is on")


@contextmanager
def session(
    cluster: Cluster, host: Host, program: Program, *, secrets: Secrets, connect_seconds: float
) -> Iterator[Session]:
    """Start the program, give it its input, and end its standard input at the end.

    Raises UnreachableError if the host cannot be logged in to.
    """
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # it would print tracebacks of what we report
    ways = Ways(cluster, secrets, connect_seconds)
    connection, policy = ways.connection(host)
    try:
        log_in(connection, policy, host.name, ways, pinned=bool(host.host_key))
        channel = connection.transport.open_session(timeout=connect_seconds)
        yield _started(host, channel, str(connection.user), program, secrets)
        with contextlib.suppress(OSError):
            channel.shutdown_write()
            channel.status_event.wait(connect_seconds)
    except LoginError as refusal:
        found = refusal.finding
        raise UnreachableError(f"{host.name}: {found.message}", fix=found.fix, findings=(found,)) from refusal
    except paramiko.SSHException as error:
        raise UnreachableError(f"{host.name}: {error}", fix="see that the host is on") from error
    finally:
        with contextlib.suppress(OSError, EOFError):
            connection.client.close()
        ways.close()


def _started(host: Host, channel: paramiko.Channel, user: str, program: Program, secrets: Secrets) -> Session:
    password = secrets.sudo_password
    as_root = () if user == "root" else ("sudo", "-S", "-p", "") if password else ("sudo", "-n")
    found = Session(host.name, channel)
    channel.exec_command("LC_ALL=C " + shlex.join([*as_root, *program.argv]))
    if password and as_root:
        found.send(f"{password}\n".encode())
    found.send(program.input)
    return found
