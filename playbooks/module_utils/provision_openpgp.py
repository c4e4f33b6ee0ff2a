"""Just enough OpenPGP to say which key a file holds, without gpg, which small hosts do not have.

apt itself verifies signatures; what is decided here is only whether this is the one key that is expected.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import textwrap
from typing import TYPE_CHECKING

from ansible.module_utils.provision_errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterator

_PUBLIC_KEY = 6  # packet tags and lengths: RFC 4880, sections 4.2 and 4.3
_NEW_FORMAT = 0x40
_VERSION = 4
_ARMOR = re.compile(
    r"-----BEGIN PGP PUBLIC KEY BLOCK-----\r?\n(?:[^\r\n]+:[^\r\n]*\r?\n)*\r?\n"
    r"([A-Za-z0-9+/=\s]+?)(?:\r?\n=[A-Za-z0-9+/]{4})?\r?\n-----END PGP PUBLIC KEY BLOCK-----"
)


def dearmor(data: bytes) -> bytes:
    """The binary form of a public key file, armored or binary already. HostError if it is neither."""
    if data[:1] and data[0] & 0x80:
        return data
    blocks = _ARMOR.findall(data.decode("ascii", errors="replace"))
    if not blocks:
        raise HostError("this is no OpenPGP public key")
    try:
        return b"".join(base64.b64decode(block) for block in blocks)
    except binascii.Error as error:
        raise HostError(f"this OpenPGP public key is damaged: {error}") from error


def armored(key: bytes) -> bytes:
    """The text form of a binary public key, which rpm wants; RFC 4880, section 6."""
    check = 0xB704CE
    for octet in key:
        check ^= octet << 16
        for _ in range(8):
            check = (check << 1) ^ (0x1864CFB if check & 0x800000 else 0)
    lines = textwrap.wrap(base64.b64encode(key).decode(), 64)
    sum_of_key = base64.b64encode(check.to_bytes(3, "big")).decode()
    begin, end = (f"-----{word} PGP PUBLIC KEY BLOCK-----" for word in ("BEGIN", "END"))
    return "\n".join([begin, "", *lines, f"={sum_of_key}", end, ""]).encode()


def fingerprints(key: bytes) -> list[str]:
    """The fingerprint of every primary key in a binary key file, in upper case. HostError if it is damaged."""
    found = []
    for tag, body in _packets(key):
        if tag != _PUBLIC_KEY:
            continue
        if body[0] != _VERSION:
            raise HostError(f"OpenPGP keys of version {body[0]} are not supported, only of {_VERSION}")
        digest = hashlib.sha1(b"\x99" + len(body).to_bytes(2, "big") + body)  # noqa: S324
        found.append(digest.hexdigest().upper())
    return found


def _packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(data):
        head = data[position]
        if not head & 0x80:
            raise HostError("this OpenPGP public key is damaged")
        if head & _NEW_FORMAT:
            tag = head & 0x3F
            size, length = _new_length(data, position + 1)
        else:
            tag = head >> 2 & 0x0F
            size = 1 << (head & 3)
            length = int.from_bytes(data[position + 1 : position + 1 + size], "big")
        start = position + 1 + size
        body = data[start : start + length]
        if len(body) != length or not body:
            raise HostError("this OpenPGP public key is cut off")
        yield tag, body
        position = start + length


def _new_length(data: bytes, at: int) -> tuple[int, int]:
    """How many octets a new-format length takes at `at`, and the length."""
    first = data[at] if at < len(data) else 0
    if first < 192:  # noqa: PLR2004  # the three forms of RFC 4880, section 4.2.2
        return 1, first
    if first < 224:  # noqa: PLR2004
        return 2, ((first - 192) << 8) + int.from_bytes(data[at + 1 : at + 2], "big") + 192
    return 5, int.from_bytes(data[at + 1 : at + 5], "big")
