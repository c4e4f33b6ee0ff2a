"""The mark of a pending smoke test, in the ConfigMap kube-system/provision.

It is set before nodes are made and taken away when the test has passed: after a failed one it has to run again.
"""

from __future__ import annotations

import http
from typing import TYPE_CHECKING, Any

from ansible.module_utils.provision_api import ApiError
from ansible.module_utils.provision_api_connection import KUBE_SYSTEM

if TYPE_CHECKING:
    from ansible.module_utils.provision_api import Api

_CONFIG_MAPS = f"{KUBE_SYSTEM}/configmaps"
_KEY = "unproven"  # of clusters that exist already, so it keeps its name


def mark_pending(api: Api) -> None:
    """Note that nodes are about to be made whose smoke test is wanted."""
    data = {_KEY: "true"}
    try:
        api.merge(f"{_CONFIG_MAPS}/provision", {"data": data})
    except ApiError as error:
        if error.status != http.HTTPStatus.NOT_FOUND:
            raise
        api.create(_CONFIG_MAPS, {"metadata": {"name": "provision"}, "data": data})


def mark_passed(api: Api) -> None:
    nothing: dict[str, Any] = {_KEY: None}
    if _KEY in ((api.get(f"{_CONFIG_MAPS}/provision") or {}).get("data") or {}):
        api.merge(f"{_CONFIG_MAPS}/provision", {"data": nothing})
