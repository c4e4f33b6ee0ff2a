"""A command that runs as root on a host for as long as its caller wants, with lines sent and received."""

from __future__ import annotations

import contextlib
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import paramiko

from provision.errors import UnreachableError
from provision.ssh import findings
from provision.ssh.command import start_as_root
from provision.ssh.connections import Connections, Secrets
from provision.ssh.openssh import LoginError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provision.model.cluster import Cluster, Host
    from provision.ssh.command import Command

_CHUNK = 1 << 16


class Session:
    """Made by `session`. Every method raises UnreachableError when the connection is lost."""

    def __init__(self, host: str, channel: paramiko.Channel) -> None:
        self._host = host
        self._channel = channel
        self._buffer = b""

    def send(self, line: bytes) -> None:
        try:
            self._channel.sendall(line)
        except OSError as error:
            raise _lost(self._host, str(error)) from error

    def line(self, seconds: float) -> bytes:
        """The next line of standard output, with its end; waits at most so long."""
        end = time.monotonic() + seconds
        while b"\n" not in self._buffer:
            self._channel.settimeout(max(0.01, end - time.monotonic()))
            try:
                chunk = self._channel.recv(_CHUNK)
            except OSError as error:
                raise _lost(self._host, str(error) or f"no answer within {seconds:.0f} s") from error
            if not chunk:
                raise _lost(self._host, self._last_error())
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line + b"\n"

    def _last_error(self) -> str:
        with contextlib.suppress(OSError):
            self._channel.settimeout(1)
            errors: str = self._channel.recv_stderr(_CHUNK).decode(errors="replace").strip()
            if errors:
                return errors.splitlines()[-1]
        return "the command ended"


@contextmanager
def session(
    cluster: Cluster, host: Host, command: Command, *, secrets: Secrets, connect_seconds: float
) -> Iterator[Session]:
    """Start the command and send its input; close its standard input at the end and wait for it.

    Raises UnreachableError if the login fails.
    """
    with Connections(cluster, secrets, connect_seconds) as connections:
        connection = None
        try:
            connection = connections.prepare(host)
            connection.log_in()
            channel = connection.open_channel(connect_seconds)
            try:
                start_as_root(channel, connection.user, command, secrets.sudo_password)
            except OSError as error:
                raise _lost(host.name, str(error)) from error
            yield Session(host.name, channel)
            with contextlib.suppress(OSError):
                channel.shutdown_write()
                channel.status_event.wait(connect_seconds)
        except LoginError as refusal:
            raise findings.unreachable(refusal.finding) from refusal
        except paramiko.SSHException as error:
            raise UnreachableError(f"{host.name}: {error}", fix=_FIX) from error
        finally:
            if connection is not None:
                connection.close()


_FIX = "check that the host is on"


def _lost(host: str, reason: str) -> UnreachableError:
    return UnreachableError(f"{host}: the connection is lost: {reason}", fix=_FIX)
