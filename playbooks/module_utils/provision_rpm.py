"""Packages as rpm's database and dnf's history describe them, and what the RHEL family has besides."""

from __future__ import annotations

import os
import re
import subprocess

from ansible.module_utils.provision_files import (
    MARK,
    layered,
    lock_holder,
    names,
    os_release,
    text_of,
)

TYPE_CHECKING = False  # importing `typing` costs 20 ms on a small machine
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ansible.module_utils.provision_files import Root

REPOSITORIES = "/etc/yum.repos.d"
_LOCKS = ("/usr/lib/sysimage/rpm/.rpm.lock", "/var/lib/rpm/.rpm.lock")
_QUERY = "%{NAME}\\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}.%{ARCH}\\n"
_KERNELS = ("kernel-core", "kernel-uek-core")  # each version has the release of its kernel (uname -r)
# Packages that transactions of dnf 4 and dnf 5 left without an end. Both note the state of a transaction when it ends.
_DNF4 = (
    "select rpm.name from trans_item join rpm using (item_id) where trans_id = (select max(id) from trans) "
    "and (select state from trans order by id desc limit 1) = 0"
)
_DNF5 = (
    "select pkg_name.name from trans_item join rpm using (item_id) join pkg_name on rpm.name_id = pkg_name.id "
    "where trans_id = (select max(id) from trans) and (select trans_state.name from trans join trans_state "
    "on trans.state_id = trans_state.id order by trans.id desc limit 1) = 'Started'"
)
_HISTORIES = {
    "/var/lib/dnf/history.sqlite": _DNF4,
    "/usr/lib/sysimage/libdnf5/transaction_history.sqlite": _DNF5,
}
# URLs of repositories that have packages of ours: only the repository file of this tool excludes them from upgrades.
_RIVAL = re.compile(r"/core:/stable:|/linux/(?:rhel|centos|fedora)/|:/cri-o:")
_CLOUD_SETUP = (
    "NetworkManager.service.wants/nm-cloud-setup.service",
    "multi-user.target.wants/nm-cloud-setup.service",
    "timers.target.wants/nm-cloud-setup.timer",
)


def database(root: Root, wanted: Iterable[str]) -> dict[str, object]:
    """The facts of rpm in one call of it; `rpm` are those that only this family has."""
    listed = query(root, [*wanted, *_KERNELS])
    broken, held = interrupted(root, listed), excluded(root)
    packages = {
        name: {
            "version": versions[-1].rpartition(".")[0],
            "held": name in held,
            "whole": name not in broken,
        }
        for name, versions in listed.items()
        if name not in _KERNELS
    }
    kernels = [one.partition(":")[2] for name in _KERNELS for one in listed.get(name, [])]
    state = {"broken": broken, "locked_by": lock_holder(root, _LOCKS)}
    return {"packages": packages, "package_database": state, "rpm": {"kernels": kernels, **_system(root)}}


def command(root: Root) -> list[str]:
    """The beginning of a command of rpm for the host below `root`."""
    base = str(root).rstrip("/")
    return ["rpm", "--root", base] if base else ["rpm"]


def query(root: Root, wanted: Sequence[str]) -> dict[str, list[str]]:
    """Name -> `epoch:version-release.architecture` of each installed package of that name, in the order of rpm."""
    argv = [*command(root), "--query", f"--queryformat={_QUERY}", *wanted]
    done = subprocess.run(
        argv, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}, check=False
    )
    found: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        name, is_there, version = line.partition("\t")
        if is_there:
            found.setdefault(name, []).append(version)
    return found


def interrupted(root: Root, listed: dict[str, list[str]]) -> list[str]:
    """Packages of which a killed transaction left two versions, or that are of the last one, which never ended."""
    twice = [name for name, versions in listed.items() if len(versions) > 1 and name not in _KERNELS]
    return sorted({*twice, *_unfinished(root)})


def _unfinished(root: Root) -> list[str]:
    present = [(path, sql) for path, sql in _HISTORIES.items() if os.path.exists(f"{root}{path}")]
    if not present or lock_holder(root, _LOCKS):
        return []
    import sqlite3  # noqa: PLC0415 - only where there is a history to read

    for path, sql in present:
        try:
            history = sqlite3.connect(f"file:{root}{path}?mode=ro", uri=True)
            try:
                found = [str(row[0]) for row in history.execute(sql)]
            finally:
                history.close()
        except sqlite3.Error:  # of another version, or being written
            continue
        if found:
            return found
    return []


def excluded(root: Root) -> list[str]:
    """Packages that `dnf upgrade` leaves alone in repositories of this tool."""
    found: list[str] = []
    for name in names(f"{root}{REPOSITORIES}", ".repo"):
        text = text_of(f"{root}{REPOSITORIES}/{name}")
        if text.startswith(MARK):
            for line in text.splitlines():
                key, _, value = line.partition("=")
                found += value.split() if key.strip() in ("exclude", "excludepkgs") else []
    return found


def selinux(root: Root) -> str:
    """`enforcing` or `permissive`; "" where SELinux is off."""
    state = text_of(f"{root}/sys/fs/selinux/enforce").strip()
    return {"1": "enforcing", "0": "permissive"}.get(state, "")


def cloud_setup(root: Root) -> list[str]:
    """Units of nm-cloud-setup that are enabled: it takes routes away that others have set."""
    enabled = [path for path in _CLOUD_SETUP if os.path.lexists(f"{root}/etc/systemd/system/{path}")]
    return sorted({path.partition("/")[2] for path in enabled})


def _system(root: Root) -> dict[str, object]:
    others = [(name, text) for name, text in _enabled(root) if not name.startswith("provision-")]
    return {
        "selinux": selinux(root),
        "has_modules": os.path.isdir(f"{root}/lib/modules/{os.uname().release}"),
        "cloud_setup": cloud_setup(root),
        "repositories": [name for name, _ in others],
        "rivals": [name for name, text in others if _RIVAL.search(text) and "exclude" not in text],
        "registered": os_release(root).get("ID") != "rhel"
        or os.path.exists(f"{root}/etc/pki/consumer/cert.pem"),
    }


def _enabled(root: Root) -> Iterator[tuple[str, str]]:
    """Name and settings of each package repository that is enabled."""
    for path in layered(root, (REPOSITORIES,), ".repo"):
        for section in re.split(r"^\[", text_of(path), flags=re.MULTILINE)[1:]:
            if not re.search(r"^enabled\s*=\s*(?:0|false|no)\b", section, re.MULTILINE | re.IGNORECASE):
                name, _, settings = section.partition("]")
                yield name, settings
