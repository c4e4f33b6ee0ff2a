"""What a host is, so far as it can be compared: with what it was, and with others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from provision.lab.state import lab_directory

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .rig import Rig

# Every file that configures something: owner, group, mode, and hashes of what it says as it is and without the host's
# own names, which two hosts may have in common.
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
# What there is for Kubernetes; packages; units; swap; sysctls of ours.
_REST = r"""
set -e
sudo find /etc/kubernetes /var/lib/provision /var/lib/kubelet -maxdepth 2 ! -path '*/pods/*' ! -path '*plugin*' \
  ! -path '*/checkpoints*' ! -path '*/device-plugins*' ! -path '*/pki/kubelet-client-*' -printf '%p %y\n' | sort
dpkg-query --show --showformat='${Package} ${Version} ${Status}\n'
systemctl list-unit-files --no-legend --state=enabled,masked | sort
cut -d' ' -f1 /proc/swaps
sudo sysctl --all 2>/dev/null | grep -E '^net\.(ipv4\.ip_forward|bridge\.\S+) '
"""
# Those that run. A scheduler or controller manager that lost its lease is away for a while.
_PROGRAMS = r"""
ps -eo comm= | grep -E '^(kube|containerd$)' | sort
"""
# What only a node of a cluster has.
_NODE = (
    "/etc/kubernetes /etc/containerd /var/lib/etcd /var/lib/kubelet /var/lib/containerd /var/lib/provision"
)
# Keys and credentials, which say something else each time they are made.
_EVER_NEW = (
    "/etc/machine-id",
    "/etc/cni/net.d/calico-kubeconfig",
    "/etc/kubernetes/pki/",
    *(
        f"/etc/kubernetes/{name}.conf"
        for name in ("admin", "super-admin", "controller-manager", "kubelet", "scheduler")
    ),
)
# What says something of its own on each control plane: these, and the members that etcd had when it joined.
_OWN = (*_EVER_NEW, "/etc/ssh/ssh_host_", "/etc/kubernetes/manifests/etcd.yaml")
# Only the first one has this; kubeadm's `init` gives it another mode than `join`; who saved etcd has this.
_SOME = ("/etc/kubernetes/super-admin.conf", "/etc/kubernetes/pki/sa.pub", "/var/lib/provision/etcd")


def state(rig: Rig, host: str) -> list[str]:
    """All of it as lines, but for keys and credentials: to be compared with what it is at another time."""
    files = _files(rig, host).items()
    lines = [
        f"{path} {' '.join(map(str, facts[:4]))}" for path, facts in files if not path.startswith(_EVER_NEW)
    ]
    return lines + rig.on(host, _REST + _PROGRAMS).splitlines()


def are_alike(rig: Rig, hosts: Iterable[str]) -> None:
    """Assert that control planes differ in nothing but their names and keys, however each of them became one."""
    first, *others = hosts
    expected, files = _in_common(rig, first)
    for host in others:
        found, its = _in_common(rig, host)
        assert found == expected, host
        assert its.keys() == files.keys(), host
        assert [path for path in its if not _same(path, its[path], files[path])] == [], host


def are_nodes_no_more(rig: Rig, hosts: Iterable[str]) -> None:
    """Assert that nothing of a cluster is left on the hosts."""
    for host in hosts:
        assert rig.on(host, f"ls -d {_NODE} 2>/dev/null || true") == "", host


def _files(rig: Rig, host: str) -> dict[str, list[Any]]:
    lab = lab_directory(rig.name).load()
    assert lab is not None
    answer = rig.on(host, f"sudo python3 - {lab.machine(host).address} <<'END'\n{_FILES}\nEND")
    return dict(json.loads(answer))


def _in_common(rig: Rig, host: str) -> tuple[list[str], dict[str, list[Any]]]:
    rest = rig.on(host, _REST).splitlines()
    return (
        [line for line in rest if not line.startswith(_SOME)],
        {path: facts for path, facts in _files(rig, host).items() if path not in _SOME},
    )


def _same(path: str, one: list[Any], other: list[Any]) -> bool:
    """Owner, group, mode, and what it says, unless each has its own."""
    said = path.startswith(_OWN) or one[3] == other[3] or one[4] == other[4]
    return one[:3] == other[:3] and said
