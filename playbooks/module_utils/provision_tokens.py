"""Bootstrap tokens: Secrets whose description says who made them, and that expire.

Tokens of joins, and the certificates that kubeadm uploads for them, are revoked after the join; what a killed run
left, the next holder of the cluster's lock revokes.
"""

from __future__ import annotations

import binascii
import time

from ansible.module_utils.provision_api import items
from ansible.module_utils.provision_api_connection import KUBE_SYSTEM

TYPE_CHECKING = False  # importing `typing` costs 20 ms on a small machine
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any

    from ansible.module_utils.provision_api import Api

SECRETS = f"{KUBE_SYSTEM}/secrets"
GROUP = "system:bootstrappers:kubeadm:default-node-token"  # what kubeadm's own RBAC rules let join
# Descriptions of the tokens that the module join_credentials mints, by its parameter `purpose`.
JOIN_CONTROL_PLANES, JOIN_WORKERS = "provision join-control-planes", "provision join-workers"
_TYPE = "bootstrap.kubernetes.io/token"
_LIST = f"{SECRETS}?fieldSelector=type%3D{_TYPE.replace('/', '%2F')}"
_NAME = "bootstrap-token-"
_USAGE = "usage-bootstrap-"
_CERTIFICATES = f"{SECRETS}/kubeadm-certs"


def mint(api: Api, description: str, *, seconds: int) -> str:
    """Create a random token that lets nodes join for so long."""
    import secrets  # noqa: PLC0415 - takes long to import; the agent gets its tokens from the controller
    import string  # noqa: PLC0415

    alphabet = string.ascii_lowercase + string.digits
    name, secret = ("".join(secrets.choice(alphabet) for _ in range(size)) for size in (6, 16))
    create(api, name, secret, description, seconds=seconds)
    return f"{name}.{secret}"


def create(api: Api, name: str, secret: str, description: str, *, seconds: int) -> None:
    expiry = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
    body = {
        "metadata": {"name": _NAME + name},
        "type": _TYPE,
        "stringData": {
            "auth-extra-groups": GROUP,
            "description": description,
            "expiration": expiry,
            "token-id": name,
            "token-secret": secret,
            _USAGE + "authentication": "true",
            _USAGE + "signing": "true",
        },
    }
    api.create(SECRETS, body)


def listed(api: Api, *, with_secrets: bool) -> list[dict[str, object]]:
    """Every token as data."""
    return [_token(item, with_secret=with_secrets) for item in items(api, _LIST)]


def delete(api: Api, name: str) -> bool:
    """Delete a token; false if there is none of that name."""
    return api.delete(f"{SECRETS}/{_NAME}{name}")


def revoke(api: Api, descriptions: Collection[str], *, certificates: bool = False) -> int:
    """Delete the tokens of these descriptions, and the uploaded `certificates` with their token; returns how many."""
    found = [item for item in items(api, _LIST) if _field(item, "description") in descriptions]
    names = [item["metadata"]["name"] for item in found]
    uploaded = api.get(_CERTIFICATES) if certificates else None
    if uploaded is not None:
        # kubeadm ties them to a token of their own, only to have them deleted in time.
        names += [owner["name"] for owner in uploaded["metadata"].get("ownerReferences", [])]
        names.append("kubeadm-certs")
    return sum(api.delete(f"{SECRETS}/{name}") for name in names)


def revoke_abandoned(api: Api) -> None:
    """Revoke the credentials of joins. Only the holder of the cluster's lock knows that no running join uses them."""
    found = {_field(item, "description") for item in items(api, _LIST)} & {JOIN_CONTROL_PLANES, JOIN_WORKERS}
    if found:
        revoke(api, found, certificates=JOIN_CONTROL_PLANES in found)


def _token(item: dict[str, Any], *, with_secret: bool) -> dict[str, object]:
    usages = [
        name[len(_USAGE) :]
        for name in sorted(item.get("data", {}))
        if name.startswith(_USAGE) and _field(item, name) == "true"
    ]
    found: dict[str, object] = {
        "id": _field(item, "token-id"),
        "expires": _field(item, "expiration"),
        "usages": usages,
        "description": _field(item, "description"),
        "groups": [group for group in _field(item, "auth-extra-groups").split(",") if group],
    }
    if with_secret:
        found["secret"] = _field(item, "token-secret")
    return found


def _field(item: dict[str, Any], name: str) -> str:
    return binascii.a2b_base64(item.get("data", {}).get(name, "")).decode("utf-8", "replace")
