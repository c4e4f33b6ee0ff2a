"""The administrator's kubeconfig for the person who logs in to a control plane."""

from __future__ import annotations

import os
import pwd
import re
from pathlib import Path

from ansible.module_utils.provision_host import Changes, HostError, read

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
    try:
        entry = pwd.getpwnam(user)
    except KeyError as error:
        raise HostError(f"there is no user {user} on this host") from error
    owner = (entry.pw_uid, entry.pw_gid)
    path = root / entry.pw_dir.lstrip("/") / ".kube/config"
    present = read(path)
    if present is not None and _AUTHORITY.findall(present) != _AUTHORITY.findall(admin):
        return
    if not path.parent.exists():
        changes.make(f"created {path.parent}", lambda: _make_directory(path.parent, owner))
    changes.file(path, admin, mode=0o600, owner=owner, sentence=f"wrote the kubeconfig {path}")


def _make_directory(path: Path, owner: tuple[int, int]) -> None:
    path.mkdir(mode=0o700)
    os.chown(path, *owner)
