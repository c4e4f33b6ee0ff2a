"""Proof that the cluster works for a user: names, Services and packets across nodes; nothing is left behind."""

from __future__ import annotations

import contextlib
import json
import re
import time
import urllib.request
from typing import TYPE_CHECKING, Any

from ansible.module_utils.provision_api import Api, ApiError, credentials
from ansible.module_utils.provision_host import Changes, HostError
from ansible.module_utils.provision_module import run_module
from ansible.module_utils.provision_proof import mark_proven

if TYPE_CHECKING:
    from collections.abc import Callable

DOCUMENTATION = r"""
module: smoke_test
short_description: Prove DNS and a Service across nodes
description:
  - Runs on a control plane. A web pod on one node answers behind a Service; a pod on another node asks it by
    ClusterIP and by name; this host asks it by ClusterIP. All of it lives in a namespace that is deleted.
options:
  image: {description: An agnhost image, type: str, required: true}
  server_node: {description: Where the web pod runs, type: str, required: true}
  client_node: {description: Where the asking pod runs, type: str, required: true}
  namespace: {description: Namespace for the time of the test, type: str, required: true}
  timeout: {description: Seconds until the pods have to run, type: int, default: 180}
author: provision
"""

_PORT = 8080
_OURS = "provision.smoke-test"  # label of the namespace: only one of ours is ever deleted
_GONE = 300  # seconds for a namespace to go
_ASK = 60  # seconds for rules and endpoints to reach every node
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def prove(wanted: dict[str, Any], changes: Changes) -> dict[str, Any]:
    """Return `proofs`, a sentence for each thing that was seen to work. HostError says what does not."""
    if changes.dry:
        return {"proofs": []}
    if not _NAME.fullmatch(wanted["namespace"]):
        raise HostError(f"{wanted['namespace']!r} is no name for a namespace")
    api = Api(credentials())
    home = f"/api/v1/namespaces/{wanted['namespace']}"
    _delete(api, home)
    try:
        _build(api, home, wanted)
        address = _wait_for_pods(api, home, wanted["timeout"])
        proofs = _ask_all(api, home, wanted, address)
    except BaseException:
        # What failed first is what has to be told; if this fails too, the next run deletes what is left.
        with contextlib.suppress(HostError):
            api.delete(home)
        raise
    _delete(api, home)
    mark_proven(api)
    return {"proofs": proofs}


def pod(name: str, node: str, image: str) -> dict[str, Any]:
    """A pod of agnhost's web server, on that node whatever its taints, that ends at once when told to."""
    return {
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "tolerations": [{"operator": "Exists"}],
            "containers": [
                {
                    "name": "agnhost",
                    "image": image,
                    "args": ["netexec", f"--http-port={_PORT}", "--udp-port=-1"],
                    "readinessProbe": {"httpGet": {"path": "/", "port": _PORT}, "periodSeconds": 1},
                }
            ],
        },
    }


def _build(api: Api, home: str, wanted: dict[str, Any]) -> None:
    api.create("/api/v1/namespaces", {"metadata": {"name": wanted["namespace"], "labels": {_OURS: "true"}}})
    service = {
        "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": _PORT}]},
    }
    api.create(f"{home}/services", service)
    for name, node in (("web", wanted["server_node"]), ("client", wanted["client_node"])):
        _retried(lambda: api.create(f"{home}/pods", pod(name, node, wanted["image"])))  # noqa: B023  # called at once


def _retried(create: Callable[[], object]) -> None:
    """A new namespace has no service account for the first moments, and without one no pod is admitted."""
    deadline = time.monotonic() + _ASK
    while True:
        try:
            create()
        except ApiError as error:
            if "serviceaccount" not in error.message or time.monotonic() > deadline:
                raise
            time.sleep(0.5)
        else:
            return


def _wait_for_pods(api: Api, home: str, timeout: float) -> str:
    """Wait until both pods are ready; returns the Service's ClusterIP."""
    deadline = time.monotonic() + timeout
    while True:
        pods = (api.get(f"{home}/pods") or {}).get("items", [])
        waiting = [reason for reason in map(_unready, pods) if reason]
        if not waiting:
            break
        if time.monotonic() > deadline:
            events = (api.get(f"{home}/events") or {}).get("items", [])
            lines = [event.get("message", "") for event in events][-6:]
            raise HostError(f"not running after {timeout:.0f} s: {'; '.join(waiting)}", lines=lines)
        time.sleep(0.5)
    service = api.get(f"{home}/services/web") or {}
    return str(service["spec"]["clusterIP"])


def _unready(item: dict[str, Any]) -> str:
    for condition in item["status"].get("conditions", []):
        if condition["type"] == "Ready" and condition["status"] == "True":
            return ""
    return f"pod {item['metadata']['name']} on {item['spec'].get('nodeName')}"


def _ask_all(api: Api, home: str, wanted: dict[str, Any], address: str) -> list[str]:
    client, server = wanted["client_node"], wanted["server_node"]
    name = f"web.{wanted['namespace']}.svc"
    way = f"pod on {client} → pod on {server}"
    return [
        _until(f"Service {address}, {way}", lambda: _dial(api, home, address)),
        _until(f"cluster DNS {name}, {way}", lambda: _dial(api, home, name)),
        _until(f"Service {address}, this host → pod on {server}", lambda: _ask(address)),
    ]


def _until(what: str, ask: Callable[[], str]) -> str:
    """Ask until the web pod answers, at most for _ASK seconds."""
    deadline = time.monotonic() + _ASK
    while True:
        try:
            answer = ask()
        except (OSError, HostError) as error:
            answer = f"error: {error}"
        if answer == "web":
            return what
        if time.monotonic() > deadline:
            raise HostError(f"no answer within {_ASK} s: {what}", lines=[answer])
        time.sleep(1)


def _dial(api: Api, home: str, host: str) -> str:
    """Let the client pod ask `host`, through the API server's proxy to that pod."""
    query = f"host={host}&port=80&protocol=http&request=hostname&tries=1"
    status, answer = api.request("GET", f"{home}/pods/client:{_PORT}/proxy/dial?{query}")
    if isinstance(answer, str):
        try:
            answer = json.loads(answer)
        except json.JSONDecodeError:
            return f"status {status}: {answer}"
    return "".join(answer.get("responses") or []) or str(answer.get("errors") or answer)


def _ask(address: str) -> str:
    host = f"[{address}]" if ":" in address else address
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://{host}/hostname", timeout=5) as answer:
        text: str = answer.read().decode()
        return text


def _delete(api: Api, home: str) -> None:
    """Delete the namespace and wait until it is gone. One that is not ours is refused."""
    namespace = api.get(home)
    if namespace is None:
        return
    if _OURS not in (namespace["metadata"].get("labels") or {}):
        raise HostError(f"the namespace {namespace['metadata']['name']} exists and is not the smoke test's")
    api.delete(home)
    deadline = time.monotonic() + _GONE
    while api.get(home) is not None:
        if time.monotonic() > deadline:
            raise HostError(f"the smoke test's namespace was not gone after {_GONE} s")
        time.sleep(0.5)


def main() -> None:
    run_module(
        {
            "image": {"type": "str", "required": True},
            "server_node": {"type": "str", "required": True},
            "client_node": {"type": "str", "required": True},
            "namespace": {"type": "str", "required": True},
            "timeout": {"type": "int", "default": 180},
        },
        prove,
    )


if __name__ == "__main__":
    main()
