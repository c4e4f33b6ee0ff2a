"""Whether new nodes were proven to work: a mark in the ConfigMap kube-system/provision until they were.

Without it nobody would know, after a failed smoke test, that it has to be done again: the nodes are there.
"""

from __future__ import annotations

import http
from typing import TYPE_CHECKING, Any

from ansible.module_utils.provision_api import ApiError

if TYPE_CHECKING:
    from ansible.module_utils.provision_api import Api

_CONFIG_MAPS = "/api/v1/namespaces/kube-system/configmaps"
_KEY = "unproven"


def mark_unproven(api: Api) -> None:
    """Note that nodes are about to be made whose smoke test is wanted."""
    data = {_KEY: "true"}
    try:
        api.merge(f"{_CONFIG_MAPS}/provision", {"data": data})
    except ApiError as error:
        if error.status != http.HTTPStatus.NOT_FOUND:
            raise
        api.create(_CONFIG_MAPS, {"metadata": {"name": "provision"}, "data": data})


def mark_proven(api: Api) -> None:
    """Note that the smoke test has passed."""
    nothing: dict[str, Any] = {_KEY: None}
    if _KEY in ((api.get(f"{_CONFIG_MAPS}/provision") or {}).get("data") or {}):
        api.merge(f"{_CONFIG_MAPS}/provision", {"data": nothing})
