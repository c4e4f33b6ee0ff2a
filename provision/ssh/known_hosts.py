"""Which host keys are trusted: names, hashes, patterns, ports, markers and certificates as in sshd(8)."""

from __future__ import annotations

import binascii
import contextlib
import fnmatch
import time
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import paramiko

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

_MIN_WORDS = 3  # names, type, key
_HOST_CERTIFICATE = 2
_CERTIFICATE = "-cert-v01@openssh.com"
# In the order in which OpenSSH prefers them.
_TYPES = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
_FIELDS = {"ssh-rsa": 2, "ecdsa-sha2": 2, "ssh-ed25519": 1}  # of the key in a certificate


class Verdict(Enum):
    """What is known of a key that a host shows."""

    KNOWN = "known"
    UNKNOWN = "unknown"
    CHANGED = "changed"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate of OpenSSH; `signed` is what the authority's `signature` covers."""

    key: paramiko.PKey
    kind: int
    principals: tuple[str, ...]
    valid_after: int
    valid_before: int
    critical: bytes
    authority: bytes
    signed: bytes
    signature: bytes

    def flaw(self, host: str, authorities: Sequence[paramiko.PKey], now: float) -> str:
        """Why it does not prove that the key is this host's, "" if it does."""
        authority = next((one for one in authorities if one.asbytes() == self.authority), None)
        if authority is None:
            return "no @cert-authority line has the key that signed it"
        if not authority.verify_ssh_sig(self.signed, paramiko.Message(self.signature)):
            return "its signature is wrong"
        if self.kind != _HOST_CERTIFICATE or self.critical:
            return "it is not a certificate of a host"
        if not self.valid_after <= now < self.valid_before:
            return "it is not valid now"
        if self.principals and not any(fnmatch.fnmatchcase(host, name) for name in self.principals):
            return f"it is made out to {', '.join(self.principals)}"
        return ""


@dataclass(frozen=True, slots=True)
class Trust:
    """The keys that count for one host. `name` is what a certificate must be made out to."""

    name: str
    keys: tuple[paramiko.PKey, ...] = ()
    authorities: tuple[paramiko.PKey, ...] = ()
    revoked: frozenset[str] = frozenset()

    def algorithms(self) -> tuple[str, ...]:
        """Types of host keys, those first that can be proven: the host then shows one of them."""
        known = {key.get_name() for key in self.keys}
        plain = [kind for kind in _TYPES if kind in known or ("rsa" in kind and "ssh-rsa" in known)]
        certified = [f"{kind}{_CERTIFICATE}" for kind in _TYPES] if self.authorities else []
        return tuple(dict.fromkeys([*certified, *plain, *_TYPES]))

    def judge(self, key: paramiko.PKey) -> Verdict:
        if key.get_base64() in self.revoked or (
            key.public_blob and not self.certificate_flaw(key) and self._authority(key) in self.revoked
        ):
            return Verdict.REVOKED
        if key in self.keys or (key.public_blob and not self.certificate_flaw(key)):
            return Verdict.KNOWN
        return Verdict.CHANGED if self.keys else Verdict.UNKNOWN

    def certificate_flaw(self, key: paramiko.PKey) -> str:
        """Why the key's certificate proves nothing; "" if it does, or if there is no authority."""
        if not self.authorities:
            return "no @cert-authority line is for it"
        if not key.public_blob:
            return "the host shows no certificate"
        try:
            return parse_certificate(key.public_blob.key_blob).flaw(self.name, self.authorities, time.time())
        except (ValueError, paramiko.SSHException, paramiko.pkey.UnknownKeyType):
            return "its certificate cannot be read"

    def _authority(self, key: paramiko.PKey) -> str:
        return binascii.b2a_base64(parse_certificate(key.public_blob.key_blob).authority).decode().strip()


