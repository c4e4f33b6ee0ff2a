"""What a host is: system, size, identity, clock, swap and where it comes from, disks and their mounts."""

from __future__ import annotations

import os
import sys

from provision.providers.kubeadm.probe.reading import layered, names, read

_UNITS = (
    "/etc/systemd/system",
    "/run/systemd/generator",
    "/run/systemd/generator.late",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
_ZRAM_CONFIGURATIONS = ("/etc/systemd", "/run/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd")
# Packages that make swap by a service of their own, without a .swap unit.
_SWAP_SERVICES = ("dphys-swapfile", "zramswap", "zram-config", "systemd-swap")
_DISKS = ("/", "/opt/cni/bin", "/tmp", "/var/lib/containerd", "/var/lib/etcd", "/var/lib/kubelet")  # noqa: S108 - looked at, not written to
_MIB = 1 << 20
_FSTAB_TYPE = 2  # the third field


def machine(root: str) -> dict[str, object]:
    release = _assignments(read(root + "/etc/os-release"))
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
        "swap": {"active": _active_swap(root), "sources": _swap_sources(root)},
        "hostname": os.uname().nodename,
        "machine_id": read(root + "/etc/machine-id").strip(),
        "product_uuid": read(root + "/sys/class/dmi/id/product_uuid").strip().lower(),
        "boot_id": read(root + "/proc/sys/kernel/random/boot_id").strip(),
        "hosts": _hosts(root),
        "login": os.environ.get("SUDO_USER") or "root",
    }


def _assignments(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {name.strip(): value.strip().strip("\"'") for name, _, value in pairs}


def _memory_mib(root: str) -> int:
    for line in read(root + "/proc/meminfo").splitlines():
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


def _active_swap(root: str) -> list[str]:
    lines = read(root + "/proc/swaps").splitlines()[1:]
    return [line.split()[0].replace("\\040", " ") for line in lines if line.strip()]


def _swap_sources(root: str) -> list[dict[str, str]]:
    """What would switch swap on at the next boot: the device or file ("" if unknown) and who says so."""
    sources = [{"path": path, "origin": "/etc/fstab"} for path in _fstab_swap(root)]
    sources += _swap_units(root)
    if os.path.exists(root + "/usr/lib/systemd/system-generators/zram-generator"):
        files = [root + directory + "/zram-generator.conf" for directory in _ZRAM_CONFIGURATIONS]
        files = [path for path in files if os.path.exists(path)][:1]
        drop_ins = tuple(directory + "/zram-generator.conf.d" for directory in _ZRAM_CONFIGURATIONS)
        files += layered(root, drop_ins, ".conf")
        if any("[" in line.partition("#")[0] for path in files for line in read(path).splitlines()):
            sources.append({"path": "/dev/zram0", "origin": "zram-generator"})
    sources += [
        {"path": "", "origin": service + ".service"}
        for service in _SWAP_SERVICES
        if not _masked(root, service + ".service")
        and any(os.path.exists(root + place + "/" + service + ".service") for place in _UNITS)
    ]
    return sources


def _fstab_swap(root: str) -> list[str]:
    paths = []
    for line in read(root + "/etc/fstab").splitlines():
        fields = line.partition("#")[0].split()
        if len(fields) > _FSTAB_TYPE and fields[_FSTAB_TYPE] == "swap":
            tag, _, value = fields[0].partition("=")
            by_tag = root + "/dev/disk/by-" + tag.lower() + "/" + value.strip('"')
            known = bool(value) and os.path.exists(by_tag)
            paths.append(os.path.realpath(by_tag) if known else fields[0])
    return paths


def _swap_units(root: str) -> list[dict[str, str]]:
    seen = set()
    sources = []
    for directory in _UNITS:
        for name in names(root + directory, ".swap"):
            text = read(root + directory + "/" + name)
            # What is generated from fstab goes away with the line in fstab.
            if name in seen or _masked(root, name) or "SourcePath=/etc/fstab" in text:
                continue
            seen.add(name)
            sources.append({"path": _assignments(text).get("What", ""), "origin": name})
    return sources


def _masked(root: str, unit: str) -> bool:
    return os.path.realpath(root + "/etc/systemd/system/" + unit) == "/dev/null"


def _hosts(root: str) -> list[dict[str, object]]:
    entries = (line.partition("#")[0].split() for line in read(root + "/etc/hosts").splitlines())
    return [{"address": words[0], "names": words[1:]} for words in entries if len(words) > 1]
