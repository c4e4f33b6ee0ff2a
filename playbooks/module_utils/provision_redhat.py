"""What a host with rpm needs besides, before a runtime and kubeadm: policy, kernel modules, a network left alone."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ansible.module_utils.provision_errors import HostError
from ansible.module_utils.provision_files import MARK, uses_rpm
from ansible.module_utils.provision_kernel import lacking
from ansible.module_utils.provision_packages import manager, note_before
from ansible.module_utils.provision_rpm import cloud_setup, query, selinux

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from ansible.module_utils.provision_host import Changes, Run
    from ansible.module_utils.provision_record import Record

POLICY = "container-selinux"
_REPOSITORY = "host"  # in the record, where packages have the name of theirs: the distribution's own
_UNMANAGED = "etc/NetworkManager/conf.d/99-zz-provision.conf"
# Calico's documentation; `+=` adds to what other files say.
_INTERFACES = ("cali*", "tunl*", "vxlan.calico", "vxlan-v6.calico", "wireguard.cali", "wg-v6.cali")
_NETWORK_MANAGER = "NetworkManager.service"
# Labels that the policy gives: before kubeadm, so that what is written there inherits them, and of what it has made.
_BEFORE = ("etc/kubernetes", "opt/cni/bin", "var/lib/kubelet")
_AFTER = ("etc/kubernetes", "var/lib/etcd")


def install_needed(root: Path, modules: Sequence[str], run: Run, changes: Changes) -> None:
    """Install the policy for containers where SELinux is on, and kernel modules that are kept in a package apart.

    Raises HostError where no package has them any more for the kernel that runs: another kernel is never installed.
    """
    if not uses_rpm(root):
        return
    if selinux(root) and POLICY not in query(root, [POLICY]):
        changes.make(f"installed {POLICY}", lambda: _install(POLICY, POLICY, root, run, changes))
    missing = lacking(root, modules)
    if missing:
        names = ", ".join(missing)
        changes.make(
            f"installed packages with the kernel modules {names}",
            lambda: _install_modules(modules, names, root, run, changes),
        )


def _install(name: str, wanted: str, root: Path, run: Run, changes: Changes) -> None:
    if changes.record is not None:
        note_before(_REPOSITORY, [name], changes.record, root, run=run)
    manager(root).install_own([wanted], root=root, run=run)


def _install_modules(modules: Sequence[str], missing: str, root: Path, run: Run, changes: Changes) -> None:
    release = os.uname().release
    package = f"kernel-{'uek-' if 'uek' in release else ''}modules-extra"
    wanted = f"{package}-{release}"
    way = "`sudo dnf upgrade` and `sudo reboot` there start a kernel that has packages; then run this again"
    try:
        _install(package, wanted, root, run, changes)
    except HostError as error:
        if "no enabled repository has" not in error.message:
            raise
        raise HostError(
            f"the running kernel lacks {missing}, and {wanted} is not in the package repositories any more: {way}",
            command=error.command.split(),
            lines=error.lines,
        ) from error
    left = lacking(root, modules)
    if left and not changes.dry:
        raise HostError(f"the running kernel {release} lacks {', '.join(left)}, with {wanted} as well: {way}")


def leave_pods_alone(root: Path, run: Run, changes: Changes, record: Record) -> None:
    """Keep NetworkManager from the interfaces of pods, and nm-cloud-setup from their routes."""
    if (root / _UNMANAGED).parent.is_dir():
        interfaces = ";".join(f"interface-name:{name}" for name in _INTERFACES)
        written = changes.file(
            root / _UNMANAGED,
            f"{MARK}\n[keyfile]\nunmanaged-devices+={interfaces}\n",
            sentence="configured NetworkManager to leave the interfaces of pods alone",
        )
        if written and not changes.dry:
            run(["systemctl", "try-reload-or-restart", _NETWORK_MANAGER])
    for unit in cloud_setup(root):

        def effect(unit: str = unit) -> None:
            record.note("cloud_setup", unit, was=True)
            run(["systemctl", "disable", "--now", "--quiet", unit])

        changes.make(f"disabled {unit}: what it has set goes with the next reboot", effect)


def give_network_back(
    files: Iterable[str], changes: Changes, record: Record, *, root: Path, run: Run
) -> None:
    """After a reset has restored `files`: NetworkManager reads its configuration, nm-cloud-setup is enabled again."""
    if str(root / _UNMANAGED) in files and not changes.dry:
        run(["systemctl", "try-reload-or-restart", _NETWORK_MANAGER], check=False)
    for unit in record.noted("cloud_setup"):
        if unit not in cloud_setup(root):
            changes.make(
                f"enabled {unit}",
                lambda unit=unit: run(["systemctl", "enable", "--now", "--quiet", unit], check=False),
            )


def allow(boolean: str, root: Path, run: Run, changes: Changes) -> None:
    """Set a boolean of SELinux's policy for good, where SELinux is on."""
    if not selinux(root) or not run(["getsebool", boolean], check=False).out.strip().endswith("off"):
        return

    def effect() -> None:
        if changes.record is not None:
            changes.record.note("booleans", boolean, was=False)
        run(["setsebool", "-P", f"{boolean}=on"], timeout=120)

    changes.make(f"set SELinux's {boolean}", effect)


def forbid(changes: Changes, record: Record, *, root: Path, run: Run) -> None:
    """Take the booleans back that `allow` has set."""
    names = list(record.noted("booleans")) if selinux(root) else []
    if names:
        argv = ["setsebool", "-P", *(f"{name}=off" for name in names)]
        changes.make(f"took back SELinux's {', '.join(names)}", lambda: run(argv, timeout=120))


def label_before(root: Path, run: Run) -> None:
    """Label the directories that kubeadm and the kubelet write to, before there are pods with labels of their own."""
    _label(_BEFORE, root, run)


def label_after(root: Path, run: Run) -> None:
    """Label what kubeadm has made."""
    _label(_AFTER, root, run)


def _label(places: Iterable[str], root: Path, run: Run) -> None:
    there = [str(root / place) for place in places if (root / place).is_dir()]
    if there and selinux(root):
        run(["restorecon", "-RF", *there], timeout=120)
