"""The kubelet of a node gets another container runtime, and the former one leaves."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ansible.module_utils.provision_cri import RUNTIMES, is_active, remove_others, stop, stop_others
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
  - C(stopped) stops the kubelet and ends the pods, so that the runtime can be upgraded before it is C(changed).
  - C(changed) stops the kubelet, ends the pods of the former runtime, stops that if it came with this tool, writes the
    other socket and the flags that go with it into the kubelet's configuration and starts the kubelet.
  - C(finished) removes runtimes that came with this tool and are not used any more.
  - The node must be drained before C(changed). Each state is reached again by what an interruption has left.
options:
  to: {description: Container runtime that is wanted, type: str, choices: [containerd, crio, docker], required: true}
  flags: {description: Flags that a kubelet has with a certain runtime alone, by runtime, type: dict, default: {}}
  upgrade: {description: Whether the runtime stays and gets another version, type: bool, default: false}
  state: {description: How far, type: str, choices: [begun, stopped, changed, finished], required: true}
author: provision
"""

# Seen by the probe, so that an interrupted change is continued.
MARKER = Path("var/lib/provision/runtime-change")
_KUBELET = Path("var/lib/kubelet")
_FLAGS = "kubeadm-flags.env"
# The one that tells which runtime is in use comes last: a change that was cut off before it begins again.
_FILES = ("config.yaml", _FLAGS, "instance-config.yaml")
_ARGUMENTS = re.compile(r'^KUBELET_KUBEADM_ARGS="(.*)"$', re.MULTILINE)
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
    started = is_active("kubelet.service", run) or not (root / MARKER).exists()
    pending = endpoint != RUNTIMES[wanted["to"]].socket or wanted["upgrade"] or not started
    if wanted["state"] == "begun" and pending and not changes.dry:
        atomic_write(root / MARKER, f"to {wanted['to']}\n")
    if wanted["state"] == "stopped":
        _stop(endpoint, changes, root, run)
    if wanted["state"] == "changed":
        _change(wanted, endpoint, changes, root, run)
        pending = False
    if wanted["state"] == "finished":
        remove_others(wanted["to"], changes, Record("files", root=root), root=root, run=run)
        marker = root / MARKER
        if marker.exists() and not changes.dry:
            marker.unlink()
    return {"pending": pending}


def _change(wanted: dict[str, Any], former: str, changes: Changes, root: Path, run: Run) -> None:
    name = wanted["to"]
    if former != RUNTIMES[name].socket:
        _stop(former, changes, root, run)
    stop_others(name, changes, Record("files", root=root), root=root, run=run)
    for file in _FILES:
        path = root / _KUBELET / file
        text = read(path)
        if file == _FLAGS:
            text = _with_flags(text, wanted["flags"], name)
        if text is not None:
            changes.file(path, _ENDPOINT.sub(rf"\g<1>{RUNTIMES[name].socket}", text))
    changes.make("started kubelet.service", lambda: run(["systemctl", "start", "kubelet.service"]))


def _stop(socket: str, changes: Changes, root: Path, run: Run) -> None:
    """Stop the kubelet and everything that runs in its runtime."""
    stop("kubelet.service", changes, run, for_good=False)
    _end_sandboxes(socket, changes, run)
    stop_pods(changes, root=root)


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


def _with_flags(text: str | None, flags: dict[str, list[str]], name: str) -> str | None:
    """The kubelet's flags as kubeadm writes them, with those of this runtime and without those of the others."""
    own = flags.get(name, [])
    found = _ARGUMENTS.search(text or "")
    if found is None:
        return f'{text or ""}KUBELET_KUBEADM_ARGS="{" ".join(own)}"\n' if own else text
    every = {flag for each in flags.values() for flag in each}
    arguments = [*(one for one in found[1].split() if one not in every), *own]
    line = f'KUBELET_KUBEADM_ARGS="{" ".join(arguments)}"'
    return found.string[: found.start()] + line + found.string[found.end() :]


def main(wanted: dict[str, Any], changes: Changes) -> dict[str, Any]:
    """Run one change at a time on this host."""
    with exclusive("runtime", wait=_WAIT):
        return provide(wanted, changes)


if __name__ == "__main__":
    run_module(
        {
            "to": {"type": "str", "choices": ["containerd", "crio", "docker"], "required": True},
            "flags": {"type": "dict", "default": {}},
            "upgrade": {"type": "bool", "default": False},
            "state": {
                "type": "str",
                "choices": ["begun", "stopped", "changed", "finished"],
                "required": True,
            },
        },
        main,
    )
