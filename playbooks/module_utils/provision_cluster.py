"""The cluster as its API server and its etcd describe it, asked on a control plane: one connection each.

Nothing secret leaves the host: of bootstrap tokens only their names.
"""

from __future__ import annotations

import os
import time

from ansible.module_utils.provision_api_connection import (
    ADMIN_CONFIG,
    KUBE_SYSTEM,
    MANIFEST,
    credentials,
    get_all,
)
from ansible.module_utils.provision_errors import HostError
from ansible.module_utils.provision_etcd_connection import (
    HEALTH,
    LOCAL,
    MANIFEST as ETCD_MANIFEST,
    MEMBERS,
    PORT,
    STATUS,
    ask,
    parse_members,
    tls_context,
)
from ansible.module_utils.provision_files import yaml_value
from ansible.module_utils.provision_http import NOT_FOUND, OK, bracketed

TYPE_CHECKING = False  # importing `typing` costs 20 ms on a small machine
if TYPE_CHECKING:
    from typing import Any

    from ansible.module_utils.provision_api_connection import Credentials

_LABELS_AND_TAINTS = "provision/marks"  # annotation of a node, written by the module node_labels
_PATHS = {
    "version": "/version",
    "nodes": "/api/v1/nodes",
    "configuration": f"{KUBE_SYSTEM}/configmaps/kubeadm-config",
    "info": "/api/v1/namespaces/kube-public/configmaps/cluster-info",
    "proxy": f"{KUBE_SYSTEM}/configmaps/kube-proxy",
    "calico": f"{KUBE_SYSTEM}/configmaps/kubernetes-services-endpoint",
    "note": f"{KUBE_SYSTEM}/configmaps/provision",
    "daemonsets": "/apis/apps/v1/namespaces/kube-system/daemonsets",
    "deployments": "/apis/apps/v1/namespaces/kube-system/deployments",
    "pools": "/apis/crd.projectcalico.org/v1/ippools",
    "tokens": f"{KUBE_SYSTEM}/secrets?fieldSelector=type%3Dbootstrap.kubernetes.io%2Ftoken",
}
_API_SECONDS = 20  # for all answers: an API server that has just started is slow, a dead one refuses at once
_ETCD_SECONDS = 10
_BUSY = 429  # from an API server that reads its store again, after a start or a new kind
_TRIES, _PAUSE = 4, 1  # of a busy one; seconds


def api(root: str) -> dict[str, object] | None:
    """Summary of the cluster; None on a host without control plane, {"error": why} where it does not answer."""
    missing = [path for path in (ADMIN_CONFIG, MANIFEST) if not os.path.exists(root + path)]
    if missing:
        return None if len(missing) > 1 else {"error": f"{missing[0]} is missing"}
    try:
        access = credentials(root)
    except (HostError, ValueError) as error:
        return {"error": str(error)}
    try:
        answers = _answers(access)
    except (OSError, ValueError) as error:
        return {"error": f"https://{bracketed(access.host)}:{access.port}: {error}"}
    return {"address": access.host, **_summary(answers)}


def _answers(access: Credentials) -> dict[str, Any]:
    """The answer to every path; a busy server is asked up to _TRIES times."""
    for tries_left in reversed(range(_TRIES)):
        found = get_all(access, list(_PATHS.values()), _API_SECONDS)
        if not tries_left or all(status != _BUSY for status, _ in found):
            break
        time.sleep(_PAUSE)
    for path, (status, _) in zip(_PATHS.values(), found):
        if status not in (OK, NOT_FOUND):
            raise ValueError(f"GET {path}: status {status}")
    # Not found: the kind is not known yet, or the object does not exist.
    return {name: answer if status == OK else {} for name, (status, answer) in zip(_PATHS, found)}


def _summary(answers: dict[str, dict[str, Any]]) -> dict[str, object]:
    configuration = answers["configuration"].get("data", {}).get("ClusterConfiguration", "")
    return {
        "version": answers["version"].get("gitVersion", ""),
        "nodes": [_node(item) for item in answers["nodes"].get("items", [])],
        "configuration": configuration,
        "servers": {
            "calico": _calico_server(answers["calico"].get("data", {})),
            "cluster-info": yaml_value(answers["info"].get("data", {}).get("kubeconfig", ""), "server"),
            "kube-proxy": yaml_value(answers["proxy"].get("data", {}).get("kubeconfig.conf", ""), "server"),
        },
        "proxy_mode": _proxy_mode(answers["proxy"].get("data", {}).get("config.conf", "")),
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


def _proxy_mode(configuration: str) -> str:
    """Of kube-proxy's configuration, whose default is iptables; "" without one."""
    return configuration and (yaml_value(configuration, "mode") or "iptables")


def _calico_server(data: dict[str, Any]) -> str:
    host, port = data.get("KUBERNETES_SERVICE_HOST", ""), data.get("KUBERNETES_SERVICE_PORT", "")
    return f"https://{bracketed(host)}:{port}" if host else ""


def _node(item: dict[str, Any]) -> dict[str, object]:
    status = item.get("status", {})
    information = status.get("nodeInfo", {})
    conditions = {entry["type"]: entry for entry in status.get("conditions", [])}
    ready = conditions.get("Ready", {})
    return {
        "name": item["metadata"]["name"],
        "created": item["metadata"].get("creationTimestamp", ""),
        "labels": item["metadata"].get("labels", {}),
        "marks": item["metadata"].get("annotations", {}).get(_LABELS_AND_TAINTS, ""),
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
        "features": status.get("declaredFeatures", []),
    }


def _daemonset(item: dict[str, Any]) -> dict[str, object]:
    status = item.get("status", {})
    return {
        "images": _images(item),
        "wanted": status.get("desiredNumberScheduled", 0),
        "ready": status.get("numberReady", 0),
    }


def _deployment(item: dict[str, Any]) -> dict[str, object]:
    return {
        "images": _images(item),
        "wanted": item.get("spec", {}).get("replicas", 1),
        "ready": item.get("status", {}).get("readyReplicas", 0),
    }


def _images(item: dict[str, Any]) -> list[str]:
    containers = item.get("spec", {}).get("template", {}).get("spec", {}).get("containers", [])
    return [container.get("image", "") for container in containers]


def etcd(root: str, address: str = LOCAL, port: int = PORT) -> dict[str, object] | None:
    """Members as this one knows them, and its health; None on a host without etcd, {"error": why} if it is silent."""
    if not os.path.exists(root + ETCD_MANIFEST):
        return None
    # The last one is answered only where a majority agrees, and etcd may take 7 s to refuse.
    questions = ((MEMBERS, {}), (STATUS, {}), (HEALTH, None))
    try:
        answers = ask((address, port), tls_context(root), _ETCD_SECONDS, *questions)
    except (HostError, OSError, ValueError) as error:
        return {"error": f"https://{bracketed(address)}:{port}: {error}"}
    members, status, health = [*answers, {}, {}][:3]
    return {
        "id": members.get("header", {}).get("member_id", ""),
        "leader": status.get("leader", ""),
        "version": status.get("version", ""),
        "size": int(status.get("dbSize", 0)),
        "healthy": health.get("health") == "true",
        "reason": health.get("reason", ""),
        "members": [
            {"id": one.id, "name": one.name, "peers": list(one.peers), "learner": one.learner}
            for one in parse_members(members)
        ],
    }
