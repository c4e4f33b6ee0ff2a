"""Run kubeadm join on a host: once, and again after an interruption."""

from __future__ import annotations

import random
import re
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.provision_api import Api
from ansible.module_utils.provision_api_connection import Credentials, credentials
from ansible.module_utils.provision_etcd import (
    Etcd,
    matching,
    retried,
    wait_until_healthy,
)
from ansible.module_utils.provision_etcd_connection import has_certificates, own_host
from ansible.module_utils.provision_host import Changes, HostError, read, run
from ansible.module_utils.provision_http import host_and_port
from ansible.module_utils.provision_kubeadm import (
    PREFLIGHT,
    begin,
    ca_hash,
    enable_kubelet,
    end,
    kubeadm,
    marker,
    reset,
)
from ansible.module_utils.provision_kubeconfig import give_kubeconfig
from ansible.module_utils.provision_lock import JOIN_ENDS, exclusive
from ansible.module_utils.provision_module import run_module

DOCUMENTATION = r"""
module: kubeadm_join
short_description: Join a host to a cluster
description:
  - Runs kubeadm join unless this host is a node already. A join that was cut off, or whose node is gone from the
    cluster, is undone and started again. A host of another cluster is refused.
  - A control plane has joined when etcd is healthy with its member. Where etcd did not take the member in time, its
    member is removed, the host is reset, and the join is tried once more.
  - A host whose join fails soon, for a reason that may pass (an API server that many hosts ask at once), is reset
    and tried again: a control plane once, a worker twice.
options:
  config: {description: JoinConfiguration without discovery, type: dict, required: true}
  endpoint: {description: "host:port of the API server that clients use", type: str, required: true}
  token: {description: Bootstrap token, type: str, required: true}
  ca_hash: {description: The only CA that is accepted, type: str, required: true}
  certificate_key: {description: Key to the uploaded certificates, type: str, default: ""}
  control_plane: {description: Join as a further control plane, type: bool, default: false}
  etcd: {description: Address of a healthy control plane's etcd, type: str, default: ""}
  spread: {description: "Wait up to so many seconds first, by chance: hosts come apart", type: float, default: 0}
  login_user: {description: "User who gets a kubeconfig on a control plane; empty: none", type: str, default: ""}
author: provision
"""

_WAIT = 900  # seconds for a join that another run has begun
_TRIES = {True: 2, False: 3}  # of a control plane, of a worker
_SOON = 120  # seconds: kubeadm itself waits for minutes, and what failed after that does not pass
_PAUSE = 10  # seconds before another try that the API server may take, and by chance up to as much more
# Seconds until etcd is healthy with its new member; it was seconds on an idle machine, a minute on a busy one.
_HEALTHY = 300
_RETRY = 60  # seconds in which etcd may refuse to let a member go
_ETCD_FAILED = re.compile(r"etcd|learner")
_MAY_PASS = re.compile(
    r"[Tt]im(?:ed out|eout)|deadline exceeded|connection (?:refused|reset)|[Tt]oo many requests|etcdserver"
    r"|unexpected EOF|TLS handshake|JWS signature|InternalError|ServiceUnavailable"
)
_KUBELET_CONFIG = Path("/etc/kubernetes/kubelet.conf")
_KUBELET_IDENTITY = Path("/var/lib/kubelet/pki/kubelet-client-current.pem")  # certificate and key
_AUTHORITY = Path("/etc/kubernetes/pki/ca.crt")
_BOOTSTRAP_CONFIG = Path("/etc/kubernetes/bootstrap-kubelet.conf")  # holds the token while a join runs


def join(wanted: dict[str, Any], changes: Changes) -> None:
    name = wanted["config"].get("nodeRegistration", {}).get("name") or _host_name()
    if changes.dry:
        if not _KUBELET_CONFIG.exists() or marker("join").exists():
            changes.make("ran kubeadm join", lambda: None)
        return
    with exclusive("join", wait=_WAIT, end_after=JOIN_ENDS) as lock:
        _refuse_another_cluster(wanted["ca_hash"])
        if _is_cut_off(wanted, name):
            changes.make("undid a kubeadm join that was cut off", lambda: _undo(wanted, name, lock))
        if not _KUBELET_CONFIG.exists():
            _join_at_last(wanted, name, changes, lock)
        if wanted["control_plane"]:
            wait_until_healthy(Etcd("127.0.0.1"), _HEALTHY, names=[name])
        _BOOTSTRAP_CONFIG.unlink(missing_ok=True)
        enable_kubelet()
        if wanted["control_plane"]:
            give_kubeconfig(wanted["login_user"], changes)
        end("join")


def join_configuration(wanted: dict[str, Any]) -> dict[str, Any]:
    """The whole JoinConfiguration; it holds secrets."""
    discovery = {
        "bootstrapToken": {
            "apiServerEndpoint": wanted["endpoint"],
            "token": wanted["token"],
            "caCertHashes": [wanted["ca_hash"]],
        }
    }
    whole = {**wanted["config"], "discovery": discovery}
    if wanted["control_plane"]:
        whole["controlPlane"] = {
            **(wanted["config"].get("controlPlane") or {}),
            "certificateKey": wanted["certificate_key"],
        }
    return whole


