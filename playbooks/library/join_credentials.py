"""What a host needs to join, made on a healthy control plane for one run and taken back after it."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from ansible.module_utils.provision_api import Api, credentials
from ansible.module_utils.provision_ca import ca_hash
from ansible.module_utils.provision_host import Changes, HostError, exclusive
from ansible.module_utils.provision_kubeadm import CRI_SOCKET, kubeadm
from ansible.module_utils.provision_module import run_module
from ansible.module_utils.provision_tokens import mint, revoke

DOCUMENTATION = r"""
module: join_credentials
short_description: Mint, or take back, the credentials of a join
description:
  - Present, it deletes what earlier runs left, mints a bootstrap token of a short life and says the hash of the
    cluster's CA and the address of this control plane; for control planes it also uploads the certificates
    under a fresh key.
  - Absent, it deletes token and uploaded certificates.
  - The result is secret, so its task has C(no_log). An expected failure is therefore told in C(problem), for a
    next task to report.
options:
  state: {description: What is wanted, type: str, choices: [present, absent], default: present}
  purpose: {description: Names the step; only tokens of that name are ours, type: str, required: true}
  seconds: {description: Life of the token, type: int, default: 900}
  control_plane: {description: Upload the certificates of the control plane too, type: bool, default: false}
author: provision
"""

_CERTIFICATES = "/api/v1/namespaces/kube-system/secrets/kubeadm-certs"
_CONFIG = "/api/v1/namespaces/kube-system/configmaps/kubeadm-config"
_WAIT = 600  # seconds for another run that uploads certificates


def provide(wanted: dict[str, Any], changes: Changes) -> dict[str, Any]:
    """The credentials, or an explanation in `problem`; without effect in a dry run."""
    if changes.dry:
        return {"token": "", "ca_hash": "", "certificate_key": "", "address": "", "problem": ""}
    try:
        access = credentials()
        api = Api(access)
        _take_back(api, wanted)
        if wanted["state"] == "absent":
            return {"problem": ""}
        return {
            "token": mint(api, f"provision {wanted['purpose']}", seconds=wanted["seconds"]),
            "ca_hash": ca_hash(Path("/etc/kubernetes/pki/ca.crt").read_text(encoding="ascii")),
            "certificate_key": _upload_certificates(api, access.host) if wanted["control_plane"] else "",
            "address": access.host,
            "problem": "",
        }
    except HostError as error:
        return {"problem": "; ".join([error.message, *error.lines[-4:]])}


def _take_back(api: Api, wanted: dict[str, Any]) -> None:
    revoke(api, f"provision {wanted['purpose']}")
    if not wanted["control_plane"]:
        return
    uploaded = api.get(_CERTIFICATES)
    if uploaded is not None:
        # kubeadm ties them to a token of their own, only to have them deleted in time.
        for owner in uploaded["metadata"].get("ownerReferences", []):
            api.delete(f"/api/v1/namespaces/kube-system/secrets/{owner['name']}")
        api.delete(_CERTIFICATES)


def _upload_certificates(api: Api, address: str) -> str:
    """Let kubeadm put the certificates, encrypted, into the cluster; returns the key to them."""
    config = api.get(_CONFIG)
    if config is None:
        raise HostError("the cluster has no ConfigMap kubeadm-config: was it made by kubeadm?")
    key = secrets.token_hex(32)
    init = {
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "InitConfiguration",
        "certificateKey": key,
        "localAPIEndpoint": {"advertiseAddress": address},
        "nodeRegistration": {"criSocket": CRI_SOCKET},
    }
    documents = [init, config["data"]["ClusterConfiguration"]]
    command = ["init", "phase", "upload-certs", "--upload-certs", "--skip-certificate-key-print"]
    with exclusive("upload-certs", wait=_WAIT) as lock:
        kubeadm(command, documents, lock=lock, name="upload-certs")
    return key


def main() -> None:
    run_module(
        {
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "purpose": {"type": "str", "required": True},
            "seconds": {"type": "int", "default": 900},
            "control_plane": {"type": "bool", "default": False},
        },
        provide,
    )


if __name__ == "__main__":
    main()
