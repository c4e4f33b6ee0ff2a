"""What a host needs to join, made on a healthy control plane for one run and taken back after it."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from ansible.module_utils.provision_api import Api
from ansible.module_utils.provision_api_connection import credentials
from ansible.module_utils.provision_host import Changes, HostError
from ansible.module_utils.provision_kubeadm import ca_hash, kubeadm, phase_documents
from ansible.module_utils.provision_lock import exclusive
from ansible.module_utils.provision_module import run_module
from ansible.module_utils.provision_smoke_test import mark_pending
from ansible.module_utils.provision_tokens import GROUP, mint, revoke

DOCUMENTATION = r"""
module: join_credentials
short_description: Mint, or take back, the credentials of a join
description:
  - Present, it deletes what earlier runs left, mints a bootstrap token of a short life and says the hash of the
    cluster's CA and the address of this control plane; for control planes it also uploads the certificates
    under a fresh key.
  - A cluster whose C(cluster-info) is gone, where joining hosts find its CA, gets it back.
  - Absent, it deletes token and uploaded certificates.
  - The result is secret, so its task has C(no_log). An expected failure is therefore reported in C(problem), for a
    next task to report.
options:
  state: {description: What is wanted, type: str, choices: [present, absent], default: present}
  purpose: {description: Names the step; only tokens of that name are ours, type: str, required: true}
  seconds: {description: Life of the token, type: int, default: 900}
  smoke_test_pending: {description: Note that the new nodes need a smoke test, type: bool, default: false}
  control_plane: {description: Upload the certificates of the control plane too, type: bool, default: false}
author: provision
"""

_CLUSTER_INFO = "/api/v1/namespaces/kube-public/configmaps/cluster-info"
_ADMIN = "/etc/kubernetes/admin.conf"
_WAIT = 600  # seconds for another run that is at the same phase


def provide(wanted: dict[str, Any], changes: Changes) -> dict[str, Any]:
    """The credentials, or an explanation in `problem`; without effect in a dry run."""
    if changes.dry:
        return {"token": "", "ca_hash": "", "certificate_key": "", "address": "", "problem": ""}
    try:
        access = credentials()
        api = Api(access)
        description = f"provision {wanted['purpose']}"
        revoke(api, [description], certificates=wanted["control_plane"])
        if wanted["state"] == "absent":
            return {"problem": ""}
        if wanted["smoke_test_pending"]:
            mark_pending(api)
        token = mint(api, description, seconds=wanted["seconds"])
        _renew_cluster_info(api, access.host, token, wanted)
        return {
            "token": token,
            "ca_hash": ca_hash(Path("/etc/kubernetes/pki/ca.crt").read_text(encoding="ascii")),
            "certificate_key": _upload_certificates(api, access.host) if wanted["control_plane"] else "",
            "address": access.host,
            "problem": "",
        }
    except HostError as error:
        return {"problem": "; ".join([error.message, *error.lines[-4:]])}


def _renew_cluster_info(api: Api, address: str, token: str, wanted: dict[str, Any]) -> None:
    """Let kubeadm publish the cluster's CA and address again, where that is gone; it wants a token for it, too."""
    found = api.get(_CLUSTER_INFO)
    if found is not None and found.get("data", {}).get("kubeconfig"):
        return
    ours = {
        "token": token,
        "ttl": f"{wanted['seconds']}s",
        "description": f"provision {wanted['purpose']}",
        "usages": ["signing", "authentication"],
        "groups": [GROUP],
    }
    phase = ["bootstrap-token", f"--kubeconfig={_ADMIN}", "--skip-token-print"]
    _kubeadm_phase(api, address, phase, {"bootstrapTokens": [ours]})


def _upload_certificates(api: Api, address: str) -> str:
    """Let kubeadm put the certificates, encrypted, into the cluster; returns the key to them."""
    key = secrets.token_hex(32)
    phase = ["upload-certs", "--upload-certs", "--skip-certificate-key-print"]
    _kubeadm_phase(api, address, phase, {"certificateKey": key})
    return key


def _kubeadm_phase(api: Api, address: str, phase: list[str], settings: dict[str, Any]) -> None:
    """Run a phase of kubeadm init as this cluster was configured; `settings` go into the InitConfiguration."""
    documents = phase_documents(api, address, **settings)
    with exclusive(phase[0], wait=_WAIT) as lock:
        kubeadm(["init", "phase", *phase], documents, lock=lock, name=phase[0])


if __name__ == "__main__":
    run_module(
        {
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "purpose": {"type": "str", "required": True},
            "seconds": {"type": "int", "default": 900},
            "smoke_test_pending": {"type": "bool", "default": False},
            "control_plane": {"type": "bool", "default": False},
        },
        provide,
    )
