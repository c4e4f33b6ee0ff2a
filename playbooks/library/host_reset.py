"""A host as it was before us: out of the cluster, nothing of Kubernetes left, our preparation undone."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.module_utils.provision_balancer import KINDS
from ansible.module_utils.provision_cri import RUNTIMES, give_back, leaving, remove_group, stop, stop_runtimes
from ansible.module_utils.provision_firewall import remove_rules
from ansible.module_utils.provision_host import (
    PATH,
    RUN_DIRECTORY,
    Changes,
    Run,
    atomic_write,
    run,
)
from ansible.module_utils.provision_kubeadm import LIMIT, cri_socket
from ansible.module_utils.provision_kubeconfig import take_kubeconfigs_back
from ansible.module_utils.provision_links import remove_links, remove_namespaces, remove_routes
from ansible.module_utils.provision_lock import JOIN_ENDS, exclusive
from ansible.module_utils.provision_module import run_module
from ansible.module_utils.provision_openings import close_firewall
from ansible.module_utils.provision_packages import leaving as leaving_packages, remove
from ansible.module_utils.provision_places import PLACES, sweep, unmount_below
from ansible.module_utils.provision_pods import stop_pods
from ansible.module_utils.provision_record import Record
from ansible.module_utils.provision_redhat import forbid, give_network_back
from ansible.module_utils.provision_restore import (
    remove_directories,
    restore_files,
    restore_hostname,
    restore_swap,
    restore_sysctls,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ansible.module_utils.provision_cri import Runtime

DOCUMENTATION = r"""
module: host_reset
short_description: Take a host out of its cluster and undo everything that was done to it
description:
  - Ends pods, resets kubeadm, removes what Kubernetes, Calico and the runtime left, the packages and repositories
    that came with us, and puts back from /var/lib/provision/before what host preparation has changed.
  - Firewall rules, packages, interfaces and files of others stay. It can be cut off anywhere and run again.
options:
  pod_cidr: {description: "Range of the pods: routes and rules to it are ours", type: str, required: true}
  service_cidr: {description: "Range of the services: virtual servers in it are ours", type: str, required: true}
author: provision
"""

_STATE = Path("var/lib/provision")
_MARKER = _STATE / "reset-started"  # seen by the probe: a host that is half reset is no use to anybody
_WAIT = 900  # seconds for a reset, an init or a join that another run has begun


def reset(wanted: dict[str, Any], changes: Changes, *, root: Path = Path("/"), run: Run = run) -> None:
    """Bring the host below `root` back to what it was before us."""
    kubernetes_to_its_end(wanted, changes, root, run)
    software_to_its_end(changes, root, run)
    preparation_undone(changes, root, run)


def kubernetes_to_its_end(wanted: dict[str, Any], changes: Changes, root: Path, run: Run) -> None:
    """Pods, kubeadm's files, network and firewall rules."""
    record = Record("host_prepare", root=root)
    packages = Record("files", root=root)
    take_kubeconfigs_back(changes, root=root)
    for services in KINDS.values():
        for service in reversed(services):
            stop(service.unit, changes, run, for_good=True)
    stop("kubelet.service", changes, run, for_good="kubelet" in leaving_packages(packages, root))
    # Without the runtime nothing tells Calico's plug-in that a pod goes: it would ask an API server that may be dead.
    gone = leaving(packages, root)
    stop_runtimes(changes, packages, root=root, run=run)
    stop_pods(changes, root=root)
    places = [root / place for place in _places(gone)]
    unmount_below(places, changes, root=root, run=run)
    _reset_kubeadm(record, changes, root, run)
    remove_namespaces(changes, root=root, run=run)
    docker = RUNTIMES["docker"] in gone
    remove_links(changes, root=root, run=run, docker_leaves=docker)
    remove_routes(wanted["pod_cidr"], changes, run=run)
    remove_rules(wanted["pod_cidr"], wanted["service_cidr"], changes, run=run, docker_leaves=docker)
    close_firewall(changes, root=root, run=run)


