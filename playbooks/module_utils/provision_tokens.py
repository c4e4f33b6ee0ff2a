"""Bootstrap tokens as what they are: Secrets that say in words who made them, and when they end."""

from __future__ import annotations

import base64
import secrets
import string
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ansible.module_utils.provision_api import Api

_SECRETS = "/api/v1/namespaces/kube-system/secrets"
_TYPE = "bootstrap.kubernetes.io/token"
_ALPHABET = string.ascii_lowercase + string.digits
_GROUP = "system:bootstrappers:kubeadm:default-node-token"  # what kubeadm's own RBAC rules let join


def mint(api: Api, description: str, *, seconds: int) -> str:
    """Create a token that lets nodes join for so long."""
    identifier = "".join(secrets.choice(_ALPHABET) for _ in range(6))
    secret = "".join(secrets.choice(_ALPHABET) for _ in range(16))
    expiry = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
    api.create(
        _SECRETS,
        {
            "metadata": {"name": f"bootstrap-token-{identifier}"},
            "type": _TYPE,
            "stringData": {
                "auth-extra-groups": _GROUP,
                "description": description,
                "expiration": expiry,
                "token-id": identifier,
                "token-secret": secret,
                "usage-bootstrap-authentication": "true",
                "usage-bootstrap-signing": "true",
            },
        },
    )
    return f"{identifier}.{secret}"


def revoke(api: Api, description: str) -> int:
    """Delete every token of that description; how many there were."""
    listed = api.get(f"{_SECRETS}?fieldSelector=type%3D{_TYPE.replace('/', '%2F')}") or {}
    names = [
        item["metadata"]["name"]
        for item in listed.get("items", [])
        if base64.b64decode(item.get("data", {}).get("description", "")).decode() == description
    ]
    return sum(api.delete(f"{_SECRETS}/{name}") for name in names)
