"""Proof that the cluster works for a user: names, Services, packets across nodes, and kubectl's connections to pods.

Nothing is left behind.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from ansible.module_utils.provision_api import Api, ApiError, items
from ansible.module_utils.provision_api_connection import ADMIN_CONFIG, credentials
from ansible.module_utils.provision_host import PATH, Changes, HostError, Run, run
from ansible.module_utils.provision_http import bracketed
from ansible.module_utils.provision_module import run_module
from ansible.module_utils.provision_readiness import condition, pod_reasons, unready_controllers
from ansible.module_utils.provision_smoke_test import mark_passed

if TYPE_CHECKING:
    from collections.abc import Callable

DOCUMENTATION = r"""
module: smoke_test
short_description: Prove DNS and a Service across nodes, and exec, logs and port-forward
description:
  - Runs on a control plane. A web pod on one node answers behind a Service; a pod on another node asks it by
    ClusterIP and by name; this host asks it by ClusterIP. In both pods C(kubectl exec) runs a program, C(kubectl
    logs) reads what the pod wrote, and C(kubectl port-forward) reaches its port, through the API server.
  - All of it lives in a namespace of its own; the cluster deletes it at the end, and those of earlier tests that
    were cut off.
options:
  image: {description: An agnhost image, type: str, required: true}
  server_node: {description: Where the web pod runs, type: str, required: true}
  client_node: {description: Where the asking pod runs, type: str, required: true}
  namespace: {description: "Beginning of the name of the test's namespace", type: str, required: true}
  timeout: {description: Seconds until the pods can be made; and then until they run, type: int, default: 180}
author: provision
"""

_PORT = 8080
_OURS = "provision.smoke-test"  # label of the namespace: only those of ours are ever deleted
_NAMESPACES = "/api/v1/namespaces"
_ASK = 60  # seconds for rules and endpoints to reach every node
_STREAM = 30  # seconds for one connection of kubectl to a pod; usually less than one
_NO_PROXY = {"NO_PROXY": "*", "no_proxy": "*"}
_FORWARDED = re.compile(r"Forwarding from 127\.0\.0\.1:([0-9]+) ")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?")


def prove(wanted: dict[str, Any], changes: Changes) -> dict[str, Any]:
    """Return `proofs`, a sentence for each thing that was seen to work. HostError says what does not."""
    if changes.dry:
        return {"proofs": []}
    if not _NAME.fullmatch(wanted["namespace"]):
        raise HostError(f"{wanted['namespace']!r} is no name for a namespace")
    api = Api(credentials())
    for name in _leftovers(api):
        api.delete(f"{_NAMESPACES}/{name}")
    name = _make_namespace(api, wanted["namespace"])
    home = f"{_NAMESPACES}/{name}"
    try:
        _build(api, home, wanted)
        address = _wait_for_pods(api, home, wanted["timeout"])
        proofs = [*_ask_all(api, home, name, wanted, address), *_connect_all(name, wanted)]
    except BaseException:
        # Report what failed first; if this fails too, the next run deletes what is left.
        with contextlib.suppress(HostError):
            api.delete(home)
        raise
    # Its end takes the cluster a while and need not be waited for: the next test has a namespace of its own.
    api.delete(home)
    mark_passed(api)
    return {"proofs": proofs}


def pod(name: str, node: str, image: str) -> dict[str, Any]:
    """A pod of agnhost's web server, on that node whatever its taints, that ends at once on SIGTERM."""
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


def _leftovers(api: Api) -> list[str]:
    """Namespaces of tests that were cut off; those that are going already are left alone."""
    found = items(api, f"{_NAMESPACES}?labelSelector={_OURS}")
    return [item["metadata"]["name"] for item in found if "deletionTimestamp" not in item["metadata"]]


def _make_namespace(api: Api, prefix: str) -> str:
    made = api.create(_NAMESPACES, {"metadata": {"generateName": f"{prefix}-", "labels": {_OURS: "true"}}})
    return str(made["metadata"]["name"])


def _build(api: Api, home: str, wanted: dict[str, Any]) -> None:
    service = {
        "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": _PORT}]},
    }
    api.create(f"{home}/services", service)
    for name, node in (("web", wanted["server_node"]), ("client", wanted["client_node"])):
        body = pod(name, node, wanted["image"])
        _retried(lambda: api.create(f"{home}/pods", body), api, wanted["timeout"])  # noqa: B023  # called at once


