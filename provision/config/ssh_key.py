"""Whether the private key that the file names can be used: OpenSSH would only say "Permission denied"."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from provision.config.problem import Key, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_KEY: Key = ("ssh", "key")
_LARGEST = 64 * 1024  # bytes; an RSA key of 16,384 bits has 13,000


def problems_of_key(path: Path) -> Iterator[Problem]:
    """Look at the file; `path` is absolute. At most one problem, the first that ssh would stumble over."""
    try:
        facts = path.stat()
        if stat.S_ISDIR(facts.st_mode):
            fix = "write the path of the private key in it, for example id_ed25519"
            yield _refused(f"{path} is a directory", fix)
            return
        content = _beginning(path) if stat.S_ISREG(facts.st_mode) else b""
    except FileNotFoundError:
        fix = f"`ssh-keygen -t ed25519 -f {path}` makes one; or take ssh.key out to use the agent's"
        yield _refused(f"{path} does not exist", fix)
    except OSError as error:
        yield _refused(
            f"{path} cannot be read: {(error.strerror or str(error)).lower()}", "let your user read it"
        )
    else:
        yield from _unfit(path, facts, content)


def _unfit(path: Path, facts: os.stat_result, content: bytes) -> Iterator[Problem]:
    first = content.split(b"\n", 1)[0]
    if not stat.S_ISREG(facts.st_mode):
        yield _refused(f"{path} is not a file", "write the path of the private key")
    elif first.startswith(b"PuTTY-User-Key-File"):
        fix = f"`puttygen {path} -O private-openssh -o NEW` converts it"
        yield _refused(f"{path} is a key of PuTTY, not of OpenSSH", fix)
    elif first.startswith((b"ssh-", b"ecdsa-", b"sk-")):
        private = path.with_suffix("") if path.suffix == ".pub" else "the private key's path"
        yield _refused(f"{path} is the public half of a key", f"write {private}")
    elif not first.startswith(b"-----BEGIN") or b"PRIVATE KEY-----" not in first:
        yield _refused(f"{path} is not a private key", "write the path of a file that ssh-keygen made")
    elif b"\r\n" in content:
        yield _refused(
            f"{path} has Windows line ends, which OpenSSH does not read", f"`sed -i 's/\\r$//' {path}`"
        )
    elif facts.st_uid == os.geteuid() and facts.st_mode & 0o077:
        mode = stat.S_IMODE(facts.st_mode)
        yield _refused(
            f"{path} has mode {mode:04o}: others can read it, so ssh ignores it", f"`chmod 600 {path}`"
        )


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_LARGEST)


def _refused(message: str, fix: str) -> Problem:
    return Problem(key=_KEY, check="ssh-key", message=message, fix=fix)