def _is_cut_off(wanted: dict[str, Any], name: str) -> bool:
    """Whether an earlier join has to be undone.

    A worker with kubelet.conf and a Node has all that a join gives, even if the marker is still there. For a
    control plane the kubelet comes before etcd and the labels, so there the marker counts. Without a Node the
    kubelet would have to register again, which it is not allowed to after its Node was deleted.
    """
    started: bool = marker("join").exists()
    if not _KUBELET_CONFIG.exists():
        return started
    if not read(_KUBELET_CONFIG) or not read(_AUTHORITY):
        return True  # the power went before they were on the disk
    return (started and bool(wanted["control_plane"])) or not _is_registered(wanted["endpoint"], name)


def _is_registered(endpoint: str, name: str) -> bool:
    """Ask the cluster for this host's Node, as its kubelet."""
    identity = read(_KUBELET_IDENTITY)
    if identity is None:
        return False
    authority = read(_AUTHORITY) or ""
    access = Credentials(*host_and_port(endpoint), authority.encode(), identity.encode(), b"")
    return Api(access).get(f"/api/v1/nodes/{name}") is not None


def _refuse_another_cluster(expected: str) -> None:
    authority = read(_AUTHORITY)
    if not authority or not _KUBELET_CONFIG.exists() or ca_hash(authority) == expected:
        return
    raise HostError(
        "this host is a node of another cluster (its CA differs): `kubeadm reset` takes it out of that one, "
        "if it is not needed there"
    )


def _undo(wanted: dict[str, Any], name: str, lock: int) -> None:
    if wanted["control_plane"] and Path("/etc/kubernetes/admin.conf").exists():
        _delete_node(wanted["endpoint"], name)
    if wanted["control_plane"] and wanted["etcd"]:
        leave_etcd(wanted["etcd"], name)
    if not marker("join").exists():
        begin_again()
    reset("join", lock=lock)


def begin_again() -> None:
    """Mark the host before its reset, so that a reset that is cut off is known as one."""
    marker("join").parent.mkdir(parents=True, exist_ok=True)
    marker("join").write_text("kubeadm join has to be undone\n", encoding="ascii")


def leave_etcd(through: str, name: str, *, root: Path = Path("/")) -> None:
    """Remove this host's member before its data go: as a voter without data it would count in every majority.

    kubeadm's own reset does it only where it still finds its configuration in the cluster, which it does not for a
    join that ended in etcd; and a later join takes a member that is still announced for its own.
    """
    if not has_certificates(root):
        return  # so no member was announced
    etcd = Etcd(through, root=root)

    def leave() -> None:
        for member in matching(etcd.members(), name=name, address=own_host(root)):
            etcd.remove(member)

    retried(leave, _RETRY)


def _delete_node(endpoint: str, name: str) -> None:
    # kubeadm refuses to join while a Node of this name counts as Ready, which lasts 40 s after its kubelet stops.
    host, port = host_and_port(endpoint)
    access = credentials()._replace(host=host, port=port)
    run(["systemctl", "stop", "kubelet.service"])
    Api(access).delete(f"/api/v1/nodes/{name}")


def _join_at_last(wanted: dict[str, Any], name: str, changes: Changes, lock: int) -> None:
    """Join; again where etcd or the API server did not take the host because their machines are busy."""
    further = bool(wanted["control_plane"])
    time.sleep(random.uniform(0, wanted["spread"]))  # noqa: S311  (nothing secret about it)
    for tries_left in reversed(range(_TRIES[further])):
        started = time.monotonic()
        try:
            changes.make("ran kubeadm join", lambda: _join(wanted, lock))
        except HostError as error:
            in_etcd = further and _ETCD_FAILED.search(error.message) is not None
            if not tries_left or not (in_etcd or may_pass(error, started)):
                raise
            where = "failed in etcd" if in_etcd else "failed soon"
            changes.make(f"undid a kubeadm join that {where}", lambda: _undo(wanted, name, lock))
            time.sleep(0 if in_etcd else random.uniform(_PAUSE, 2 * _PAUSE))  # noqa: S311
        else:
            return


def may_pass(error: HostError, started: float) -> bool:
    """Whether another try may do better; what kubeadm's preflight checks found stays as it is."""
    said = "\n".join([error.message, *error.lines])
    soon = time.monotonic() - started < _SOON
    # kubeadm also fetches its configuration in the phase preflight: a time-out there is no finding of a check.
    return soon and not error.message.startswith(PREFLIGHT) and _MAY_PASS.search(said) is not None


def _join(wanted: dict[str, Any], lock: int) -> None:
    begin("join")
    if wanted["control_plane"]:
        # From here on its etcd counts: after a reboot in the middle the kubelet has to bring it back.
        enable_kubelet()
    kubeadm(["join"], [join_configuration(wanted)], lock=lock)


def _host_name() -> str:
    return (read(Path("/proc/sys/kernel/hostname")) or "").strip().lower()


if __name__ == "__main__":
    run_module(
        {
            "config": {"type": "dict", "required": True},
            "endpoint": {"type": "str", "required": True},
            "token": {"type": "str", "required": True, "no_log": True},
            "ca_hash": {"type": "str", "required": True},
            "certificate_key": {"type": "str", "default": "", "no_log": True},
            "control_plane": {"type": "bool", "default": False},
            "etcd": {"type": "str", "default": ""},
            "spread": {"type": "float", "default": 0},
            "login_user": {"type": "str", "default": ""},
        },
        join,
    )
