"""The key that signs the lab's package repositories: made once, kept in the cache, never in anybody's keyring."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from provision.lab.cache import Tell, digest_of, entry
from provision.lab.toolchain import require_packages, run

TOOLS = ("gnupg",)

_OWNER = "provision lab <lab@provision.invalid>"
_ALGORITHM = "ed25519"
_SECRET, _PUBLIC, _FINGERPRINT = "secret.asc", "public.asc", "fingerprint"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key without passphrase and end. `directory` is private (0700) and holds both halves, armored."""

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


def signing_key(tell: Tell) -> SigningKey:
    """The lab's key, made if the cache has none. Raises LabError where gpg is missing or fails."""
    require_packages(TOOLS, tell)
    title = "the key that signs the lab's packages"
    return SigningKey(entry("signing", digest_of(_OWNER, _ALGORITHM), _make, title=title, tell=tell))


def sign_release(release: Path, key: SigningKey) -> None:
    """Write `InRelease` and `Release.gpg` beside the file `Release`. Raises LabError if gpg fails."""
    inline, detached = release.with_name("InRelease"), release.with_name("Release.gpg")
    with _keyring() as home:
        _gpg(home, "--import", str(key.secret))
        signer = ("--local-user", key.fingerprint, "--digest-algo", "SHA512")
        _gpg(home, *signer, "--output", str(inline), "--clear-sign", str(release))
        _gpg(home, *signer, "--armor", "--output", str(detached), "--detach-sign", str(release))


def _make(into: Path) -> None:
    into.chmod(0o700)
    with _keyring() as home:
        _gpg(home, "--passphrase", "", "--quick-generate-key", _OWNER, _ALGORITHM, "sign", "never")
        listed = _gpg(home, "--with-colons", "--list-secret-keys")
        fingerprint = next(row.split(":")[9] for row in listed.splitlines() if row.startswith("fpr:"))
        (into / _FINGERPRINT).write_text(f"{fingerprint}\n")
        (into / _SECRET).touch(0o600)
        _gpg(home, "--armor", "--yes", "--output", str(into / _SECRET), "--export-secret-keys", fingerprint)
        _gpg(home, "--armor", "--output", str(into / _PUBLIC), "--export", fingerprint)


@contextmanager
def _keyring() -> Iterator[Path]:
    """A keyring of our own (0700) for a moment; the agent that gpg starts for it ends with it."""
    with tempfile.TemporaryDirectory(prefix="lab-gpg-") as name:
        try:
            yield Path(name)
        finally:
            run(["gpgconf", "--homedir", name, "--kill", "all"])


def _gpg(home: Path, *arguments: str) -> str:
    return run(["gpg", "--homedir", str(home), "--batch", "--quiet", "--no-tty", *arguments])
