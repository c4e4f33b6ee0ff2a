"""What OpenSSH itself would do for a host: `ssh -G`, asked with what the cluster file says.

Include, Match, canonical names, ProxyJump and its `none`: their meaning is OpenSSH's alone, so that our connections and
those of Ansible, which runs ssh, go the same way.
"""

from __future__ import annotations

import getpass
import os
import re
import shlex
import socket
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from provision.errors import ProvisionError
from provision.model.units import split_destination
from provision.ssh import findings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from provision.model.cluster import Ssh
    from provision.model.plan import Finding

STRICT = ("-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes")
_SECONDS = 5.0  # for `ssh -G`: `Match exec` runs programs, canonical names ask name servers
_PARALLEL = threading.BoundedSemaphore(8)
_STDERR_BYTES = 4096
_FAMILIES = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}
_SSH_PORT = 22


class LoginError(ProvisionError):
    """Why a connection or login failed, as a finding; never leaves this package."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding


@dataclass(frozen=True, slots=True)
class Settings:
    """How OpenSSH reaches one destination; `options` are ssh's arguments for it, without the name."""

    name: str  # as it was asked for
    options: tuple[str, ...]
    values: Mapping[str, Sequence[str]]  # keyword of ssh_config, lower case -> its values

    @property
    def hostname(self) -> str:
        return self._first("hostname") or self.name

    @property
    def port(self) -> int:
        return int(self._first("port") or _SSH_PORT)

    @property
    def user(self) -> str:
        return self._first("user") or getpass.getuser()

    @property
    def address(self) -> str:
        """`host:port`, for messages."""
        return f"{self.hostname}:{self.port}"

    @property
    def command(self) -> str:
        """What reaches the host from a shell, to copy."""
        options = [word for word in self.options if word not in STRICT]
        return shlex.join(["ssh", *options, "--", self.name])

    @property
    def alias(self) -> str:
        """HostKeyAlias, or the host name: what a certificate of the host is made out to."""
        return self._first("hostkeyalias") or self.hostname.lower()

    @property
    def known_name(self) -> str:
        """The name by which known_hosts lists the host."""
        alias = self._first("hostkeyalias")
        return alias or (self.alias if self.port == _SSH_PORT else f"[{self.alias}]:{self.port}")

    @property
    def known_hosts(self) -> tuple[Path, ...]:
        files = [*self.values.get("userknownhostsfile", ()), *self.values.get("globalknownhostsfile", ())]
        return tuple(self._path(file) for line in files for file in _split_paths(line))

    @property
    def identities_only(self) -> bool:
        return self._first("identitiesonly") == "yes"

    @property
    def identities(self) -> tuple[Path, ...]:
        return tuple(self._path(file) for file in self.values.get("identityfile", ()) if file != "none")

    @property
    def certificates(self) -> tuple[Path, ...]:
        return tuple(self._path(file) for file in self.values.get("certificatefile", ()))

    @property
    def agent(self) -> str:
        """The agent's socket, "" for no agent."""
        value = self._first("identityagent") or "SSH_AUTH_SOCK"
        if value == "none":
            return ""
        if value == "SSH_AUTH_SOCK" or re.fullmatch(r"\$\w+", value):
            return os.environ.get(value.removeprefix("$"), "")
        return str(self._path(value))

    @property
    def jumps(self) -> tuple[str, ...]:
        """Jump hosts in their order, each as ProxyJump writes it."""
        value = self._first("proxyjump")
        return tuple(value.split(",")) if value and value != "none" else ()

    @property
    def proxy(self) -> str | None:
        """The shell command whose standard input and output are the connection."""
        if self.jumps:
            *before, last = self.jumps
            user, host, port = split_destination(last.removeprefix("ssh://"))
            argv = ["ssh", *STRICT, *(["-l", user] if user else []), *(["-p", str(port)] if port else [])]
            argv += ["-J", ",".join(before)] if before else []
            return shlex.join([*argv, "-W", f"[{self.hostname}]:{self.port}", "--", host])
        command = self._first("proxycommand")
        return self._expand(command) if command and command != "none" else None

    def open_socket(self, seconds: float) -> socket.socket:
        """A TCP connection. Raises OSError or UnicodeError."""
        bind = self._first("bindaddress")
        family = _FAMILIES.get(self._first("addressfamily") or "", socket.AF_UNSPEC)
        failure: OSError = OSError("no address")
        for kind, _, _, _, place in socket.getaddrinfo(self.hostname, self.port, family, socket.SOCK_STREAM):
            connection = socket.socket(kind, socket.SOCK_STREAM)
            try:
                connection.settimeout(seconds)
                if bind:
                    connection.bind((bind, 0))
                connection.connect(place)
            except OSError as error:
                connection.close()
                failure = error
            else:
                return connection
        raise failure

    def _first(self, keyword: str) -> str | None:
        return next(iter(self.values.get(keyword, ())), None)

    def _path(self, text: str) -> Path:
        return Path(self._expand(os.path.expandvars(text))).expanduser()

    def _expand(self, text: str) -> str:
        """Replace the tokens of ssh_config(5)."""
        host = socket.gethostname()
        tokens = {
            "%": "%",
            "d": str(Path.home()),
            "h": self.hostname,
            "i": str(os.getuid()),
            "j": ",".join(self.jumps),
            "k": self.alias,
            "L": host.partition(".")[0],
            "l": host,
            "n": self.name,
            "p": str(self.port),
            "r": self.user,
            "u": getpass.getuser(),
        }
        return re.sub(r"%(.)", lambda found: tokens.get(found[1], found[0]), text)


