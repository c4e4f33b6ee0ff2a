"""Everything about one host as one JSON document on standard output. Changes nothing, starts no program.

The document stands between two marker lines, because a login shell may print greetings around it. A part
that fails does not hide the others: its error is in `problems`.
"""

from __future__ import annotations

import json
import sys
import time

from provision.providers.kubeadm.probe.api import api
from provision.providers.kubeadm.probe.etcd import etcd
from provision.providers.kubeadm.probe.kernel import kernel
from provision.providers.kubeadm.probe.kubernetes import kubernetes
from provision.providers.kubeadm.probe.machine import machine
from provision.providers.kubeadm.probe.network import network
from provision.providers.kubeadm.probe.software import software

TYPE_CHECKING = False  # importing `typing` costs 20 ms on a small machine
if TYPE_CHECKING:
    from collections.abc import Callable

BEGIN, END = "--- provision probe ---", "--- end of provision probe ---"


def document(root: str, *, modules: list[str], sysctls: list[str], ports: list[int]) -> dict[str, object]:
    """What the host whose files lie below `root` ("" for a real one) is like."""
    found: dict[str, object] = {"time": time.time()}
    problems = {}
    parts: dict[str, Callable[[], object]] = {
        "machine": lambda: machine(root),
        "kernel": lambda: kernel(root, modules, sysctls),
        "network": lambda: network(root, ports),
        "software": lambda: software(root),
        "kubernetes": lambda: kubernetes(root),
        "api": lambda: api(root),
        "etcd": lambda: etcd(root),
    }
    for name, look in parts.items():
        try:
            found[name] = look()
        except Exception as error:  # noqa: BLE001 - whatever it is, the other parts still count
            trace = error.__traceback__
            while trace is not None and trace.tb_next is not None:
                trace = trace.tb_next
            where = " in line " + str(trace.tb_lineno) if trace else ""
            problems[name] = type(error).__name__ + ": " + str(error) + where
    found["problems"] = problems
    return found


def main() -> None:
    wanted = json.loads(sys.argv[1])
    answer = json.dumps(document("", **wanted), separators=(",", ":"))
    sys.stdout.write("\n" + BEGIN + "\n" + answer + "\n" + END + "\n")
