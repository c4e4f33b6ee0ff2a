"""The probe: writes the facts of one host as one JSON document. Changes nothing, starts no program.

provision/providers/kubeadm/host_programs.py packs this module with those that it imports. A part that fails does
not hide the others: its error is in `problems`.
"""

from __future__ import annotations

import json
import os
import sys
import time

from ansible.module_utils.provision_kernel import kernel
from ansible.module_utils.provision_kubernetes import kubernetes
from ansible.module_utils.provision_netfilter import firewall
from ansible.module_utils.provision_network import network
from ansible.module_utils.provision_software import software
from ansible.module_utils.provision_system import machine

TYPE_CHECKING = False  # importing `typing` costs 20 ms on a small machine
if TYPE_CHECKING:
    from collections.abc import Callable

# One of these files exists on every control plane, even after a join or a reset that was cut off.
_CONTROL_PLANE = (
    "/etc/kubernetes/admin.conf",
    "/etc/kubernetes/manifests/kube-apiserver.yaml",
    "/etc/kubernetes/manifests/etcd.yaml",
)


def document(root: str, *, modules: list[str], sysctls: list[str], ports: list[int]) -> dict[str, object]:
    """The facts of the host whose files lie below `root` ("" for a real one)."""
    found: dict[str, object] = {"time": time.time()}
    problems = {}
    parts: dict[str, Callable[[], object]] = {
        "machine": lambda: machine(root),
        "kernel": lambda: kernel(root, modules, sysctls),
        "network": lambda: network(root, ports),
        "firewall": lambda: firewall(root),
        "software": lambda: software(root),
        "kubernetes": lambda: kubernetes(root),
        "api": lambda: _of_cluster("api", root),
        "etcd": lambda: _of_cluster("etcd", root),
    }
    for name, gather in parts.items():
        try:
            found[name] = gather()
        except Exception as error:  # noqa: BLE001 - the other parts are wanted in any case
            trace = error.__traceback__
            while trace is not None and trace.tb_next is not None:
                trace = trace.tb_next
            where = " in line " + str(trace.tb_lineno) if trace else ""
            problems[name] = type(error).__name__ + ": " + str(error) + where
    found["problems"] = problems
    return found


def _of_cluster(part: str, root: str) -> object:
    """A part of provision_cluster; None on a host without control plane, which is spared compiling the clients."""
    if not any(os.path.exists(root + path) for path in _CONTROL_PLANE):
        return None
    from ansible.module_utils import provision_cluster  # noqa: PLC0415 - see above

    return getattr(provision_cluster, part)(root)


def main(begin: str, end: str) -> None:
    """Write the document between the lines `begin` and `end`, because a login shell may print greetings around it."""
    wanted = json.loads(sys.argv[1])
    answer = json.dumps(document("", **wanted), separators=(",", ":"))
    sys.stdout.write(f"\n{begin}\n{answer}\n{end}\n")
