"""Bootstrap tokens: told without their secrets unless asked, made, deleted."""

from __future__ import annotations

import binascii
import time

from provision.providers.kubeadm.agent.objects import Objects

_SECRETS = "/api/v1/namespaces/kube-system/secrets"
_LIST = _SECRETS + "?fieldSelector=type%3Dbootstrap.kubernetes.io%2Ftoken"
_PREFIX = "bootstrap-token-"
_USAGE = "usage-bootstrap-"
_GROUP = "system:bootstrappers:kubeadm:default-node-token"  # what kubeadm's own RBAC rules let join
# Descriptions of the tokens that joins of ours are given; see the module join_credentials.
_CONTROL_PLANES = "provision join-control-planes"
_JOINS = {_CONTROL_PLANES, "provision join-workers"}
_CERTIFICATES = _SECRETS + "/kubeadm-certs"


def tokens(request: dict, root: str = "") -> dict[str, object]:  # type: ignore[type-arg]
    """Do what `request["verb"]` says: list, create, delete, revoke."""
    objects = Objects(root)
    verb = request["verb"]
    if verb == "create":
        _create(objects, request)
    elif verb == "delete":
        return {"deleted": objects.delete(_SECRETS + "/" + _PREFIX + request["id"])}
    elif verb == "revoke":
        return {"revoked": _revoke(objects, request["descriptions"], certificates=request["certificates"])}
    found = [
        _token(item, secret=request.get("secrets", False)) for item in objects.get(_LIST).get("items", [])
    ]
    return {"tokens": found, "time": time.time()}


def revoke_left(objects: Objects) -> None:
    """Take back what joins of a killed run were given. Only who holds the lock knows that no run of ours uses it."""
    found = objects.get(_LIST).get("items", [])
    left = {_text(item, "description") for item in found} & _JOINS
    if left:
        _revoke(objects, sorted(left), certificates=_CONTROL_PLANES in left)


def _create(objects: Objects, request: dict) -> None:  # type: ignore[type-arg]
    end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + request["seconds"]))
    body = {
        "metadata": {"name": _PREFIX + request["id"]},
        "type": "bootstrap.kubernetes.io/token",
        "stringData": {
            "auth-extra-groups": _GROUP,
            "description": request["description"],
            "expiration": end,
            "token-id": request["id"],
            "token-secret": request["secret"],
            _USAGE + "authentication": "true",
            _USAGE + "signing": "true",
        },
    }
    objects.create(_SECRETS, body)


def _revoke(objects: Objects, descriptions: list[str], *, certificates: bool) -> int:
    """Delete what a run left: its tokens by their descriptions, and the certificates that it uploaded with theirs."""
    found = objects.get(_LIST).get("items", [])
    gone = [item["metadata"]["name"] for item in found if _text(item, "description") in descriptions]
    uploaded = objects.get(_CERTIFICATES) if certificates else {}
    gone += [owner["name"] for owner in uploaded.get("metadata", {}).get("ownerReferences", [])]
    gone += ["kubeadm-certs"] if uploaded else []
    return sum(objects.delete(_SECRETS + "/" + name) for name in gone)


def _token(item: dict, *, secret: bool) -> dict[str, object]:  # type: ignore[type-arg]
    data = item.get("data", {})
    usages = [
        name[len(_USAGE) :]
        for name in sorted(data)
        if name.startswith(_USAGE) and _text(item, name) == "true"
    ]
    found: dict[str, object] = {
        "id": _text(item, "token-id"),
        "expires": _text(item, "expiration"),
        "usages": usages,
        "description": _text(item, "description"),
        "groups": [group for group in _text(item, "auth-extra-groups").split(",") if group],
    }
    if secret:
        found["secret"] = _text(item, "token-secret")
    return found


def _text(item: dict, name: str) -> str:  # type: ignore[type-arg]
    return binascii.a2b_base64(item.get("data", {}).get(name, "")).decode("utf-8", "replace")
