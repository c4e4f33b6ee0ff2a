"""Everything that kubeadm wants of a host before anything is installed, in one round trip."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.module_utils.provision_errors import HostError
from ansible.module_utils.provision_files import MARK
from ansible.module_utils.provision_host import Changes, Run, read, run, with_block
from ansible.module_utils.provision_kernel import is_loaded, sysctl
from ansible.module_utils.provision_module import run_module
from ansible.module_utils.provision_places import (
    CHANGED_SYSCTLS,
    GROUP,
    PLACES,
    RUNTIME_PLACES,
    group_members,
)
from ansible.module_utils.provision_record import Record, listing
from ansible.module_utils.provision_redhat import install_needed, leave_pods_alone
from ansible.module_utils.provision_swap_off import keep_swap_off
from ansible.module_utils.provision_sysctl import hold_sysctls

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DOCUMENTATION = r"""
module: host_prepare
short_description: Make a host ready for a container runtime and kubeadm
description:
  - Turns swap off and keeps it off, loads kernel modules, sets sysctls, host name and hosts entries.
  - Keeps NetworkManager and nm-cloud-setup away from pods. On distributions with rpm it installs container-selinux
    where SELinux is on, and kernel modules that the running kernel keeps in a package apart.
  - Everything is done now and survives a reboot. What was there before is noted in /var/lib/provision/before.
options:
  hostname: {description: Host name; empty leaves it alone, type: str, default: ""}
  hosts_entries:
    description: Lines of our block in /etc/hosts; empty leaves the file alone
    type: list
    elements: dict
    default: []
    suboptions:
      address: {description: IPv4 or IPv6 address, type: str, required: true}
      names: {description: Names of that address, type: list, elements: str, required: true}
  modules: {description: Kernel modules, type: list, elements: str, default: []}
  sysctls: {description: Kernel parameters and their values, type: dict, default: {}}
author: provision
"""

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_MODULE = re.compile(r"[A-Za-z0-9_-]+")


def prepare(wanted: dict[str, Any], changes: Changes, *, root: Path = Path("/"), run: Run = run) -> None:
    """Bring the host below `root` to what the module's parameters ask for."""
    record = Record("host_prepare", root=root)
    keep_swap_off(root, run, changes, record)
    install_needed(root, wanted["modules"], run, changes)
    load_modules(root, wanted["modules"], run, changes, record)
    if not changes.dry:
        note_what_others_change(root, record)
    if wanted["sysctls"]:
        hold_sysctls(root, {name: str(value) for name, value in wanted["sysctls"].items()}, changes, record)
    leave_pods_alone(root, run, changes, record)
    if wanted["hostname"]:
        set_hostname(root, wanted["hostname"], changes, record)
    if wanted["hosts_entries"]:
        write_hosts(root, wanted["hosts_entries"], changes)
    if wanted["hostname"] or wanted["hosts_entries"]:
        keep_from_cloud_init(root, changes)


def note_what_others_change(root: Path, record: Record) -> None:
    """Remember what kubelet, kube-proxy and Calico will change, for a reset.

    Once only: on a host that is prepared again they have changed it already.
    """
    if record.noted("listings"):
        return
    now = {name: sysctl(root, name) for name in CHANGED_SYSCTLS}
    record.note_all("sysctls", {name: value for name, value in now.items() if value})
    record.note_all("groups", {GROUP: group_members(GROUP) is not None})
    places = (*PLACES, *(place for places in RUNTIME_PLACES.values() for place in places))
    record.note_all("listings", {str(root / place): listing(root / place) for place in places})


def load_modules(root: Path, names: Sequence[str], run: Run, changes: Changes, record: Record) -> None:
    for name in names:
        if not _MODULE.fullmatch(name):
            raise HostError(f"{name!r} is no name of a kernel module")
    if names:
        content = f"{MARK}\n" + "".join(f"{name}\n" for name in names)
        changes.file(
            root / "etc/modules-load.d/provision.conf",
            content,
            sentence=f"made kernel modules permanent: {', '.join(names)}",
        )
    missing = [name for name in names if not is_loaded(root, name)]
    if not missing:
        return

    def effect() -> None:
        for name in missing:
            record.note("modules", name, was=False)
        run(["modprobe", "--all", *missing])

    changes.make(f"loaded kernel modules: {', '.join(missing)}", effect)


def set_hostname(
    root: Path,
    name: str,
    changes: Changes,
    record: Record,
    *,
    current: Callable[[], str] = socket.gethostname,
    tell_kernel: Callable[[str], None] = socket.sethostname,
) -> None:
    if not _NAME.fullmatch(name):
        raise HostError(f"{name!r} is no host name: lower case letters, digits, '-' and '.' only")
    now = current()
    if now != name:

        def effect() -> None:
            record.note("hostname", "kernel", now)
            record.note_path(root / "etc/hostname")
            tell_kernel(name)

        changes.make(f"set the host name: {name} (was {now})", effect)
    if (read(root / "etc/hostname") or "").strip() != name:
        changes.file(root / "etc/hostname", name + "\n", sentence=f"wrote {name} to /etc/hostname")


def write_hosts(root: Path, entries: Sequence[dict[str, Any]], changes: Changes) -> None:
    """Keep one marked block with the cluster's hosts in /etc/hosts; the rest of the file stays as it is."""
    lines = []
    for entry in entries:
        words = [entry["address"], *entry["names"]]
        if any(re.search(r"[\s#]", word) or not word for word in words):
            raise HostError(f"{words!r} is no entry for /etc/hosts")
        lines.append(" ".join(words))
    sentence = f"wrote {len(lines)} hosts to /etc/hosts"
    path = root / "etc/hosts"
    changes.file(path, with_block(path, "\n".join(lines)), sentence=sentence)


def keep_from_cloud_init(root: Path, changes: Changes) -> None:
    """Cloud-init would set host name and /etc/hosts back at the next boot; say that they are ours now."""
    if (root / "etc/cloud").is_dir():
        changes.file(
            root / "etc/cloud/cloud.cfg.d/99-zz-provision.cfg",
            f"{MARK}\npreserve_hostname: true\nmanage_etc_hosts: false\n",
            sentence="configured cloud-init to leave the host name and /etc/hosts alone",
        )


if __name__ == "__main__":
    run_module(
        {
            "hostname": {"type": "str", "default": ""},
            "hosts_entries": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "address": {"type": "str", "required": True},
                    "names": {"type": "list", "elements": "str", "required": True},
                },
            },
            "modules": {"type": "list", "elements": "str", "default": []},
            "sysctls": {"type": "dict", "default": {}},
        },
        prepare,
    )
