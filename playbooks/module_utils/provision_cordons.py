"""Cordon nodes for a drain, and uncordon those again; a node that its administrator cordoned stays so."""

from __future__ import annotations

TYPE_CHECKING = False  # importing `typing` costs 20 ms on a small machine
if TYPE_CHECKING:
    from typing import Any

    from ansible.module_utils.provision_api import Api

CORDONED = "provision/cordoned"  # annotation of a node that a drain has cordoned


def cordon(api: Api, name: str) -> None:
    _set(api, name, {"unschedulable": True}, "true")


def uncordon(api: Api, name: str) -> None:
    _set(api, name, {"unschedulable": None}, None)


def is_cordoned_by_drain(node: dict[str, Any]) -> bool:
    return CORDONED in (node["metadata"].get("annotations") or {})


def _set(api: Api, name: str, spec: dict[str, Any], mark: str | None) -> None:
    api.merge(f"/api/v1/nodes/{name}", {"spec": spec, "metadata": {"annotations": {CORDONED: mark}}})
