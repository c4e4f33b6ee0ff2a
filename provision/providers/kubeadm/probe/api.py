"""What the cluster says of itself, asked of the API server on this host with the administrator's certificate.

`kubectl` costs seconds of CPU on a small machine; this costs one TLS connection. Nothing secret leaves the
host: of bootstrap tokens only their ids and ends.
"""

from __future__ import annotations

import binascii
import json
import os
import time

from provision.providers.kubeadm.probe.reading import read

_PATHS = {
    "version": "/version",
    "nodes": "/api/v1/nodes",
    "configuration": "/api/v1/namespaces/kube-system/configmaps/kubeadm-config",
    "info": "/api/v1/namespaces/kube-public/configmaps/cluster-info",
    "proxy": "/api/v1/namespaces/kube-system/configmaps/kube-proxy",
    "calico": "/api/v1/namespaces/kube-system/configmaps/kubernetes-services-endpoint",
    "note": "/api/v1/namespaces/kube-system/configmaps/provision",
    "daemonsets": "/apis/apps/v1/namespaces/kube-system/daemonsets",
    "deployments": "/apis/apps/v1/namespaces/kube-system/deployments",
    "pools": "/apis/crd.projectcalico.org/v1/ippools",
    "tokens": "/api/v1/namespaces/kube-system/secrets?fieldSelector=type%3Dbootstrap.kubernetes.io%2Ftoken",
}
_SECONDS = 20  # for everything: an API server that has just started is slow, a dead one refuses at once
_OK, _NOT_FOUND, _BUSY = (
    200,
    404,
    429,
)  # busy: an API server that reads its store anew, after a start or a new kind
_TRIES, _PAUSE = 4, 1  # of a busy one; seconds


def api(root: str) -> dict[str, object] | None:
    """Summary of the cluster; None on a host without control plane, {"error": why} where it does not answer."""
    credentials = _credentials(read(root + "/etc/kubernetes/admin.conf"))
    manifest = read(root + "/etc/kubernetes/manifests/kube-apiserver.yaml")
    if not credentials and not manifest:
        return None
    if not credentials or not manifest:
        missing = "manifests/kube-apiserver.yaml" if credentials else "admin.conf"
        return {"error": "/etc/kubernetes/" + missing + " is missing"}
    address = _flag(manifest, "--advertise-address=") or "127.0.0.1"
    port = int(_flag(manifest, "--secure-port=") or 6443)
    try:
        answers = _answers(credentials, address, port)
    except (OSError, ValueError) as error:
        return {"error": "https://" + address + ":" + str(port) + ": " + str(error)}
    return {"address": address, **_summary(answers)}


def access(root: str):  # type: ignore[no-untyped-def] # noqa: ANN201 - `ssl` is not imported yet
    """Address, port and TLS context of the API server on this control plane; OSError on a host that is none."""
    credentials = _credentials(read(root + "/etc/kubernetes/admin.conf"))
    manifest = read(root + "/etc/kubernetes/manifests/kube-apiserver.yaml")
    if not credentials or not manifest:
        raise OSError("this host is no control plane")
    address = _flag(manifest, "--advertise-address=") or "127.0.0.1"
    return address, int(_flag(manifest, "--secure-port=") or 6443), _context(credentials)


def _answers(credentials: list[bytes], address: str, port: int):  # type: ignore[no-untyped-def] # noqa: ANN202 - JSON
    """The answer to every path, from a server that is busy at the fourth time at the latest."""
    for tries_left in reversed(range(_TRIES)):
        found = _ask(credentials, address, port)
        busy = [name for name, (status, _) in found.items() if status == _BUSY]
        if not busy or not tries_left:
            break
        time.sleep(_PAUSE)
    answers = {}
    for name, (status, body) in found.items():
        if status not in (_OK, _NOT_FOUND):
            raise ValueError("GET " + _PATHS[name] + ": status " + str(status))
        # Not found: the kind is not known yet, or the thing is not there.
        answers[name] = json.loads(body) if status == _OK else {}
    return answers


def _ask(credentials: list[bytes], address: str, port: int):  # type: ignore[no-untyped-def] # noqa: ANN202 - JSON
    """Status and body by name. All questions are sent at once: on a busy machine each wait is a long one."""
    import socket  # noqa: PLC0415 - only control planes need it, as `ssl`

    head = " HTTP/1.1\r\nHost: kubernetes\r\nAccept: application/json\r\n"
    questions = "\r\n".join("GET " + path + head for path in _PATHS.values()) + "Connection: close\r\n\r\n"
    context = _context(credentials)
    with (
        socket.create_connection((address, port), timeout=_SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=address) as secure,
    ):
        secure.sendall(questions.encode("ascii"))
        data = _read_to_end(secure)
    answers = {}
    for name in _PATHS:
        status, body, data = split_answer(data)
        answers[name] = (status, body)
    return answers


def _read_to_end(connection) -> bytes:  # type: ignore[no-untyped-def] # noqa: ANN001 - `socket` is not imported yet
    end = time.monotonic() + _SECONDS
    parts = []
    while time.monotonic() < end:
        connection.settimeout(max(0.1, end - time.monotonic()))
        parts.append(connection.recv(1 << 16))
        if not parts[-1]:
            return b"".join(parts)
    raise ValueError("no answer within " + str(_SECONDS) + " s")


