"""What is installed and runs: packages, services by their cgroups, settings of runtimes, load balancers."""

from __future__ import annotations

import json
import os

from ansible.module_utils.provision_files import MARK, layered, names, text_of, uses_rpm

PACKAGES = (
    "containerd.io", "containerd", "docker.io", "docker-ce", "docker-ce-cli", "podman-docker", "runc", "cri-o",
    "kubeadm", "kubelet", "kubectl", "kubernetes-cni", "cri-tools", "moby-engine", "podman", "container-selinux",
)  # fmt: skip
SERVICES = (
    "containerd", "kubelet", "docker", "cri-docker", "crio", "provision-api", "provision-vip-api", "provision-vip",
    "NetworkManager", "fapolicyd",
)  # fmt: skip
_BALANCERS = {"local": "/etc/haproxy/provision-api.cfg", "vip": "/etc/haproxy/provision-vip-api.cfg"}
_RELOAD = "/run/provision/reload-"  # of a unit that an interrupted run has not made read its configuration
UNMANAGED = (
    "/etc/NetworkManager/conf.d/99-zz-provision.conf"  # interfaces of pods, which are not NetworkManager's
)
_CONTAINERD_SETTINGS = (
    "SystemdCgroup",
    "enable_selinux",
    "sandbox",
    "sandbox_image",
    "config_path",
    "disabled_plugins",
)


def software(root: str) -> dict[str, object]:
    return {
        **_database(root),
        "services": {name: _service(root, name) for name in SERVICES},
        "containerd": _containerd(root),
        "crio": _crio(root),
        "docker": _docker(root),
        "balancers": {kind: found for kind in _BALANCERS for found in [_balancer(root, kind)] if found},
        "reloads": [name for name in SERVICES if os.path.exists(f"{root}{_RELOAD}{name}.service")],
        "unmanaged": text_of(root + UNMANAGED).startswith(MARK),
        "cni": names(root + "/etc/cni/net.d", ".conf") + names(root + "/etc/cni/net.d", ".conflist"),
    }


def _database(root: str) -> dict[str, object]:
    """Installed packages, by the package manager of the distribution; the reader of the other one is not compiled."""
    if uses_rpm(root):
        from ansible.module_utils import provision_rpm as manager  # noqa: PLC0415 - see above
    else:
        from ansible.module_utils import provision_dpkg as manager  # type: ignore[no-redef]  # noqa: PLC0415
    found: dict[str, object] = manager.database(root, PACKAGES)
    return found


def _balancer(root: str, kind: str) -> dict[str, object] | None:
    """Listening address and servers of a load balancer for the API server; None without one."""
    lines = [line.split() for line in text_of(root + _BALANCERS[kind]).splitlines()]
    servers = [words[2] for words in lines if words[:1] == ["server"]]
    listens = [words[1] for words in lines if words[:1] == ["bind"]]
    return {"listens": listens[0] if listens else "", "servers": servers} if lines else None


def _service(root: str, name: str) -> dict[str, bool]:
    """A service runs when its cgroup has processes: the same as asking systemd, without starting systemctl."""
    unit = name + ".service"
    groups = ("/sys/fs/cgroup/system.slice/", "/sys/fs/cgroup/systemd/system.slice/")
    active = any(text_of(root + group + unit + "/cgroup.procs").strip() for group in groups)
    # A unit may have its processes one group further down.
    active = active or any(
        text_of(root + group + unit + "/" + part + "/cgroup.procs").strip()
        for group in groups
        for part in names(root + group + unit)
        if os.path.isdir(root + group + unit + "/" + part)
    )
    wants = root + "/etc/systemd/system/multi-user.target.wants/" + unit
    return {"active": active, "enabled": os.path.lexists(wants)}


def _registry(hosts_toml: str) -> dict[str, object]:
    """URLs that stand for a registry, and whether this tool wrote them; headers, which may be secret, stay here."""
    urls = []
    for line in hosts_toml.splitlines():
        words = line.strip()
        if words.startswith("[host.") and words.endswith("]") and words[6:7] in "\"'":
            urls.append(words[7:].partition(words[6])[0])
        elif words.replace(" ", "").startswith("server="):
            urls.append(words.partition("=")[2].strip(" \"'"))
    return {"urls": urls, "ours": hosts_toml.startswith(MARK)}