def _retried(create: Callable[[], object], api: Api, timeout: float) -> None:
    """A new namespace has no service account for the first moments, and without one no pod is admitted."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            create()
        except ApiError as error:
            if "serviceaccount" not in error.message:
                raise
            if time.monotonic() > deadline:
                # The controller manager makes it.
                what = [
                    f"a new namespace has no service account after {timeout:.0f} s",
                    *unready_controllers(api),
                ]
                raise HostError("; ".join(what), lines=list(pod_reasons(api))) from error
            time.sleep(0.5)
        else:
            return


def _wait_for_pods(api: Api, home: str, timeout: float) -> str:
    """Wait until both pods are ready; returns the Service's ClusterIP."""
    deadline = time.monotonic() + timeout
    while True:
        pods = items(api, f"{home}/pods")
        waiting = [
            f"pod {pod['metadata']['name']} on {pod['spec'].get('nodeName')}"
            for pod in pods
            if not condition(pod, "Ready")
        ]
        if not waiting:
            break
        if time.monotonic() > deadline:
            lines = [event.get("message", "") for event in items(api, f"{home}/events")][-6:]
            raise HostError(f"not running after {timeout:.0f} s: {'; '.join(waiting)}", lines=lines)
        time.sleep(0.5)
    service = api.get(f"{home}/services/web") or {}
    return str(service["spec"]["clusterIP"])


def _ask_all(api: Api, home: str, namespace: str, wanted: dict[str, Any], address: str) -> list[str]:
    client, server = wanted["client_node"], wanted["server_node"]
    name = f"web.{namespace}.svc"
    way = f"pod on {client} → pod on {server}"
    return [
        _until(f"Service {address}, {way}", lambda: _dial(api, home, address)),
        _until(f"cluster DNS {name}, {way}", lambda: _dial(api, home, name)),
        _until(f"Service {address}, this host → pod on {server}", lambda: _ask(bracketed(address))),
    ]


def _connect_all(namespace: str, wanted: dict[str, Any]) -> list[str]:
    """Connect to both pods, side by side: each may have another runtime behind it."""
    pods = {"client": wanted["client_node"], "web": wanted["server_node"]}
    with ThreadPoolExecutor(len(pods)) as pool:
        return list(pool.map(lambda pod: connect(namespace, *pod), pods.items()))


def connect(namespace: str, pod: str, node: str, *, run: Run = run) -> str:
    """Use a pod as `kubectl exec`, `logs` and `port-forward` do; HostError names the first that fails, and why."""
    kubectl = ["kubectl", f"--kubeconfig={ADMIN_CONFIG}", f"--namespace={namespace}"]
    for verb, arguments, sign in (
        ("exec", [pod, "--", "/agnhost", "--version"], "version"),
        ("logs", [pod, "--limit-bytes=2000"], str(_PORT)),  # it begins with the port that it listens on
    ):
        done = run([*kubectl, verb, *arguments], timeout=_STREAM, environment=_NO_PROXY, check=False)
        if done.status != 0 or sign not in done.out:
            raise _broken(verb, pod, node, done.last_lines(4))
    forward = [*kubectl, "port-forward", f"pod/{pod}", "--address=127.0.0.1", f":{_PORT}"]
    answer = _forwarded(forward)
    if answer != pod:
        raise _broken("port-forward", pod, node, [answer])
    return f"kubectl exec, logs and port-forward, pod on {node}"


def _forwarded(argv: list[str]) -> str:
    """What the pod answers through a forwarded port, or why it does not."""
    with (
        tempfile.TemporaryFile("w+") as errors,
        # Our own end would leave it behind, so it has a limit of its own.
        subprocess.Popen(
            ["timeout", str(_STREAM), *argv],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, **_NO_PROXY, "PATH": PATH},
        ) as process,
    ):
        line = ""
        try:
            line = process.stdout.readline() if process.stdout else ""
            found = _FORWARDED.match(line)
            if found:
                return _ask(f"127.0.0.1:{found[1]}")
        except OSError as error:
            line = f"error: {error}"
        finally:
            process.terminate()
        process.wait()
        errors.seek(0)
        return f"{line} {errors.read()}".strip()


def _broken(verb: str, pod: str, node: str, lines: list[str]) -> HostError:
    reason = lines[-1] if lines else "it wrote nothing"
    return HostError(
        f"kubectl {verb} of the pod {pod} on {node} fails: {reason}. The API server asks the kubelet there (port "
        "10250), and the kubelet its container runtime",
        lines=lines,
    )


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


def _ask(place: str) -> str:
    """Host name that the web server at `host[:port]` says it has; a pod's is its name."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://{place}/hostname", timeout=5) as answer:
        text: str = answer.read().decode()
        return text


if __name__ == "__main__":
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
