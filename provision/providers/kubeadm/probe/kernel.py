"""What the kernel does now and will do after the next boot: modules, sysctls, cgroups."""

from __future__ import annotations

import os

from provision.providers.kubeadm.probe.reading import layered, read

_SYSCTL = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d")
_MODULES = (
    "/etc/modules-load.d",
    "/run/modules-load.d",
    "/usr/local/lib/modules-load.d",
    "/usr/lib/modules-load.d",
)


def kernel(root: str, modules: list[str], sysctls: list[str]) -> dict[str, object]:
    """State of the named modules and sysctls, the cgroup version."""
    at_boot = _modules_at_boot(root)
    configured = _configured(root, sysctls)
    return {
        "modules": {
            name: {"loaded": _is_loaded(root, name), "at_boot": name.replace("-", "_") in at_boot}
            for name in modules
        },
        "sysctls": {
            name: {
                "now": _value(read(root + "/proc/sys/" + name.replace(".", "/"))),
                **configured.get(name, _UNSET),
            }
            for name in sysctls
        },
        "cgroup": 2 if os.path.exists(root + "/sys/fs/cgroup/cgroup.controllers") else 1,
    }


_UNSET = {"at_boot": "", "file": ""}


def _is_loaded(root: str, name: str) -> bool:
    plain = name.replace("-", "_")
    if os.path.isdir(root + "/sys/module/" + plain):
        return True
    built_in = read(root + "/lib/modules/" + os.uname().release + "/modules.builtin")
    return "/" + plain + ".ko" in built_in.replace("-", "_")


def _modules_at_boot(root: str) -> set[str]:
    files = [root + "/etc/modules", *layered(root, _MODULES, ".conf")]
    lines = (line.strip() for path in files for line in read(path).splitlines())
    return {line.split()[0].replace("-", "_") for line in lines if line and line[0] not in "#;"}


def _configured(root: str, wanted: list[str]) -> dict[str, dict[str, str]]:
    """The value that wins at boot and the file that it stands in; the last file by name wins."""
    found = {}
    for path in [*layered(root, _SYSCTL, ".conf"), root + "/etc/sysctl.conf"]:
        for line in read(path).splitlines():
            name, separator, value = line.partition("=")
            name = name.strip().lstrip("-").replace("/", ".")
            if separator and name in wanted:
                found[name] = {"at_boot": _value(value), "file": path[len(root) :]}
    return found


def _value(text: str) -> str:
    return " ".join(text.split())