class KnownHosts:
    """Lines of known_hosts files. Keys are parsed only when a host asks for them: the files may be long."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._lines: list[tuple[str, str, str, str]] = []  # marker, names, type, key
        for file in files:
            try:
                text = file.read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue  # as for OpenSSH: a file that cannot be read knows no host
            for line in text.splitlines():
                words = line.split()
                marker = words.pop(0) if line.startswith("@") else ""
                if len(words) >= _MIN_WORDS and not words[0].startswith("#"):
                    self._lines.append((marker, words[0], words[1], words[2]))

    def trust(self, name: str, alias: str) -> Trust:
        """What counts for a host, `name` as ssh writes it: "w1" or "[w1]:2222", `alias` without the port."""
        lines = [line for line in self._lines if _matches(name, line[1])]
        if name != alias:  # OpenSSH: a line without a port holds for every port, if its key is the one shown
            lines += [line for line in self._lines if not line[0] and _matches(alias, line[1])]
        return Trust(
            alias,
            keys=tuple(_keys(line for line in lines if not line[0])),
            authorities=tuple(_keys(line for line in lines if line[0] == "@cert-authority")),
            revoked=frozenset(line[3] for line in lines if line[0] == "@revoked"),
        )


class TrustPolicy(paramiko.MissingHostKeyPolicy):  # type: ignore[misc] # paramiko has no types
    """Accept a key that is trusted, and keep what the host shows; `look_only`: go no further in any case."""

    def __init__(self, trust: Trust) -> None:
        self.trust = trust
        self.look_only = False
        self.offered: paramiko.PKey | None = None
        self.verdict: Verdict | None = None  # None: the host has shown no key yet

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:  # noqa: ARG002
        self.offered = key
        self.verdict = self.trust.judge(key)
        if self.look_only or self.verdict is not Verdict.KNOWN:
            raise paramiko.SSHException(f"host key of {hostname} is {self.verdict.value}")


def parse_key(line: str) -> paramiko.PKey:
    """The public key `type base64`; words after it are ignored. Raises ValueError or SSHException."""
    kind, text, *_ = line.split()
    return paramiko.PKey.from_type_string(kind, binascii.a2b_base64(text))


def parse_certificate(blob: bytes) -> Certificate:
    """A certificate from its wire form (PROTOCOL.certkeys of OpenSSH). Raises ValueError or SSHException."""
    message = paramiko.Message(blob)
    kind = message.get_text()
    if not kind.endswith(_CERTIFICATE):
        raise ValueError(f"{kind} is not a certificate")
    plain = kind.removesuffix(_CERTIFICATE)
    message.get_string()  # nonce
    key = paramiko.Message()
    key.add_string(plain)
    for _ in range(next(count for name, count in _FIELDS.items() if plain.startswith(name))):
        key.add_string(message.get_string())
    message.get_int64()  # serial number
    role = message.get_int()
    message.get_string()  # its name
    names = paramiko.Message(message.get_string())
    principals = []
    while names.get_remainder():
        principals.append(names.get_text())
    after, before = message.get_int64(), message.get_int64()
    critical = message.get_string()
    message.get_string()  # extensions
    message.get_string()  # reserved
    authority = message.get_string()
    signed = message.get_so_far()
    return Certificate(
        key=paramiko.PKey.from_type_string(plain, key.asbytes()),
        kind=role,
        principals=tuple(principals),
        valid_after=after,
        valid_before=before,
        critical=critical,
        authority=authority,
        signed=signed,
        signature=message.get_string(),
    )


def key_line(key: paramiko.PKey) -> str:
    """`type base64`, as a cluster file pins it."""
    return f"{key.get_name()} {key.get_base64()}"


def _keys(lines: Iterable[tuple[str, str, str, str]]) -> Iterator[paramiko.PKey]:
    for _, _, kind, text in lines:
        with contextlib.suppress(ValueError, paramiko.SSHException, paramiko.pkey.UnknownKeyType):
            yield parse_key(f"{kind} {text}")


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
