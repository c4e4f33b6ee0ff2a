"""The kubelet of a node gets another container runtime, and the former one leaves."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ansible.module_utils.provision_cri import RUNTIMES, leaving, remove_runtime, stop
from ansible.module_utils.provision_host import Changes, HostError, Run, atomic_write, read, run
from ansible.module_utils.provision_kubernetes import runtime_endpoint
from ansible.module_utils.provision_lock import exclusive
from ansible.module_utils.provision_module import run_module
from ansible.module_utils.provision_pods import stop_pods
from ansible.module_utils.provision_record import Record

DOCUMENTATION = r"""
module: runtime_change
short_description: Change the container runtime of a node
description:
  - C(begun) returns whether the change is C(pending), and marks the node until it has C(finished).
  - C(changed) stops the kubelet, ends the pods of the former runtime, stops that if it came with this tool, writes the
    other socket into the kubelet's configuration and starts the kubelet.
  - C(finished) removes runtimes that came with this tool and are not used any more.
  - The node must be drained before C(changed). Each state is reached again by what an interruption has left.
options:
  to: {description: Container runtime that is wanted, type: str, choices: [containerd, crio], required: true}
  state: {description: How far, type: str, choices: [begun, changed, finished], required: true}
author: provision
"""

# Seen by the probe, so that an interrupted change is continued.
MARKER = Path("var/lib/provision/runtime-change")
_KUBELET = Path("var/lib/kubelet")
_FILES = ("instance-config.yaml", "config.yaml", "kubeadm-flags.env")
_ENDPOINT = re.compile(r"(containerRuntimeEndpoint: [\"']?|--container-runtime-endpoint=)[^\s\"']+")
_WAIT = 900  # seconds for another run's change


def provide(
    wanted: dict[str, Any], changes: Changes, *, root: Path = Path("/"), run: Run = run
) -> dict[str, Any]:
    """Return `pending`: the kubelet still uses another runtime. HostError on a host that is no node."""
    changes.record = None  # the kubelet's files are kubeadm's: a reset removes them
    endpoint = runtime_endpoint(str(root).rstrip("/"))
    if not endpoint:
        raise HostError("this host is no node: its kubelet has no container runtime to change")
    pending = endpoint != RUNTIMES[wanted["to"]].socket
    if wanted["state"] == "begun" and pending and not changes.dry:
        atomic_write(root / MARKER, f"to {wanted['to']}\n")
    if wanted["state"] == "changed":
        _change(wanted["to"], endpoint, changes, root, run)
        pending = False
    if wanted["state"] == "finished":
        _finish(wanted["to"], changes, root, run)
    return {"pending": pending}


def _change(name: str, former: str, changes: Changes, root: Path, run: Run) -> None:
    stop("kubelet.service", changes, run, for_good=False)
    if former != RUNTIMES[name].socket:
        _end_sandboxes(former, changes, run)
    stop_pods(changes, root=root)
    gone = leaving(Record("files", root=root), root)
    for runtime in RUNTIMES.values():
        if runtime in gone and runtime is not RUNTIMES[name]:
            stop(runtime.service, changes, run, for_good=True)
    for file in _FILES:
        path = root / _KUBELET / file
        text = read(path)
        if text is not None:
            changes.file(path, _ENDPOINT.sub(rf"\g<1>{RUNTIMES[name].socket}", text))
    changes.make("started kubelet.service", lambda: run(["systemctl", "start", "kubelet.service"]))


def _end_sandboxes(socket: str, changes: Changes, run: Run) -> None:
    """Remove the pods of a runtime in order, so that their addresses are given back; the API server's pod last."""
    crictl = ["crictl", f"--runtime-endpoint={socket}", "--timeout=60s"]
    listed = run([*crictl, "pods", "--quiet"], check=False)
    system = set(run([*crictl, "pods", "--quiet", "--namespace=kube-system"], check=False).out.split())
    pods = sorted(listed.out.split(), key=lambda pod: pod in system)
    if pods:
        # What cannot be removed is killed afterwards.
        changes.make(
            f"removed {len(pods)} pods from the former runtime",
            lambda: [run([*crictl, "rmp", "--force", pod], timeout=120, check=False) for pod in pods],
        )


def _finish(name: str, changes: Changes, root: Path, run: Run) -> None:
    record = Record("files", root=root)
    gone = leaving(record, root)
    for other, runtime in RUNTIMES.items():
        if other != name and runtime in gone:
            remove_runtime(other, changes, record, root=root, run=run)
    marker = root / MARKER
    if marker.exists() and not changes.dry:
        marker.unlink()


def main(wanted: dict[str, Any], changes: Changes) -> dict[str, Any]:
    """Run one change at a time on this host."""
    with exclusive("runtime", wait=_WAIT):
        return provide(wanted, changes)


if __name__ == "__main__":
    run_module(
        {
            "to": {"type": "str", "choices": ["containerd", "crio"], "required": True},
            "state": {"type": "str", "choices": ["begun", "changed", "finished"], "required": True},
        },
        main,
    )
