"""What is installed and runs: packages by dpkg's own records, services by their cgroups, containerd's settings."""

from __future__ import annotations

import fcntl
import os
import struct

from provision.providers.kubeadm.probe.reading import layered, names, read

PACKAGES = (
    "containerd.io", "containerd", "docker.io", "docker-ce", "runc", "cri-o",
    "kubeadm", "kubelet", "kubectl", "kubernetes-cni", "cri-tools",
)  # fmt: skip
SERVICES = ("containerd", "kubelet", "docker", "crio", "provision-api", "provision-vip-api", "provision-vip")
_BALANCERS = {"local": "/etc/haproxy/provision-api.cfg", "vip": "/etc/haproxy/provision-vip-api.cfg"}
_RELOAD = "/run/provision/reload-"  # of a unit that an interrupted run has not made read its configuration
# struct flock of 64-bit Linux: type, whence, start, length, pid.
_FLOCK = "hhqqi"


def software(root: str) -> dict[str, object]:
    status = read(root + "/var/lib/dpkg/status")
    return {
        "packages": {name: entry for name in PACKAGES for entry in [_package(status, name)] if entry},
        "dpkg": {"broken": _broken(root, status), "locked_by": _locked_by(root)},
        "services": {name: _service(root, name) for name in SERVICES},
        "containerd": _containerd(root),
        "balancers": {kind: found for kind in _BALANCERS for found in [_balancer(root, kind)] if found},
        "reloads": [name for name in SERVICES if os.path.exists(root + _RELOAD + name + ".service")],
        "cni": names(root + "/etc/cni/net.d", ".conf") + names(root + "/etc/cni/net.d", ".conflist"),
    }


def _balancer(root: str, kind: str) -> dict[str, object] | None:
    """Where our load balancer for the API server listens and passes connections on to; None without one."""
    lines = [line.split() for line in read(root + _BALANCERS[kind]).splitlines()]
    servers = [words[2] for words in lines if words[:1] == ["server"]]
    listens = [words[1] for words in lines if words[:1] == ["bind"]]
    return {"listens": listens[0] if listens else "", "servers": servers} if lines else None


def _package(status: str, name: str) -> dict[str, object] | None:
    """Version and marks of a package that is installed, wholly or in parts."""
    at = ("\n" + status).find("\nPackage: " + name + "\n")
    if at < 0:
        return None
    paragraph = status[at:].partition("\n\n")[0]
    fields = dict(line.split(": ", 1) for line in paragraph.splitlines() if ": " in line and line[0] != " ")
    want, _, state = fields.get("Status", "").partition(" ")
    state = state.rpartition(" ")[2]
    if state in ("not-installed", "config-files", ""):
        return None
    return {"version": fields.get("Version", ""), "held": want == "hold", "whole": state == "installed"}


def _broken(root: str, status: str) -> list[str]:
    """Packages that an interrupted dpkg left half done; "?" for a journal that it left behind."""
    broken = []
    for word in ("unpacked", "half-configured", "half-installed"):
        at = status.find(" " + word + "\n")
        while at >= 0:
            start = status.rfind("Package: ", 0, at)
            broken.append(status[start + 9 : status.find("\n", start)])
            at = status.find(" " + word + "\n", at + 1)
    return broken or ["?"] * bool(names(root + "/var/lib/dpkg/updates"))


def _locked_by(root: str) -> str:
    """The program that holds dpkg's or apt's lock, or ""; asking does not take the lock."""
    for path in ("/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock", "/var/lib/apt/lists/lock"):
        try:
            with open(root + path, "rb+") as file:
                asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
                kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, asked))
        except OSError:
            continue
        if kind != fcntl.F_UNLCK:
            process = read(root + "/proc/" + str(pid) + "/comm").strip() or "a process"
            return process + " (pid " + str(pid) + ")"
    return ""


def _service(root: str, name: str) -> dict[str, bool]:
    """A service runs when its cgroup has processes: the same as asking systemd, without starting systemctl."""
    unit = name + ".service"
    groups = ("/sys/fs/cgroup/system.slice/", "/sys/fs/cgroup/systemd/system.slice/")
    active = any(read(root + group + unit + "/cgroup.procs").strip() for group in groups)
    # A unit may have its processes one group further down.
    active = active or any(
        read(root + group + unit + "/" + part + "/cgroup.procs").strip()
        for group in groups
        for part in names(root + group + unit)
        if os.path.isdir(root + group + unit + "/" + part)
    )
    wants = root + "/etc/systemd/system/multi-user.target.wants/" + unit
    return {"active": active, "enabled": os.path.lexists(wants)}


def _registry(hosts_toml: str) -> dict[str, object]:
    """The URLs that stand for a registry and whether we wrote them; headers, which may be secret, stay here."""
    urls = []
    for line in hosts_toml.splitlines():
        words = line.strip()
        if words.startswith("[host.") and words.endswith("]") and words[6:7] in "\"'":
            urls.append(words[7:].partition(words[6])[0])
        elif words.replace(" ", "").startswith("server="):
            urls.append(words.partition("=")[2].strip(" \"'"))
    return {"urls": urls, "ours": hosts_toml.startswith("# Written by provision.")}


def _containerd(root: str) -> dict[str, object]:
    """The settings of containerd that matter to us, and its registries' hosts.toml files."""
    text = read(root + "/etc/containerd/config.toml")
    values: dict[str, str] = {}
    files = [text, *(read(path) for path in layered(root, ("/etc/containerd/conf.d",), ".toml"))]
    for line in "\n".join(files).splitlines():
        name, separator, value = line.partition("=")
        name = name.strip()
        if separator and name in (
            "SystemdCgroup",
            "sandbox",
            "sandbox_image",
            "config_path",
            "disabled_plugins",
        ):
            # config_path also means a directory of decryption keys or the like; the registries' is the last set.
            values[name] = value.strip().strip("\"'") or values.get(name, "")
    directory = values.get("config_path", "").split(":")[0]
    return {
        "configured": bool(text),
        "systemd_cgroup": values.get("SystemdCgroup") == "true",
        "sandbox_image": values.get("sandbox") or values.get("sandbox_image", ""),
        "config_path": values.get("config_path", ""),
        "cri_disabled": "cri" in values.get("disabled_plugins", ""),
        "hosts": {
            registry: _registry(read(root + directory + "/" + registry + "/hosts.toml"))
            for registry in (names(root + directory) if directory else [])
        },
        "socket": os.path.exists(root + "/run/containerd/containerd.sock"),
    }