def software_to_its_end(changes: Changes, root: Path, run: Run) -> None:
    """Packages that came with us and their files; what Kubernetes kept in a runtime that stays."""
    record = Record("host_prepare", root=root)
    packages = Record("files", root=root)
    gone = leaving(packages, root)
    remove(changes, packages, root=root, run=run)
    restore_files(packages.noted("files"), changes, root=root, written=packages.noted("written"))
    listings = record.noted("listings")
    sweep([root / place for place in _places(gone)], listings, changes, root=root)
    if RUNTIMES["docker"] in gone:
        remove_group(record.noted("groups"), changes, run=run)
    give_back(changes, packages, root=root, run=run)


def preparation_undone(changes: Changes, root: Path, run: Run) -> None:
    """Names, modules, sysctls and swap as the record has them; then the record itself goes."""
    record = Record("host_prepare", root=root)
    written = Record("files", root=root)
    files = {**written.noted("files"), **record.noted("files")}
    restore_files(files, changes, root=root, written=written.noted("written"))
    directories = {**written.noted("directories"), **record.noted("directories")}
    remove_directories(directories, changes)
    give_network_back(files, changes, record, root=root, run=run)
    forbid(changes, written, root=root, run=run)
    restore_sysctls(record.noted("sysctls"), changes, root=root)
    restore_hostname(record.noted("hostname").get("kernel", ""), changes)
    if not changes.dry:
        run(["systemctl", "daemon-reload"])
    units = [Path(name).name for name in files if name.endswith((".swap", ".service"))]
    restore_swap(record.noted("swaps"), units, changes, root=root, run=run)
    if (root / _STATE).exists():
        changes.make(f"removed /{_STATE}", lambda: shutil.rmtree(root / _STATE))


def _places(gone: Iterable[Runtime]) -> tuple[str, ...]:
    return (*PLACES, *(place for runtime in gone for place in runtime.places))


def _reset_kubeadm(record: Record, changes: Changes, root: Path, run: Run) -> None:
    """Let kubeadm undo what it did, where it is there. What it leaves, or fails at, is swept afterwards."""
    signs = ("etc/kubernetes/*.conf", "etc/kubernetes/manifests/*.yaml", "var/lib/kubelet/config.yaml")
    if shutil.which("kubeadm", path=PATH) is None or not any(any(root.glob(sign)) for sign in signs):
        return
    # Neither the API server nor the runtime is asked: both may be gone, and waiting for them takes minutes.
    argv = [
        "kubeadm",
        "reset",
        "--force",
        f"--cri-socket={cri_socket(root)}",
        f"--kubeconfig={RUN_DIRECTORY}/none",
    ]
    if record.noted("listings").get(str(root / "etc/kubernetes/pki")):
        argv.append(f"--cert-dir={RUN_DIRECTORY}/no-certificates")  # those that were there before stay
    changes.make("ran kubeadm reset", lambda: run(argv, timeout=LIMIT, check=False))


def provide(wanted: dict[str, Any], changes: Changes) -> None:
    """Reset this host, once at a time. Nothing is recorded of it: the record goes at the end."""
    changes.record = None
    if changes.dry:
        reset(wanted, changes)
        return
    with (
        exclusive("init", wait=_WAIT),
        exclusive("join", wait=_WAIT, end_after=JOIN_ENDS),
        exclusive("reset", wait=_WAIT),
    ):
        if not (Path("/") / _MARKER).exists():
            atomic_write(Path("/") / _MARKER, "a reset was begun\n")
        reset(wanted, changes)
        for path in RUN_DIRECTORY.glob("*"):
            if not path.name.startswith("lock-") and path.is_file():
                path.unlink()


if __name__ == "__main__":
    run_module(
        {
            "pod_cidr": {"type": "str", "required": True},
            "service_cidr": {"type": "str", "required": True},
        },
        provide,
    )
