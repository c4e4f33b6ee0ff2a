"""The administrator's kubeconfig for the person who logs in to a control plane."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from pathlib import Path

from ansible.module_utils.provision_host import Changes, HostError, read, user_entry
from ansible.module_utils.provision_record import Record

_AUTHORITY = re.compile(r"certificate-authority-data:\s*(\S+)")


def give_kubeconfig(user: str, changes: Changes, *, root: Path = Path("/")) -> None:
    """Write ~user/.kube/config (0600), unless it is the file of another cluster, which stays."""
    if not user:
        return
    admin = read(root / "etc/kubernetes/admin.conf")
    if admin is None:
        if changes.dry:
            return
        raise HostError("/etc/kubernetes/admin.conf is missing, so there is no kubeconfig to give")
    entry = user_entry(user)
    owner = (entry.pw_uid, entry.pw_gid)
    path = root / entry.pw_dir.lstrip("/") / ".kube/config"
    present = read(path)
    if present is not None and _AUTHORITY.findall(present) != _AUTHORITY.findall(admin):
        return
    if not changes.dry:
        was = {"authority": _fingerprint(admin), "made_directory": not path.parent.exists()}
        Record("kubeconfig", root=root).note("kubeconfigs", str(path), was)
    if not path.parent.exists():
        changes.make(f"created {path.parent}", lambda: _make_directory(path.parent, owner))
    changes.file(path, admin, mode=0o600, owner=owner, sentence=f"wrote the kubeconfig {path}")


def take_kubeconfigs_back(changes: Changes, *, root: Path = Path("/")) -> None:
    """Remove the kubeconfigs that we gave, unless another cluster's was put in their place since."""
    for name, was in Record("kubeconfig", root=root).noted("kubeconfigs").items():
        path = Path(name)
        if path.is_file() and _fingerprint(read(path) or "") == was["authority"]:
            changes.make(f"removed the kubeconfig {path}", path.unlink)
        if was["made_directory"] and path.parent.is_dir():
            changes.make(f"removed what kubectl kept in {path.parent}", lambda at=path.parent: _forget(at))


def _forget(directory: Path) -> None:
    shutil.rmtree(directory / "cache", ignore_errors=True)
    if not any(directory.iterdir()):
        directory.rmdir()


def _fingerprint(kubeconfig: str) -> str:
    return hashlib.sha256(" ".join(_AUTHORITY.findall(kubeconfig)).encode()).hexdigest()


def _make_directory(path: Path, owner: tuple[int, int]) -> None:
    path.mkdir(mode=0o700)
    os.chown(path, *owner)
