"""Pinned host keys and the private key: OpenSSH itself would only say "Permission denied"."""

from __future__ import annotations

import base64
import binascii
import os
import re
import stat
from typing import TYPE_CHECKING

from provision.config.yaml.problem import Key, Problem, quote

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_TYPES = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)
_SCAN = "`ssh-keyscan -t ed25519 ADDRESS` prints it; compare it with the machine's own console"
_KEY: Key = ("ssh", "key")
_LARGEST = 64 * 1024  # bytes; an RSA key of 16,384 bits has 13,000


def host_key(key: Key, value: str) -> Iterator[Problem]:
    """Demand `type base64 [comment]`, as in /etc/ssh/ssh_host_ed25519_key.pub."""
    words = value.split()
    if value.startswith(("SHA256:", "MD5:")):
        yield _refused(key, "this is a fingerprint; the key itself is needed", _SCAN)
    elif "PRIVATE KEY" in value:
        yield _refused(key, "this is a private key; the public one is needed", "and make a new private key")
    elif len(words) > 2 and words[1] in _TYPES:  # noqa: PLR2004 a line of known_hosts: names, type, key
        yield _refused(key, "this is a line of known_hosts", f"leave its first word out: {words[1]} ...")
    elif not words or words[0] not in _TYPES:
        seen = quote(words[0]) if words else "nothing"
        message = f"a host key begins with its type; {seen} is not one"
        yield _refused(key, message, f"types: {', '.join(_TYPES[:5])}; {_SCAN}")
    elif len(words) < 2 or not _is_key(words[0], words[1]):  # noqa: PLR2004 type and key
        yield _refused(key, f"the {words[0]} key is cut off or mistyped", _SCAN)


def key_file(key: Key, value: str) -> Iterator[Problem]:
    """Demand a path without characters that OpenSSH (`%h`) or a shell expands."""
    if not value or re.search(r"[%\x00*?]", value):
        fix = "write a plain path; ~ is understood"
        yield Problem(key, "ssh-key", f"{quote(value)} is not a path", fix)


def _is_key(kind: str, text: str) -> bool:
    """Whether the base64 text is a whole key of that kind: it begins with its own type (RFC 4253, 6.6)."""
    try:
        blob = base64.b64decode(text, validate=True)
    except binascii.Error:
        return False
    fields = 0
    while blob:
        length = int.from_bytes(blob[:4], "big")
        if len(blob) < 4 + length:
            return False
        if fields == 0 and blob[4 : 4 + length] != kind.encode():
            return False
        blob, fields = blob[4 + length :], fields + 1
    return fields > 1


def _refused(key: Key, message: str, fix: str) -> Problem:
    return Problem(key, "host-key", message, fix)


def validate_key_file(path: Path) -> Iterator[Problem]:
    """Yield the first problem that makes OpenSSH ignore the key file at `path` (absolute)."""
    try:
        facts = path.stat()
        if stat.S_ISDIR(facts.st_mode):
            fix = "write the path of the private key in it, for example id_ed25519"
            yield _unusable(f"{path} is a directory", fix)
            return
        content = _read_start(path) if stat.S_ISREG(facts.st_mode) else b""
    except FileNotFoundError:
        fix = f"`ssh-keygen -t ed25519 -f {path}` makes one; or take ssh.key out to use the agent's"
        yield _unusable(f"{path} does not exist", fix)
    except OSError as error:
        yield _unusable(
            f"{path} cannot be read: {(error.strerror or str(error)).lower()}", "let your user read it"
        )
    else:
        yield from _check_content(path, facts, content)


def _check_content(path: Path, facts: os.stat_result, content: bytes) -> Iterator[Problem]:
    first = content.split(b"\n", 1)[0]
    if not stat.S_ISREG(facts.st_mode):
        yield _unusable(f"{path} is not a file", "write the path of the private key")
    elif first.startswith(b"PuTTY-User-Key-File"):
        fix = f"`puttygen {path} -O private-openssh -o NEW` converts it"
        yield _unusable(f"{path} is a PuTTY key, not an OpenSSH key", fix)
    elif first.startswith((b"ssh-", b"ecdsa-", b"sk-")):
        private = path.with_suffix("") if path.suffix == ".pub" else "the private key's path"
        yield _unusable(f"{path} is a public key", f"write {private}")
    elif not first.startswith(b"-----BEGIN") or b"PRIVATE KEY-----" not in first:
        yield _unusable(f"{path} is not a private key", "write the path of a file that ssh-keygen made")
    elif b"\r\n" in content:
        yield _unusable(
            f"{path} has Windows line endings, which OpenSSH does not read", f"`sed -i 's/\\r$//' {path}`"
        )
    elif facts.st_uid == os.geteuid() and facts.st_mode & 0o077:
        mode = stat.S_IMODE(facts.st_mode)
        yield _unusable(
            f"{path} has mode {mode:04o}: others can read it, so ssh ignores it", f"`chmod 600 {path}`"
        )


def _read_start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_LARGEST)


def _unusable(message: str, fix: str) -> Problem:
    return Problem(_KEY, "ssh-key", message, fix)
