"""Pinned host keys and the private key file's name; the file itself is looked at by `config/ssh_key.py`."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING

from provision.config.problem import Key, Problem, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

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
        seen = shown(words[0]) if words else "nothing"
        message = f"a host key begins with its type; {seen} is none"
        yield _refused(key, message, f"types: {', '.join(_TYPES[:5])}; {_SCAN}")
    elif len(words) < 2 or not _is_key(words[0], words[1]):  # noqa: PLR2004 type and key
        yield _refused(key, f"the {words[0]} key is cut off or mistyped", _SCAN)


def key_file(key: Key, value: str) -> Iterator[Problem]:
    """Demand a path without what OpenSSH (`%h`) or the file system gives a meaning of its own."""
    if not value or re.search(r"[%\x00*?]", value):
        fix = "write a plain path; ~ is understood"
        yield Problem(key=key, check="ssh-key", message=f"{shown(value)} is not a path", fix=fix)


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
    return Problem(key=key, check="host-key", message=message, fix=fix)
