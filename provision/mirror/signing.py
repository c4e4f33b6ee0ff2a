"""OpenPGP keys that sign package repositories, kept in directories and in no user's keyring."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from provision.mirror.tools import run

if TYPE_CHECKING:
    from collections.abc import Iterator

TOOLS = ("gnupg",)  # Debian packages

ALGORITHM = "ed25519"
_SECRET, _PUBLIC, _FINGERPRINT = "secret.asc", "public.asc", "fingerprint"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key without passphrase and expiry. `directory` is private (0700) and holds both halves, armored."""

    directory: Path

    @property
    def fingerprint(self) -> str:
        """40 hex digits, upper case."""
        return (self.directory / _FINGERPRINT).read_text().strip()

    @property
    def public(self) -> Path:
        """The armored public key, as repositories publish it."""
        return self.directory / _PUBLIC

    @property
    def secret(self) -> Path:
        """The armored secret key (0600)."""
        return self.directory / _SECRET


def create_key(directory: Path, owner: str) -> SigningKey:
    """Create a key of `owner` ("name <address>") in the existing directory, which becomes private.

    Raises ToolError where gpg is missing or fails.
    """
    directory.chmod(0o700)
    key = SigningKey(directory)
    with _keyring() as home:
        _gpg(home, "--passphrase", "", "--quick-generate-key", owner, ALGORITHM, "sign", "never")
        listed = _gpg(home, "--with-colons", "--list-secret-keys")
        fingerprint = next(row.split(":")[9] for row in listed.splitlines() if row.startswith("fpr:"))
        (directory / _FINGERPRINT).write_text(f"{fingerprint}\n")
        key.secret.touch(0o600)
        _gpg(home, "--armor", "--yes", "--output", str(key.secret), "--export-secret-keys", fingerprint)
        _gpg(home, "--armor", "--output", str(key.public), "--export", fingerprint)
    return key


def sign_file(path: Path, key: SigningKey, *, detached: Path, inline: Path | None = None) -> None:
    """Write an armored signature of `path` to `detached`, and the text with its signature to `inline` if given.

    Raises ToolError if gpg fails.
    """
    with keyring(key) as home:
        signer = ("--local-user", key.fingerprint, "--digest-algo", "SHA512")
        if inline is not None:
            _gpg(home, *signer, "--output", str(inline), "--clear-sign", str(path))
        _gpg(home, *signer, "--armor", "--output", str(detached), "--detach-sign", str(path))


@contextmanager
def keyring(key: SigningKey) -> Iterator[Path]:
    """Hold a private temporary directory (GNUPGHOME) with both halves of the key, for other programs that sign."""
    with _keyring() as home:
        _gpg(home, "--import", str(key.secret))
        yield home


@contextmanager
def _keyring() -> Iterator[Path]:
    """A private temporary keyring; the agent that gpg starts for it is stopped at the end."""
    with tempfile.TemporaryDirectory(prefix="provision-gpg-") as name:
        try:
            yield Path(name)
        finally:
            run(["gpgconf", "--homedir", name, "--kill", "all"])


def _gpg(home: Path, *arguments: str) -> str:
    return run(["gpg", "--homedir", str(home), "--batch", "--quiet", "--no-tty", *arguments])
