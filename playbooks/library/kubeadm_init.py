"""Run kubeadm init on the first control plane: once, and again after an interruption."""

from __future__ import annotations

import http
from pathlib import Path
from typing import Any

from ansible.module_utils.provision_api import Api, ApiError
from ansible.module_utils.provision_api_connection import credentials
from ansible.module_utils.provision_host import Changes, HostError
from ansible.module_utils.provision_kubeadm import begin, enable_kubelet, end, kubeadm, marker, reset
from ansible.module_utils.provision_kubeconfig import give_kubeconfig
from ansible.module_utils.provision_lock import exclusive
from ansible.module_utils.provision_module import run_module
from ansible.module_utils.provision_smoke_test import mark_pending
from ansible.module_utils.provision_tokens import revoke

DOCUMENTATION = r"""
module: kubeadm_init
short_description: Make a host the first control plane of a cluster
description:
  - Runs kubeadm init unless it is complete. An interrupted one is undone and started again, or finished.
  - No bootstrap token is left behind. A host that is a control plane already is left alone.
options:
  config: {description: Documents of the kubeadm configuration, type: list, elements: dict, required: true}
  login_user: {description: "User who gets a kubeconfig; empty: none", type: str, default: ""}
  smoke_test_pending: {description: Note that the node needs a smoke test, type: bool, default: false}
author: provision
"""

TOKEN = "provision init"  # noqa: S105  # a description, not a token
_WAIT = 900  # seconds for an init that another run has begun
_PRINT_NO_SECRETS = ["--skip-token-print", "--skip-certificate-key-print"]
_OBJECTS = (  # what the last phases of kubeadm init make; all of them there means that it came to its end
    "/api/v1/namespaces/kube-system/configmaps/kubeadm-config",
    "/api/v1/namespaces/kube-system/configmaps/kubelet-config",
    "/api/v1/namespaces/kube-public/configmaps/cluster-info",
    "/api/v1/namespaces/kube-system/services/kube-dns",
    "/apis/apps/v1/namespaces/kube-system/deployments/coredns",
    "/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy",
    "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/kubeadm:node-proxier",
    "/apis/rbac.authorization.k8s.io/v1/namespaces/kube-system/rolebindings/kube-proxy",
)


def initialise(wanted: dict[str, Any], changes: Changes) -> None:
    if changes.dry:
        if not _is_control_plane() or marker("init").exists():
            changes.make("ran kubeadm init", lambda: None)
        return
    with exclusive("init", wait=_WAIT) as lock:
        if marker("init").exists():
            _resume(changes, lock)
        if not _is_control_plane():
            changes.make("ran kubeadm init", lambda: _init(wanted["config"], lock))
        if marker("init").exists():
            _finish(changes, smoke_test_pending=wanted["smoke_test_pending"])
        give_kubeconfig(wanted["login_user"], changes)
        end("init")


def with_short_token(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same documents, with a bootstrap token of our description that ends soon.

    kubeadm makes one in any case, for 24 hours if it is not configured otherwise. We delete it right afterwards;
    the short life is for the case that this host dies in between.
    """
    token = {"description": TOKEN, "ttl": "15m0s"}
    return [
        {**document, "bootstrapTokens": [token]} if document.get("kind") == "InitConfiguration" else document
        for document in documents
    ]


def _init(documents: list[dict[str, Any]], lock: int) -> None:
    begin("init")
    kubeadm(["init", *_PRINT_NO_SECRETS], with_short_token(documents), lock=lock)


def _resume(changes: Changes, lock: int) -> None:
    """After an init that was cut off: keep a complete one, undo any other."""
    api = _answering_api()
    if api is not None:
        nodes = (api.get("/api/v1/nodes") or {}).get("items", [])
        if nodes and _is_complete(api, nodes):
            changes.make("finished a kubeadm init that was cut off", lambda: None)
            return
        if len(nodes) > 1:
            raise HostError(
                "an earlier kubeadm init did not come to its end, but other nodes have joined: "
                "`kubeadm init phase addon all` may be what is missing"
            )
    changes.make("undid a kubeadm init that was cut off", lambda: reset("init", lock=lock))


def _finish(changes: Changes, *, smoke_test_pending: bool) -> None:
    enable_kubelet()
    api = Api(credentials())
    api.wait_until_ready(120)
    if smoke_test_pending:
        mark_pending(api)
    if revoke(api, [TOKEN]):
        changes.make("deleted the bootstrap token of kubeadm init", lambda: None)


def _is_control_plane() -> bool:
    return Path("/etc/kubernetes/admin.conf").exists()


def _answering_api() -> Api | None:
    """The API server, if it answers and knows the admin: one of the first things that init makes is that binding.

    Without it no token can have been made, so no host can have joined.
    """
    try:
        api = Api(credentials(), timeout=10)
        api.get("/api/v1/nodes?limit=1")
    except ApiError as error:
        if error.status != http.HTTPStatus.FORBIDDEN:
            raise
        return None
    except HostError:
        return None
    return api


def _is_complete(api: Api, nodes: list[dict[str, Any]]) -> bool:
    marked = "node-role.kubernetes.io/control-plane" in nodes[0]["metadata"].get("labels", {})
    finalized = Path("/var/lib/kubelet/pki/kubelet-client-current.pem").exists()
    return marked and finalized and all(api.get(path) is not None for path in _OBJECTS)


if __name__ == "__main__":
    run_module(
        {
            "config": {"type": "list", "elements": "dict", "required": True},
            "login_user": {"type": "str", "default": ""},
            "smoke_test_pending": {"type": "bool", "default": False},
        },
        initialise,
    )
