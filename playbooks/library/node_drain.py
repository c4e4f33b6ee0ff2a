"""Nodes that are to leave: no new pods come, those that are there move, and whatever holds them up is named."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible.module_utils.provision_api import Api, items
from ansible.module_utils.provision_api_connection import credentials
from ansible.module_utils.provision_cordons import cordon, is_cordoned_by_drain, uncordon
from ansible.module_utils.provision_module import run_module

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ansible.module_utils.provision_host import Changes

DOCUMENTATION = r"""
module: node_drain
short_description: Cordon nodes and move their pods
description:
  - Runs on a control plane. Cordons the nodes and evicts their pods, so that every PodDisruptionBudget is kept. Pods
    of DaemonSets, static pods and finished ones stay. A node that is not there is done.
  - Works for C(seconds) at a time and returns whether C(drained), so that a task with C(until) can tell how far it
    is. C(msg) says what is left and what holds it up.
  - Uncordoned, nodes that this module has cordoned are as they were.
options:
  nodes: {description: Names of the nodes, type: list, elements: str, required: true}
  state: {description: What is wanted, type: str, choices: [drained, uncordoned], default: drained}
  seconds: {description: How long to work at most, type: int, default: 10}
  force: {description: Also delete pods not managed by a controller, type: bool, default: false}
author: provision
"""

_PAUSE = 2.0  # seconds
_NOT_FOUND, _TOO_MANY, _FIRST_ERROR = 404, 429, 400


class Pod(NamedTuple):
    """A pod that has to leave; `lost`: no controller would create it again."""

    namespace: str
    name: str
    leaving: bool
    lost: bool

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def provide(
    wanted: dict[str, Any],
    changes: Changes,
    *,
    api: Api | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Work for a while; returns `drained`, and `msg`, what is left and why, "" if nothing is."""
    api = api or Api(credentials())
    present = [node for name in wanted["nodes"] if (node := api.get(f"/api/v1/nodes/{name}")) is not None]
    if wanted["state"] == "uncordoned":
        for node in present:
            _uncordon(api, node, changes)
        return {"drained": False, "msg": ""}
    for node in present:
        _cordon(api, node, changes)
    names = [node["metadata"]["name"] for node in present]
    if changes.dry:
        return {"drained": True, "msg": ""}
    end = clock() + wanted["seconds"]
    while True:
        left = dict(_move(api, names, changes, force=wanted["force"]))
        if not left or clock() > end:
            return {"drained": not left, "msg": _told(left)}
        sleep(_PAUSE)


def pods_to_move(api: Api, node: str) -> Iterator[Pod]:
    """Pods of a node that are at work and belong elsewhere when it goes."""
    for pod in items(api, f"/api/v1/pods?fieldSelector=spec.nodeName%3D{node}"):
        metadata = pod["metadata"]
        owner = next((o for o in metadata.get("ownerReferences") or [] if o.get("controller")), None)
        static = "kubernetes.io/config.mirror" in (metadata.get("annotations") or {})
        finished = pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}
        if static or finished or (owner is not None and owner.get("kind") == "DaemonSet"):
            continue
        leaving = "deletionTimestamp" in metadata
        yield Pod(metadata["namespace"], metadata["name"], leaving, owner is None)


def _move(api: Api, nodes: list[str], changes: Changes, *, force: bool) -> Iterator[tuple[str, str]]:
    """Ask every pod to leave; yields those that are still there, "node: pod", each with why."""
    for node in nodes:
        for pod in pods_to_move(api, node):
            why = "is ending"
            if not pod.leaving:
                why = (
                    "has no controller, so nothing would create it again: delete it yourself, or --force"
                    if pod.lost and not force
                    else _evict(api, pod)
                )
                if not why:
                    changes.make(f"evicted {pod} from {node}", lambda: None)
                    why = "is ending"
            yield f"{node}: {pod}", why


def _evict(api: Api, pod: Pod) -> str:
    """Evict a pod; "" if it goes, or else what holds it."""
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod.name, "namespace": pod.namespace},
    }
    path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}/eviction"
    status, answer = api.request("POST", path, json.dumps(body))
    if status < _FIRST_ERROR or status == _NOT_FOUND:
        return ""
    answer = answer if isinstance(answer, dict) else {"message": str(answer)}
    causes = [cause.get("message", "") for cause in (answer.get("details") or {}).get("causes") or []]
    said = "; ".join(filter(None, causes)) or answer.get("message", "")
    if status == _TOO_MANY and causes:
        return f"is held by its PodDisruptionBudget: {said}"
    return f"cannot be evicted (status {status}): {said}"


def _told(left: dict[str, str]) -> str:
    """What is left, those that are held up first."""
    held = [f"{pod} {why}" for pod, why in left.items() if why != "is ending"]
    ending = [pod for pod, why in left.items() if why == "is ending"]
    some = f"{', '.join(ending[:3])}{' ...' if len(ending) > 3 else ''}"  # noqa: PLR2004  (a line stays a line)
    return "; ".join([*held, *([f"waiting for the end of {some}"] if ending else [])])


def _cordon(api: Api, node: dict[str, Any], changes: Changes) -> None:
    if not node.get("spec", {}).get("unschedulable"):
        name = node["metadata"]["name"]
        changes.make(f"cordoned {name}", lambda: cordon(api, name))


def _uncordon(api: Api, node: dict[str, Any], changes: Changes) -> None:
    if is_cordoned_by_drain(node):
        name = node["metadata"]["name"]
        changes.make(f"uncordoned {name}", lambda: uncordon(api, name))


if __name__ == "__main__":
    run_module(
        {
            "nodes": {"type": "list", "elements": "str", "required": True},
            "state": {"type": "str", "choices": ["drained", "uncordoned"], "default": "drained"},
            "seconds": {"type": "int", "default": 10},
            "force": {"type": "bool", "default": False},
        },
        provide,
    )