def _containerd(root: str) -> dict[str, object]:
    """The settings of containerd that this tool changes, and its registries' hosts.toml files."""
    text = text_of(root + "/etc/containerd/config.toml")
    values: dict[str, str] = {}
    files = [text, *(text_of(path) for path in layered(root, ("/etc/containerd/conf.d",), ".toml"))]
    for line in "\n".join(files).splitlines():
        name, separator, value = line.partition("=")
        name = name.strip()
        if separator and name in _CONTAINERD_SETTINGS:
            # config_path also means a directory of decryption keys or the like; the registries' is the last set.
            values[name] = value.strip().strip("\"'") or values.get(name, "")
    directory = values.get("config_path", "").split(":")[0]
    return {
        "configured": bool(text),
        "systemd_cgroup": values.get("SystemdCgroup") == "true",
        "sandbox_image": values.get("sandbox") or values.get("sandbox_image", ""),
        "selinux": values.get("enable_selinux") == "true",
        "cri_disabled": "cri" in values.get("disabled_plugins", ""),
        "hosts": {
            registry: _registry(text_of(root + directory + "/" + registry + "/hosts.toml"))
            for registry in (names(root + directory) if directory else [])
        },
    }


def _crio(root: str) -> dict[str, object]:
    """The settings of CRI-O that this tool changes, later files first, and the mirrors of registries."""
    main = root + "/etc/crio/crio.conf"
    values: dict[str, str] = {}
    for path in [main, *layered(root, ("/etc/crio/crio.conf.d",), ".conf")]:
        values.update(_toml(text_of(path)))
    hosts: dict[str, dict[str, object]] = {}
    for path in layered(root, ("/etc/containers/registries.conf.d",), ".conf"):
        text = text_of(path)
        for table in text.split("[[registry]]")[1:]:
            registry, *mirrors = table.split("[[registry.mirror]]")
            named = _toml(registry)
            urls = [_toml(mirror).get("location", "") for mirror in mirrors]
            name = named.get("prefix") or named.get("location", "")
            hosts[name] = {"urls": urls, "ours": text.startswith(MARK)}
    return {
        "configured": os.path.exists(root + "/etc/crio/crio.conf.d/20-provision.conf"),
        "systemd_cgroup": values.get("cgroup_manager", "systemd") == "systemd",
        "sandbox_image": values.get("pause_image", ""),
        "selinux": values.get("selinux") == "true",
        "hosts": hosts,
    }


def _docker(root: str) -> dict[str, object]:
    """The settings of Docker and of cri-dockerd that this tool changes."""
    try:
        daemon = json.loads(text_of(root + "/etc/docker/daemon.json") or "{}")
    except ValueError:
        daemon = None  # Docker does not start with it either
    if not isinstance(daemon, dict):
        daemon = {}
    unit = text_of(root + "/etc/systemd/system/cri-docker.service")
    command = next((line for line in unit.splitlines() if line.startswith("ExecStart=")), "")
    program = command.partition("=")[2].partition(" ")[0]
    _, _, image = command.partition("--pod-infra-container-image=")
    options = daemon.get("log-opts") or {}
    return {
        "configured": unit.startswith(MARK),
        "systemd_cgroup": "native.cgroupdriver=systemd" in (daemon.get("exec-opts") or []),
        "sandbox_image": image.partition(" ")[0],
        "selinux": daemon.get("selinux-enabled") is True,
        "version": program.split("/")[-2] if os.path.exists(root + program) and "/" in program[1:] else "",
        "bounded_logs": daemon.get("log-driver") == "json-file" and "max-size" in options,
        "insecure": daemon.get("insecure-registries") or [],
    }


def _toml(text: str) -> dict[str, str]:
    """Key -> value of the lines `key = "value"`; Python 3.9 has no reader of TOML."""
    pairs = (line.partition("=") for line in text.splitlines())
    return {key.strip(): value.strip().strip("\"'") for key, separator, value in pairs if separator}
