"""Bootstrap tokens of a cluster, through one of its control planes."""

from __future__ import annotations

import secrets as randomness
import string
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from provision.model.units import epoch
from provision.providers.kubeadm.operations.agent_requests import request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from provision import ssh
    from provision.model.cluster import Cluster

_UNITS = {"d": 86400, "h": 3600, "min": 60, "s": 1}  # in seconds, the longest first
_ALPHABET = string.ascii_lowercase + string.digits


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A bootstrap token; `seconds` until it ends, negative if it has, None if it never does."""

    id: str
    seconds: int | None
    expires: str  # as the cluster has it, RFC 3339; "" for never
    usages: tuple[str, ...]
    description: str
    groups: tuple[str, ...]
    secret: str = field(default="", repr=False)  # only where it was asked for

    @property
    def text(self) -> str:
        """What `kubeadm join --token` takes."""
        return f"{self.id}.{self.secret}"

    @property
    def remaining(self) -> str:
        """`in 14 min (2026-11-21T14:02:11Z)`."""
        if self.seconds is None:
            return "never"
        if self.seconds <= 0:
            return f"has ended ({self.expires})"
        unit, size = next((unit, size) for unit, size in _UNITS.items() if self.seconds >= size)
        return f"in {self.seconds // size} {unit} ({self.expires})"

    def to_json(self, *, secret: bool) -> dict[str, object]:
        """Plain data for `-o json`; with the whole token only if asked."""
        data: dict[str, object] = {
            "id": self.id,
            "expires": self.expires or None,
            "seconds": self.seconds,
            "usages": self.usages,
            "description": self.description,
            "groups": self.groups,
        }
        return {**data, "token": self.text} if secret else data


@dataclass(frozen=True, slots=True)
class TokenClient:
    """Bootstrap tokens through a healthy control plane."""

    cluster: Cluster
    through: str
    secrets: ssh.Secrets

    def list(self, *, with_secrets: bool) -> tuple[Token, ...]:
        """All tokens, those that end first first. Raises UnreachableError, or ProvisionError if the API refuses."""
        answer = self._ask({"verb": "list", "secrets": with_secrets})
        now = float(str(answer["time"]))
        found = [_token(item, now) for item in _items(answer)]
        return tuple(sorted(found, key=lambda token: (token.seconds is None, token.seconds, token.id)))

    def create(self, *, seconds: int, description: str) -> Token:
        """Make a token with which nodes may join for so long."""
        identifier, secret = _random(6), _random(16)
        request = {"verb": "create", "id": identifier, "secret": secret, "seconds": seconds}
        answer = self._ask({**request, "description": description, "secrets": True})
        now = float(str(answer["time"]))
        return next(_token(item, now) for item in _items(answer) if item["id"] == identifier)

    def delete(self, identifier: str) -> bool:
        """Delete the token of that id; false if there is none."""
        return bool(self._ask({"verb": "delete", "id": identifier})["deleted"])

    def revoke(self, descriptions: Sequence[str], *, certificates: bool) -> None:
        """Delete the tokens of those descriptions, and the certificates that kubeadm uploaded for a join."""
        self._ask({"verb": "revoke", "descriptions": list(descriptions), "certificates": certificates})

    def _ask(self, message: Mapping[str, object]) -> dict[str, object]:
        return request(self.cluster, self.through, {"do": "tokens", **message}, secrets=self.secrets)


def revoke(cluster: Cluster, through: str, steps: Sequence[str], *, secrets: ssh.Secrets) -> None:
    """Take back the credentials that joins of these steps were given; see the module join_credentials."""
    client = TokenClient(cluster, through, secrets)
    client.revoke([f"provision {step}" for step in steps], certificates="join-control-planes" in steps)


def join_command(endpoint: str, token: Token, ca_hash: str) -> str:
    """What makes a worker of a prepared host by hand."""
    return f"kubeadm join {endpoint} --token {token.text} --discovery-token-ca-cert-hash {ca_hash}"


def _items(answer: Mapping[str, object]) -> list[dict[str, Any]]:
    found = answer.get("tokens")
    return found if isinstance(found, list) else []


def _token(item: dict[str, Any], now: float) -> Token:
    expires = str(item["expires"])
    return Token(
        id=str(item["id"]),
        seconds=int(epoch(expires) - now) if expires else None,
        expires=expires,
        usages=tuple(item["usages"]),
        description=str(item["description"]),
        groups=tuple(item["groups"]),
        secret=str(item.get("secret", "")),
    )


def _random(length: int) -> str:
    return "".join(randomness.choice(_ALPHABET) for _ in range(length))