class Proxy:
    """A program between this machine and a host: the jump host's ssh, or ProxyCommand."""

    def __init__(self, settings: Settings, command: str) -> None:
        """Start it, away from the terminal: it can ask for nothing. Raises OSError."""
        self.name = f"jump host {settings.jumps[-1]}" if settings.jumps else "ProxyCommand"
        self.command = command
        self.socket, inner = socket.socketpair()
        with inner, tempfile.TemporaryFile() as errors:
            self._errors = os.fdopen(os.dup(errors.fileno()), "rb")
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", f"exec {command}"],
                stdin=inner.fileno(),
                stdout=inner.fileno(),
                stderr=errors,
                env={**os.environ, "SSH_ASKPASS_REQUIRE": "never"},
                start_new_session=True,
            )

    def said(self) -> str:
        """The last line of its standard error; ends it."""
        self._end()
        self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, self._errors.tell() - _STDERR_BYTES))
        lines = [line.strip() for line in self._errors.read().decode(errors="replace").splitlines()]
        # What the end of the connection itself says has no news.
        causes = [line for line in lines if line and not line.startswith(("Killed by", "stdio forwarding"))]
        return causes[-1] if causes else ""

    def close(self) -> None:
        self._end()
        self._errors.close()

    def _end(self) -> None:
        self.socket.close()
        try:
            self._process.wait(timeout=0.5)  # it ends by itself when its connection does
        except subprocess.TimeoutExpired:
            self._process.terminate()
            self._process.wait()


def client_options(ssh: Ssh, *, user: str | None, port: int | None) -> tuple[str, ...]:
    """Arguments of ssh for what the cluster file says; never a question."""
    # An agent with many keys would exhaust the attempts that a server allows before the right one is offered.
    key = ["-o", "IdentitiesOnly=yes", "-i", str(Path(ssh.key).expanduser())] if ssh.key else []
    return (*STRICT, *key, *(["-l", user] if user else []), *(["-p", str(port)] if port else []))


def read_settings(name: str, options: Sequence[str], host: str) -> Settings:
    """Ask OpenSSH for what it would do. `host` is whom a finding names. Raises LoginError."""
    try:
        with _PARALLEL:
            answer = subprocess.run(
                ["ssh", "-T", "-G", *options, "--", name],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_SECONDS,
                check=False,
                start_new_session=True,
            )
    except subprocess.TimeoutExpired as error:
        reason = f"`ssh -G {name}` did not end within {_SECONDS:.0f} s (Match exec, or a name server)"
        raise LoginError(findings.settings_unreadable(host, reason, name)) from error
    except (OSError, ValueError) as error:
        reason = f"ssh cannot be run: {error}"
        raise LoginError(findings.settings_unreadable(host, reason, name)) from error
    if answer.returncode:
        lines = answer.stderr.decode(errors="replace").strip().splitlines() or ["no error message"]
        cause = next((line for line in lines if " line " in line), lines[-1])
        raise LoginError(findings.settings_unreadable(host, f"ssh refuses its settings: {cause}", name))
    values: dict[str, list[str]] = {}
    for line in answer.stdout.decode(errors="surrogateescape").splitlines():
        keyword, _, value = line.partition(" ")
        values.setdefault(keyword, []).append(value)
    return Settings(name, tuple(options), values)


def _split_paths(line: str) -> list[str]:
    """Split what `ssh -G` joins by spaces, a path with spaces included if it exists."""
    return [line] if Path(line).expanduser().exists() else line.split(" ")
