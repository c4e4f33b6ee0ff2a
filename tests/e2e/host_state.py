"""What a host is, so far as it can be compared: programs that print it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .rig import Rig

# Every file that configures something, with its owner and mode, and its hash.
FILES = r"""
files() {
  sudo find /etc /usr/local -xdev -type f ! -path /etc/machine-id ! -path '/etc/cni/net.d/calico-kubeconfig' \
    ! -path '/etc/kubernetes/*.conf' ! -path '/etc/kubernetes/pki/*' "$@"
}
files -printf '%p %u %m\n' | sort
files -print0 | sort -z | sudo xargs -0 sha256sum
"""
# What there is for Kubernetes; packages; units; swap; sysctls of ours.
REST = r"""
sudo find /etc/kubernetes /var/lib/provision /var/lib/kubelet -maxdepth 2 ! -path '*/pods/*' ! -path '*plugin*' \
  ! -path '*/checkpoints*' ! -path '*/device-plugins*' ! -path '*/pki/kubelet-client-*' -printf '%p %y\n' | sort
dpkg-query --show --showformat='${Package} ${Version} ${Status}\n'
systemctl list-unit-files --no-legend --state=enabled,masked | sort
cut -d' ' -f1 /proc/swaps
sysctl net.ipv4.ip_forward net.bridge 2>/dev/null
"""
# Those that run. A scheduler or controller manager that lost its lease is away for a while.
PROGRAMS = r"""
ps -eo comm= | grep -E '^(kube|containerd$)' | sort
"""
# What only a node of a cluster has.
_NODE = (
    "/etc/kubernetes /etc/containerd /var/lib/etcd /var/lib/kubelet /var/lib/containerd /var/lib/provision"
)
# The same files with what two hosts may have in common: hashes of a file as it is, and without the host's own names.
_IN_COMMON = r"""
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
            found[path] = [status.st_uid, status.st_gid, status.st_mode, *hashes]
print(json.dumps(found))
"""
# What says something of its own on each control plane: keys, credentials, and the members that etcd had when it joined.
_OWN = (
    "/etc/machine-id",
    "/etc/ssh/ssh_host_",
    "/etc/cni/net.d/calico-kubeconfig",
    "/etc/kubernetes/pki/",
    "/etc/kubernetes/admin.conf",
    "/etc/kubernetes/controller-manager.conf",
    "/etc/kubernetes/kubelet.conf",
    "/etc/kubernetes/scheduler.conf",
    "/etc/kubernetes/manifests/etcd.yaml",
)
# Only the first one has this; kubeadm's `init` gives it another mode than `join`; who saved etcd has this.
_SOME = ("/etc/kubernetes/super-admin.conf", "/etc/kubernetes/pki/sa.pub", "/var/lib/provision/etcd")


def are_alike(rig: Rig, addresses: Mapping[str, str]) -> None:
    """Assert that control planes differ in nothing but their names and keys, however each of them became one.

    `addresses` by their names.
    """
    first, *others = addresses.items()
    expected, files = _in_common(rig, *first)
    for host, address in others:
        found, its = _in_common(rig, host, address)
        assert found == expected, host
        assert its.keys() == files.keys(), host
        assert [path for path in its if not _same(path, its[path], files[path])] == [], host


def are_nodes_no_more(rig: Rig, hosts: Iterable[str]) -> None:
    """Assert that nothing of a cluster is left on the hosts."""
    for host in hosts:
        assert rig.on(host, f"ls -d {_NODE} 2>/dev/null || true") == "", host


def _in_common(rig: Rig, host: str, address: str) -> tuple[list[str], dict[str, list[Any]]]:
    files = json.loads(rig.on(host, f"sudo python3 - {address} <<'END'\n{_IN_COMMON}\nEND"))
    rest = rig.on(host, REST).splitlines()
    return (
        [line for line in rest if not line.startswith(_SOME)],
        {path: facts for path, facts in files.items() if path not in _SOME},
    )


def _same(path: str, one: list[Any], other: list[Any]) -> bool:
    """Owner, group, mode, and what it says, unless each has its own."""
    said = path.startswith(_OWN) or one[3] == other[3] or one[4] == other[4]
    return one[:3] == other[:3] and said
