"""How far nodes and pods are from being ready, and why: read from the API server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.provision_api import items
from ansible.module_utils.provision_api_connection import KUBE_SYSTEM

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ansible.module_utils.provision_api import Api

_CONTROLLERS = ("kube-controller-manager", "kube-scheduler")


def unready_controllers(api: Api) -> Iterator[str]:
    """Controller managers and schedulers that do not run: without them the API server answers and nothing happens."""
    for pod in items(api, f"{KUBE_SYSTEM}/pods?labelSelector=tier%3Dcontrol-plane"):
        component = pod["metadata"].get("labels", {}).get("component")
        if component in _CONTROLLERS and not condition(pod, "Ready"):
            yield f"{component} is not ready on {pod['spec'].get('nodeName')}"


def pod_reasons(api: Api) -> Iterator[str]:
    """Pods of kube-system that are not ready: why, and their last event."""
    for pod in items(api, f"{KUBE_SYSTEM}/pods"):
        if condition(pod, "Ready"):
            continue
        name = pod["metadata"]["name"]
        waiting = [
            f"{state.get('reason', '')} {state.get('message', '')}".strip()
            for kind in ("initContainerStatuses", "containerStatuses")
            for container in pod["status"].get(kind, [])
            for state in [container.get("state", {}).get("waiting") or {}]
            if state and state.get("reason") != "PodInitializing"
        ]
        reason = "; ".join(waiting) or why(pod, "PodScheduled") or pod["status"].get("phase", "")
        yield f"pod {name} on {pod['spec'].get('nodeName', 'no node')}: {reason}"
        events = items(api, f"{KUBE_SYSTEM}/events?fieldSelector=involvedObject.name%3D{name}")
        if events:
            last = max(events, key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")
            yield f"pod {name}: last event: {last.get('message', '')}"


def condition(thing: dict[str, Any], kind: str) -> bool:
    conditions = thing.get("status", {}).get("conditions", [])
    return any(entry["type"] == kind and entry["status"] == "True" for entry in conditions)


def why(thing: dict[str, Any], kind: str = "Ready") -> str:
    for entry in thing.get("status", {}).get("conditions", []):
        if entry["type"] == kind and entry["status"] != "True":
            return str(entry.get("message") or entry.get("reason") or f"{kind} is {entry['status']}")
    return ""
