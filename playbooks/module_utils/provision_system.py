"""What a host is: system, size, identity, clock, swap, disks and their mounts, /etc/hosts."""

from __future__ import annotations

import os
import sys

from ansible.module_utils.provision_files import os_release, text_of
from ansible.module_utils.provision_swap import active_swaps, swap_sources

_DISKS = (
    "/",
    "/opt/cni/bin",
    "/tmp",  # noqa: S108 - looked at, not written to
    "/var/lib/containerd",
    "/var/lib/containers",
    "/var/lib/etcd",
    "/var/lib/kubelet",
)
_MIB = 1 << 20


def machine(root: str) -> dict[str, object]:
    release = os_release(root)
    return {
        "os": {
            "id": release.get("ID", ""),
            "version": release.get("VERSION_ID", ""),
            "codename": release.get("VERSION_CODENAME", ""),
            "name": release.get("PRETTY_NAME", ""),
        },
        "architecture": os.uname().machine,
        "kernel": os.uname().release,
        "python": ".".join(str(part) for part in sys.version_info[:3]),
        "systemd": os.path.isdir(root + "/run/systemd/system"),
        "cpus": os.cpu_count() or 1,
        "memory_mib": _memory_mib(root),
        "disks": {path: _disk(root, path) for path in _DISKS},
        "swap": {"active": active_swaps(root), "sources": swap_sources(root)},
        "hostname": os.uname().nodename,
        "machine_id": text_of(root + "/etc/machine-id").strip(),
        "product_uuid": text_of(root + "/sys/class/dmi/id/product_uuid").strip().lower(),
        "boot_id": text_of(root + "/proc/sys/kernel/random/boot_id").strip(),
        "hosts": _hosts(root),
        "login": os.environ.get("SUDO_USER") or "root",
    }


def _memory_mib(root: str) -> int:
    for line in text_of(root + "/proc/meminfo").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) // 1024
    return 0


def _disk(root: str, path: str) -> dict[str, object]:
    """The file system that holds `path` now or would hold it once made."""
    place = root + path
    while not os.path.isdir(place):
        place = os.path.dirname(place)
    status = os.statvfs(place)
    return {
        "free_mib": status.f_bavail * status.f_frsize // _MIB,
        "size_mib": status.f_blocks * status.f_frsize // _MIB,
        "device": os.stat(place).st_dev,
        "noexec": bool(status.f_flag & os.ST_NOEXEC),
        "read_only": bool(status.f_flag & os.ST_RDONLY),
    }


def _hosts(root: str) -> list[dict[str, object]]:
    entries = (line.partition("#")[0].split() for line in text_of(root + "/etc/hosts").splitlines())
    return [{"address": words[0], "names": words[1:]} for words in entries if len(words) > 1]
