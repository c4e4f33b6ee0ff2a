"""Log in with keys, those and in the order that OpenSSH would try: of the agent, of files, certificates with them.

No question is ever answered: a server that wants more than a key is an error with its name.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import paramiko
from paramiko.agent import AgentKey, AgentSSH

from provision.ssh.known_hosts import parse_certificate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from provision.ssh.openssh import Settings


class LoginFailure(paramiko.AuthenticationException):  # type: ignore[misc] # paramiko has no types
    """`wanted`: methods of the server that are missing; `too_many`: it ended the connection over failed keys."""

    def __init__(self, *, wanted: tuple[str, ...] = (), too_many: bool = False) -> None:
        super().__init__("login failed")
        self.wanted = wanted
        self.too_many = too_many


@dataclass(frozen=True, slots=True)
class Identity:
    """A key that OpenSSH's settings name. `public` is its wire form, None if neither part of it can be read."""

    path: Path
    private: paramiko.PKey | None
    public: bytes | None
    locked: bool = False  # the private part has a passphrase
    problem: str = ""  # why the private part cannot be read


class KeyFiles:
    """Key files, each read once for all hosts."""

    def __init__(self) -> None:
        self._read: dict[Path, Identity] = {}
        self._lock = threading.Lock()

    def identity(self, path: Path) -> Identity:
        with self._lock:
            if path not in self._read:
                self._read[path] = _read_identity(path)
            return self._read[path]


class KeyLogin:
    """paramiko's `auth_strategy` for one host; the agent stays open as long as the connection may need it."""

    def __init__(self, settings: Settings, files: KeyFiles) -> None:
        self._settings = settings
        self._files = files
        self._agent: AgentSSH | None = None
        self.agent_keys = 0
        self.tried: list[str] = []  # of what the message speaks

    def identities(self) -> list[Identity]:
        """The keys of OpenSSH's settings of which anything is there."""
        found = [self._files.identity(path) for path in self._settings.identities]
        return [one for one in found if one.public is not None or one.private is not None or one.locked]

    def locked(self) -> Identity | None:
        """A key that a passphrase protects and the agent does not have."""
        in_agent = {key.blob for key in self._agent.get_keys()} if self._agent else set()
        return next((one for one in self.identities() if one.locked and one.public not in in_agent), None)

    def authenticate(self, transport: paramiko.Transport) -> None:
        """Try one key after the other. Raises LoginFailure, or what paramiko raises on a lost connection."""
        allowed: list[str] = ["publickey"]
        wanted: tuple[str, ...] = ()
        for key in self._candidates():
            try:
                allowed = transport.auth_publickey(self._settings.user, key)
            except paramiko.BadAuthenticationType as error:
                raise LoginFailure(wanted=tuple(error.allowed_types)) from error
            except (paramiko.SSHException, ValueError, TypeError) as error:
                if not transport.is_active():
                    raise LoginFailure(too_many=len(self.tried) > 1) from error
                continue
            if not allowed:
                return
            wanted = tuple(allowed)
            if "publickey" not in allowed:
                break
        raise LoginFailure(wanted=wanted)

    def close(self) -> None:
        if self._agent is not None:
            with contextlib.suppress(OSError):
                self._agent._close()  # noqa: SLF001 - paramiko has no public way for a socket of one's choice
            self._agent = None

    def _candidates(self) -> Iterator[paramiko.PKey]:
        identities = self.identities()
        named = {one.public for one in identities}
        in_agent: dict[bytes, AgentKey] = {}
        if not self._settings.identities_only or any(one.private is None for one in identities):
            in_agent = {key.blob: key for key in self._open_agent()}
            self.agent_keys = len(in_agent)
        first = [in_agent[one.public] for one in identities if one.public in in_agent]
        more = () if self._settings.identities_only else [k for b, k in in_agent.items() if b not in named]
        for key in (*first, *more):
            self.tried.append(f"a key of the agent ({key.get_name()})")
            yield key
        for one in identities:
            if one.private is not None and one.public not in in_agent:
                for key in self._with_certificates(one):
                    self.tried.append(str(one.path))
                    yield key

    def _with_certificates(self, identity: Identity) -> Iterator[paramiko.PKey]:
        """The key with each of its certificates, then bare."""
        beside = identity.path.with_name(f"{identity.path.name}-cert.pub")
        for file in (*self._settings.certificates, beside):
            with contextlib.suppress(OSError, ValueError, paramiko.SSHException):
                certificate = parse_certificate(_blob(file.read_text(encoding="utf-8")))
                if certificate.key.asbytes() == identity.public:
                    key = paramiko.PKey.from_path(identity.path)  # of its own: a certificate stays with it
                    key.load_certificate(str(file))
                    yield key
        yield identity.private

    def _open_agent(self) -> tuple[AgentKey, ...]:
        if self._agent is None and self._settings.agent:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            agent = AgentSSH()
            try:
                connection.settimeout(10)
                connection.connect(self._settings.agent)
                agent._connect(connection)  # noqa: SLF001
            except (OSError, paramiko.SSHException, ValueError):
                connection.close()  # as for OpenSSH: an agent that is gone is no agent
            else:
                self._agent = agent
        return self._agent.get_keys() if self._agent else ()


def _read_identity(path: Path) -> Identity:
    public = None
    for file in (path, path.with_name(f"{path.name}.pub")):
        with contextlib.suppress(OSError, ValueError):
            text = file.read_text(encoding="utf-8")
            if text.startswith(("ssh-", "ecdsa-", "sk-")):
                public = _blob(text)
                break
    try:
        private = paramiko.PKey.from_path(path)
    except (TypeError, paramiko.PasswordRequiredException):
        return Identity(path, None, public, locked=True)
    except (OSError, ValueError, paramiko.SSHException, paramiko.pkey.UnknownKeyType) as error:
        return Identity(path, None, public, problem=str(error))
    private.public_blob = None  # the certificate beside it, which is tried first and apart
    return Identity(path, private, private.asbytes())


def _blob(line: str) -> bytes:
    """The wire form of a line `type base64 [comment]`. Raises ValueError."""
    words = line.split()
    return paramiko.pkey.PublicBlob.from_string(" ".join(words[:2])).key_blob  # type: ignore[no-any-return]
