"""Comparable state of a host: with its own earlier state, or with that of other hosts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from provision.lab.state import lab_directory

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .lab_cluster import LabCluster

# Configuration files: owner, group, mode, and hashes of the content as it is and with the host's own name and address
# replaced, which is equal on two hosts with the same configuration.
_FILES = r"""
import hashlib, json, os, socket, sys
found = {}
for top in ("/etc", "/usr/local"):
    for directory, _, names in os.walk(top):
        for path in (os.path.join(directory, name) for name in names):
            if os.path.islink(path) or not os.path.isfile(path):
                continue
            with open(path, "rb") as file:
                text = file.read()
            own = text.replace(socket.gethostname().encode(), b"NAME").replace(sys.argv[1].encode(), b"ADDRESS")
            status = os.stat(path)
            hashes = [hashlib.sha256(each).hexdigest() for each in (text, own)]
            found[path] = [status.st_uid, status.st_gid, oct(status.st_mode), *hashes]
print(json.dumps(found))
"""
# Files of Kubernetes; packages; units; swap; sysctls that provision sets.
_REST = r"""
set -e
sudo find /etc/kubernetes /var/lib/provision /var/lib/kubelet -maxdepth 2 ! -path '*/pods/*' ! -path '*plugin*' \
  ! -path '*/checkpoints*' ! -path '*/device-plugins*' ! -path '*/pki/kubelet-client-*' -printf '%p %y\n' | sort
dpkg-query --show --showformat='${Package} ${Version} ${Status}\n'
systemctl list-unit-files --no-legend --state=enabled,masked | sort
cut -d' ' -f1 /proc/swaps
sudo sysctl --all 2>/dev/null | grep -E '^net\.(ipv4\.ip_forward|bridge\.\S+) '
"""
# Running programs. A scheduler or controller manager that lost its lease restarts after a while.
_PROGRAMS = r"""
ps -eo comm= | grep -E '^(kube|containerd$)' | sort
"""
# Directories that only a node of a cluster has.
_NODE = (
    "/etc/kubernetes /etc/containerd /var/lib/etcd /var/lib/kubelet /var/lib/containerd /var/lib/provision"
)
# Keys and credentials, which differ each time they are created.
_CREDENTIALS = (
    "/etc/machine-id",
    "/etc/cni/net.d/calico-kubeconfig",
    "/etc/kubernetes/pki/",
    *(
        f"/etc/kubernetes/{name}.conf"
        for name in ("admin", "super-admin", "controller-manager", "kubelet", "scheduler")
    ),
)
# Files that differ between control planes: credentials, and the etcd members at the time of the join.
_PER_HOST = (*_CREDENTIALS, "/etc/ssh/ssh_host_", "/etc/kubernetes/manifests/etcd.yaml")
# Only on the first control plane; with another mode after `kubeadm init` than after `join`; only where snapshots were
# saved.
_NOT_ON_ALL = ("/etc/kubernetes/super-admin.conf", "/etc/kubernetes/pki/sa.pub", "/var/lib/provision/etcd")


def state(cluster: LabCluster, host: str) -> list[str]:
    """State of the host as lines, without keys and credentials, for comparison with a later state."""
    files = _files(cluster, host).items()
    lines = [
        f"{path} {' '.join(map(str, facts[:4]))}"
        for path, facts in files
        if not path.startswith(_CREDENTIALS)
    ]
    return lines + cluster.on(host, _REST + _PROGRAMS).splitlines()


def after_reset(lines: Iterable[str]) -> list[str]:
    """A state without what a reset leaves until the next boot: sysctls of kernel modules (docs/reset.md)."""
    return [line for line in lines if not line.startswith("net.bridge.")]


def assert_same_configuration(cluster: LabCluster, hosts: Iterable[str]) -> None:
    """Assert that control planes differ only in names and keys, whether initialised or joined."""
    first, *others = hosts
    expected, files = _in_common(cluster, first)
    for host in others:
        found, own_files = _in_common(cluster, host)
        assert found == expected, host
        assert own_files.keys() == files.keys(), host
        assert [path for path in own_files if not _same(path, own_files[path], files[path])] == [], host


def assert_no_cluster_files(cluster: LabCluster, hosts: Iterable[str]) -> None:
    """Assert that no files of a cluster are left on the hosts."""
    for host in hosts:
        assert cluster.on(host, f"ls -d {_NODE} 2>/dev/null || true") == "", host


def _files(cluster: LabCluster, host: str) -> dict[str, list[Any]]:
    lab = lab_directory(cluster.name).load()
    assert lab is not None
    output = cluster.on(host, f"sudo python3 - {lab.machine(host).address} <<'END'\n{_FILES}\nEND")
    return dict(json.loads(output))


def _in_common(cluster: LabCluster, host: str) -> tuple[list[str], dict[str, list[Any]]]:
    rest = cluster.on(host, _REST).splitlines()
    return (
        [line for line in rest if not line.startswith(_NOT_ON_ALL)],
        {path: facts for path, facts in _files(cluster, host).items() if path not in _NOT_ON_ALL},
    )


def _same(path: str, one: list[Any], other: list[Any]) -> bool:
    """Compare owner, group, mode, and the content unless it differs by design."""
    is_same = path.startswith(_PER_HOST) or one[3] == other[3] or one[4] == other[4]
    return one[:3] == other[:3] and is_same