def split_answer(data: bytes) -> tuple[int, bytes, bytes]:
    """Status and body of the first HTTP/1.1 answer in `data`, and what comes after it; ValueError if it is cut off."""
    head, found, rest = data.partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    if not found or len(words) < 2:  # noqa: PLR2004 - version and status
        raise ValueError("the answer was cut off")
    lines = (line.partition(b":") for line in head.split(b"\r\n")[1:])
    headers = {name.strip().lower(): value.strip().lower() for name, _, value in lines}
    if headers.get(b"transfer-encoding") == b"chunked":
        return (int(words[1]), *_unchunked(rest))
    length = int(headers.get(b"content-length", b"0"))
    if len(rest) < length:
        raise ValueError("the answer was cut off")
    return int(words[1]), rest[:length], rest[length:]


def _unchunked(data: bytes) -> tuple[bytes, bytes]:
    """Body and rest (RFC 9112, 7.1); the API server sends no trailers."""
    body = []
    at = 0
    while True:
        line = data.find(b"\r\n", at)
        if line < 0:
            raise ValueError("the answer was cut off")
        size = int(data[at:line].partition(b";")[0], 16)
        body.append(data[line + 2 : line + 2 + size])
        at = line + 2 + size + 2
        if at > len(data):
            raise ValueError("the answer was cut off")
        if size == 0:
            return b"".join(body), data[at:]


def _flag(manifest: str, name: str) -> str:
    _, _, rest = manifest.partition(name)
    return rest.partition("\n")[0].strip()


def _credentials(kubeconfig: str) -> list[bytes]:
    """Authority, certificate and key as PEM; [] if one of them is missing."""
    found = []
    for label in ("certificate-authority-data: ", "client-certificate-data: ", "client-key-data: "):
        _, _, rest = kubeconfig.partition(label)
        found.append(binascii.a2b_base64(rest.partition("\n")[0]))
    return found if all(found) else []


def _context(credentials: list[bytes]):  # type: ignore[no-untyped-def] # noqa: ANN202 - `ssl` is not imported yet
    import ssl  # noqa: PLC0415

    authority, certificate, key = credentials
    context = ssl.create_default_context(cadata=authority.decode("ascii"))
    # OpenSSL reads the pair from a file only: one in memory that no other process can open by name.
    descriptor = os.memfd_create("admin")
    try:
        os.write(descriptor, certificate + key)
        context.load_cert_chain("/proc/self/fd/" + str(descriptor))
    finally:
        os.close(descriptor)
    return context


def _summary(answers: dict[str, dict]) -> dict[str, object]:  # type: ignore[type-arg]
    configuration = answers["configuration"].get("data", {}).get("ClusterConfiguration", "")
    return {
        "version": answers["version"].get("gitVersion", ""),
        "nodes": [_node(item) for item in answers["nodes"].get("items", [])],
        "configuration": configuration,
        "servers": {
            "calico": _calico_server(answers["calico"].get("data", {})),
            "cluster-info": _flag(answers["info"].get("data", {}).get("kubeconfig", ""), "server: "),
            "kube-proxy": _flag(answers["proxy"].get("data", {}).get("kubeconfig.conf", ""), "server: "),
        },
        "note": answers["note"].get("data", {}),
        "daemonsets": {
            item["metadata"]["name"]: _daemonset(item) for item in answers["daemonsets"].get("items", [])
        },
        "deployments": {
            item["metadata"]["name"]: _deployment(item) for item in answers["deployments"].get("items", [])
        },
        "pools": [item.get("spec", {}) for item in answers["pools"].get("items", [])],
        "tokens": [item["metadata"]["name"] for item in answers["tokens"].get("items", [])],
    }


def _calico_server(data: dict) -> str:  # type: ignore[type-arg]
    host, port = data.get("KUBERNETES_SERVICE_HOST", ""), data.get("KUBERNETES_SERVICE_PORT", "")
    return "https://" + ("[" + host + "]" if ":" in host else host) + ":" + port if host else ""


def _node(item: dict) -> dict[str, object]:  # type: ignore[type-arg]
    status = item.get("status", {})
    information = status.get("nodeInfo", {})
    conditions = {entry["type"]: entry for entry in status.get("conditions", [])}
    ready = conditions.get("Ready", {})
    return {
        "name": item["metadata"]["name"],
        "created": item["metadata"].get("creationTimestamp", ""),
        "labels": item["metadata"].get("labels", {}),
        "marks": item["metadata"].get("annotations", {}).get("provision/marks", ""),
        "taints": [
            {"key": taint["key"], "value": taint.get("value", ""), "effect": taint["effect"]}
            for taint in item.get("spec", {}).get("taints", [])
        ],
        "cordoned": item.get("spec", {}).get("unschedulable", False),
        "ready": ready.get("status") == "True",
        "message": ready.get("message", ""),
        "kubelet": information.get("kubeletVersion", ""),
        "runtime": information.get("containerRuntimeVersion", ""),
        "machine_id": information.get("machineID", ""),
        "addresses": [a["address"] for a in status.get("addresses", []) if a["type"] == "InternalIP"],
    }


def _daemonset(item: dict) -> dict[str, object]:  # type: ignore[type-arg]
    status = item.get("status", {})
    return {
        "images": _images(item),
        "wanted": status.get("desiredNumberScheduled", 0),
        "ready": status.get("numberReady", 0),
    }


def _deployment(item: dict) -> dict[str, object]:  # type: ignore[type-arg]
    return {
        "images": _images(item),
        "wanted": item.get("spec", {}).get("replicas", 1),
        "ready": item.get("status", {}).get("readyReplicas", 0),
    }


def _images(item: dict) -> list[str]:  # type: ignore[type-arg]
    containers = item.get("spec", {}).get("template", {}).get("spec", {}).get("containers", [])
    return [container.get("image", "") for container in containers]
