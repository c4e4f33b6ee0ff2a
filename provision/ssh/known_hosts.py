"""Which host keys OpenSSH knows: hashed names, patterns, ports and revocations as in sshd(8)."""

from __future__ import annotations

import contextlib
import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

import paramiko

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import fabric

FILES = (Path("/etc/ssh/ssh_known_hosts"), Path("~/.ssh/known_hosts"))
_KNOWN_WORDS = 3  # names, type, key


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
                elif len(words) >= _KNOWN_WORDS and words[0][0] not in "#@":
                    self._lines.append(words)

    def keys(self, name: str) -> Iterator[paramiko.PKey]:
        """The keys of a host, `name` as ssh writes it: "w1" or "[w1]:2222"."""
        for names, kind, key, *_ in self._lines:
            if key not in self._revoked and _is_known_as(name, names):
                with contextlib.suppress(paramiko.SSHException, paramiko.hostkeys.InvalidHostKey):
                    entry = paramiko.hostkeys.HostKeyEntry.from_line(f"{name} {kind} {key}")
                    if entry is not None:  # None: a type of key that paramiko does not know
                        yield entry.key


def _is_known_as(name: str, names: str) -> bool:
    """Whether the first word of a line of known_hosts means a host: hashed, or patterns of which `!` excludes."""
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


def known_name(connection: fabric.Connection) -> str:
    """The name under which known_hosts lists a host and under which paramiko looks for its key."""
    port = connection.port
    return str(connection.host) if port == paramiko.config.SSH_PORT else f"[{connection.host}]:{port}"
