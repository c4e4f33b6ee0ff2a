"""Host keys as text, and which of them are known: hashed names, patterns, ports and revocations as in sshd(8)."""

from __future__ import annotations

import binascii
import contextlib
import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

import paramiko

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import fabric

FILES = (Path("/etc/ssh/ssh_known_hosts"), Path("~/.ssh/known_hosts"))
_MIN_WORDS = 3  # names, type, key


class KnownHosts:
    """Lines of known_hosts files. Keys are parsed only when a host asks for them: the files may be long."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._lines: list[list[str]] = []
        self._revoked: set[str] = set()
        for file in files:
            if not file.expanduser().is_file():
                continue
            for line in file.expanduser().read_text(encoding="utf-8", errors="replace").splitlines():
                words = line.split()
                if words[:1] == ["@revoked"]:
                    self._revoked.update(words[3:4])
                elif len(words) >= _MIN_WORDS and words[0][0] not in "#@":
                    self._lines.append(words)

    def keys(self, name: str) -> Iterator[paramiko.PKey]:
        """The keys of a host, `name` as ssh writes it: "w1" or "[w1]:2222"."""
        for names, kind, key, *_ in self._lines:
            if key not in self._revoked and _matches(name, names):
                with contextlib.suppress(paramiko.SSHException, paramiko.hostkeys.InvalidHostKey):
                    entry = paramiko.hostkeys.HostKeyEntry.from_line(f"{name} {kind} {key}")
                    if entry is not None:  # None: a type of key that paramiko does not know
                        yield entry.key


class StrictPolicy(paramiko.MissingHostKeyPolicy):  # type: ignore[misc] # paramiko has no types
    """Refuse every host whose key is not known, and keep the offered key for the message."""

    def __init__(self) -> None:
        self.offered: paramiko.PKey | None = None

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:  # noqa: ARG002
        self.offered = key
        raise paramiko.SSHException(f"unknown host key of {hostname}")


def known_name(connection: fabric.Connection) -> str:
    """The name under which known_hosts lists a host and paramiko looks up its key."""
    port = connection.port
    return str(connection.host) if port == paramiko.config.SSH_PORT else f"[{connection.host}]:{port}"


def parse_key(line: str) -> paramiko.PKey:
    """The public key `type base64`; words after it are ignored. Raises ValueError or SSHException."""
    kind, text, *_ = line.split()
    return paramiko.PKey.from_type_string(kind, binascii.a2b_base64(text))


def key_line(key: paramiko.PKey) -> str:
    """`type base64`, as a cluster file pins it."""
    return f"{key.get_name()} {key.get_base64()}"


def _matches(name: str, names: str) -> bool:
    """Whether the first word of a known_hosts line matches a host: hashed, or patterns of which `!` excludes."""
    if names.startswith("|1|"):
        return bool(paramiko.HostKeys.hash_host(name, names) == names)
    patterns = names.lower().split(",")
    matching = [
        pattern for pattern in patterns if fnmatch.fnmatchcase(name.lower(), _literal(pattern.lstrip("!")))
    ]
    return bool(matching) and not any(pattern.startswith("!") for pattern in matching)


def _literal(pattern: str) -> str:
    # In known_hosts brackets are part of "[host]:port"; only * and ? are special.
    return pattern.replace("[", "[[]")
