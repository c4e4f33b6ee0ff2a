"""Kernel modules, sysctls and cgroups: as they are now, and as the files say for the next boot."""

from __future__ import annotations

import os
import re

from ansible.module_utils.provision_files import host_path, layered, text_of, uses_rpm

TYPE_CHECKING = False  # importing `typing` costs 20 ms on a small machine
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from ansible.module_utils.provision_files import Root

SYSCTL_FILE = "/etc/sysctl.conf"  # `sysctl --system` reads it last
_SYSCTL = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d")
_MODULES = (
    "/etc/modules-load.d",
    "/run/modules-load.d",
    "/usr/local/lib/modules-load.d",
    "/usr/lib/modules-load.d",
)
_UNSET = {"at_boot": "", "file": ""}


def kernel(root: str, modules: Sequence[str], sysctls: Sequence[str]) -> dict[str, object]:
    """State of the named modules and sysctls, the cgroup version.

    `lacking` are modules that have to be installed first, which only distributions with rpm keep apart.
    """
    at_boot = _modules_at_boot(root)
    configured = {
        name: {"at_boot": value, "file": host_path(root, path)}
        for path, _, name, value in sysctl_lines(root, sysctls)
    }
    return {
        "modules": {
            name: {"loaded": is_loaded(root, name), "at_boot": name.replace("-", "_") in at_boot}
            for name in modules
        },
        "lacking": lacking(root, modules) if uses_rpm(root) else [],
        "sysctls": {name: {"now": sysctl(root, name), **configured.get(name, _UNSET)} for name in sysctls},
        "cgroup": 2 if os.path.exists(root + "/sys/fs/cgroup/cgroup.controllers") else 1,
    }


def is_loaded(root: Root, module: str) -> bool:
    """Whether the kernel has the module, loaded or built in."""
    plain = module.replace("-", "_")
    if os.path.isdir(f"{root}/sys/module/{plain}"):
        return True
    built_in = text_of(f"{root}/lib/modules/{os.uname().release}/modules.builtin")
    return f"/{plain}.ko" in built_in.replace("-", "_")


def lacking(root: Root, modules: Sequence[str]) -> list[str]:
    """Those of the modules that the running kernel does not have and that are not there to be loaded either."""
    missing = [name for name in modules if not is_loaded(root, name)]
    if not missing:
        return []
    there = text_of(f"{root}/lib/modules/{os.uname().release}/modules.dep").replace("-", "_")
    return [name for name in missing if not re.search(rf"/{name.replace('-', '_')}\.ko[.a-z0-9]*:", there)]


def sysctl_path(root: Root, name: str) -> str:
    return f"{root}/proc/sys/{name.replace('.', '/')}"


def sysctl(root: Root, name: str) -> str:
    """The kernel's value now, "" if it has no such parameter."""
    return normal(text_of(sysctl_path(root, name)))


def sysctl_lines(root: Root, wanted: Collection[str]) -> Iterator[tuple[str, int, str, str]]:
    """Path, line number, name and value of every line that sets one of `wanted` at boot; a later line wins."""
    for path in [*layered(root, _SYSCTL, ".conf"), f"{root}{SYSCTL_FILE}"]:
        for number, line in enumerate(text_of(path).splitlines(), start=1):
            name, separator, value = line.partition("=")
            name = name.strip().lstrip("-").replace("/", ".")
            if separator and name in wanted:
                yield path, number, name, normal(value)


def normal(value: str) -> str:
    """A value with single spaces, as values with several numbers are compared."""
    return " ".join(value.split())


def _modules_at_boot(root: str) -> set[str]:
    files = [root + "/etc/modules", *layered(root, _MODULES, ".conf")]
    lines = (line.strip() for path in files for line in text_of(path).splitlines())
    return {line.split()[0].replace("-", "_") for line in lines if line and line[0] not in "#;"}
