"""Waiting until a cluster works, and saying what is missing when it does not."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from ansible.module_utils.provision_api import Api, UnansweredError, items
from ansible.module_utils.provision_api_connection import KUBE_SYSTEM, credentials
from ansible.module_utils.provision_host import Changes, HostError
from ansible.module_utils.provision_module import run_module
from ansible.module_utils.provision_readiness import (
    condition,
    pod_reasons,
    unready_controllers,
    why,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DOCUMENTATION = r"""
module: cluster_ready
short_description: Wait until nodes, network and DNS are ready
description:
  - Runs on a control plane. Waits for the named nodes to be Ready, for every pod of the network plug-in and of
    kube-proxy, for DNS, and for controller managers and schedulers. Fails with what is missing, and why.
  - Not C(whole), only the named nodes count, each with its pods of the network plug-in and of kube-proxy. How the
    rest of the cluster is does not matter then.
options:
  nodes: {description: Names of the nodes that have to be Ready, type: list, elements: str, required: true}
  timeout: {description: Seconds to wait, type: int, required: true}
  whole: {description: Wait for the whole cluster, type: bool, default: true}
  runtime: {description: "Container runtime that the named nodes must report, if not C(whole)", type: str, default: ""}
author: provision
"""

_PAUSE = 2.0  # seconds
_WORKLOADS = "/apis/apps/v1/namespaces/kube-system"
_DAEMON_SETS = ("calico-node", "kube-proxy")
_DEPLOYMENTS = ("calico-kube-controllers", "coredns")


def wait(
    wanted: dict[str, Any],
    _changes: Changes,
    *,
    api: Api | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Return how many seconds it took; HostError names what is missing when the time is over."""
    api = api or Api(credentials())
    look = unready if wanted["whole"] else partial(unready_nodes, runtime=wanted.get("runtime", ""))
    begin = clock()
    while True:
        # Up to the first thing that is missing: while nodes start, their API server has better things to do.
        first = next(_told(look(api, wanted["nodes"])), None)
        elapsed = clock() - begin
        if first is None:
            return {"seconds": round(elapsed, 1)}
        if elapsed > wanted["timeout"]:
            missing = list(_told(look(api, wanted["nodes"]))) or [first]
            raise HostError(
                f"not ready after {wanted['timeout']} s: {'; '.join(missing)}",
                lines=list(_told(pod_reasons(api))),
            )
        sleep(_PAUSE)


def _told(phrases: Iterator[str]) -> Iterator[str]:
    """The phrases; an API server that does not answer while they are found is one more."""
    try:
        yield from phrases
    except UnansweredError as error:
        yield error.message


def unready(api: Api, nodes: list[str]) -> Iterator[str]:
    """What is not ready yet, one phrase each."""
    present = {node["metadata"]["name"]: node for node in items(api, "/api/v1/nodes")}
    for name in nodes:
        if name not in present:
            yield f"node {name} is not there"
        elif not condition(present[name], "Ready"):
            yield f"node {name}: {why(present[name])}"
    yield from unready_controllers(api)
    for name in _DAEMON_SETS:
        status = (api.get(f"{_WORKLOADS}/daemonsets/{name}") or {}).get("status")
        yield from _unready_daemon_set(name, status, len(present))
    for name in _DEPLOYMENTS:
        deployment = api.get(f"{_WORKLOADS}/deployments/{name}")
        if deployment is None or not _is_available(deployment):
            yield f"{name} is not available"


def unready_nodes(api: Api, nodes: list[str], runtime: str = "") -> Iterator[str]:
    """What is not ready of these nodes alone, asked node by node: the size of the cluster does not matter.

    `runtime`, as the cluster file spells it, is what their kubelets must report.
    """
    for name in nodes:
        node = api.get(f"/api/v1/nodes/{name}")
        if node is None:
            yield f"node {name} is not there"
            continue
        if not condition(node, "Ready"):
            yield f"node {name}: {why(node)}"
        reported = node["status"].get("nodeInfo", {}).get("containerRuntimeVersion", "")
        if runtime and reported.partition("://")[0].replace("-", "") != runtime:
            yield f"node {name} reports {reported or 'no container runtime'}, not {runtime}"
        pods = items(api, f"{KUBE_SYSTEM}/pods?fieldSelector=spec.nodeName%3D{name}")
        ready = {pod["metadata"].get("labels", {}).get("k8s-app") for pod in pods if condition(pod, "Ready")}
        yield from (f"{daemon} is not ready on {name}" for daemon in _DAEMON_SETS if daemon not in ready)


def _unready_daemon_set(name: str, status: dict[str, Any] | None, nodes: int) -> Iterator[str]:
    if status is None:
        yield f"{name} is not installed"
        return
    # The controller may not have counted a node that has just joined.
    desired = max(status.get("desiredNumberScheduled", 0), nodes)
    ready = min(status.get("numberReady", 0), status.get("updatedNumberScheduled", 0))
    if ready < desired:
        yield f"{name} is ready on {ready} of {desired} nodes"


def _is_available(deployment: dict[str, Any]) -> bool:
    status = deployment.get("status", {})
    wanted = deployment["spec"].get("replicas", 1)
    observed = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    return bool(observed and status.get("availableReplicas", 0) >= wanted)


if __name__ == "__main__":
    run_module(
        {
            "nodes": {"type": "list", "elements": "str", "required": True},
            "timeout": {"type": "int", "required": True},
            "whole": {"type": "bool", "default": True},
            "runtime": {"type": "str", "default": ""},
        },
        wait,
    )
