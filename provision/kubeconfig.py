"""The admin kubeconfig: named after the cluster, written beside the cluster file, merged on request.

A kubeconfig from a host is not trusted: only its server, certificate authority and client certificate are used, so
that no program named in it is ever run here.
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import yaml

from provision.errors import BusyError, FileError, ProvisionError
from provision.files import atomic_write
from provision.model.units import join_host_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


ADMIN = "/etc/kubernetes/admin.conf"  # on every control plane; kubeadm makes it for the group kubeadm:cluster-admins
API_PORT = 6443  # of an API server itself
_LOOPBACK = re.compile(r"^(\s*(?:- )?server:\s*)https://(?:127\.0\.0\.1|\[::1\]):\d+\s*$", re.MULTILINE)
_CLUSTER_FIELDS = ("server", "certificate-authority-data")
_USER_FIELDS = ("client-certificate-data", "client-key-data")
_LISTS = ("clusters", "contexts", "users")


def beside(file: Path, cluster: str) -> Path:
    """Return `demo.kubeconfig` in the directory of the file of cluster `demo`."""
    return file.parent / f"{cluster}.kubeconfig"


def replace_loopback(text: str, address: str) -> str:
    """Return the kubeconfig with `address` instead of a loopback address, which is another machine here."""
    return _LOOPBACK.sub(rf"\g<1>https://{join_host_port(address, API_PORT)}", text)


def rename(text: str, name: str) -> str:
    """Return the kubeconfig with its cluster and context renamed to `name` and its user to `name-admin`."""
    try:
        config = yaml.safe_load(text)
        cluster = {field: str(config["clusters"][0]["cluster"][field]) for field in _CLUSTER_FIELDS}
        user = {field: str(config["users"][0]["user"][field]) for field in _USER_FIELDS}
    except (yaml.YAMLError, LookupError, TypeError) as error:
        fix = f"look at {ADMIN} there; `kubeadm kubeconfig user` creates a new one"
        raise ProvisionError(f"{ADMIN} of the control plane is not an admin kubeconfig", fix=fix) from error
    return _text(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": cluster}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": f"{name}-admin"}}],
            "users": [{"name": f"{name}-admin", "user": user}],
            "current-context": name,
        }
    )


def write(path: Path, text: str) -> None:
    """Write the file atomically with mode 0600. Raises FileError if the directory is not writable."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, text.encode())
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise FileError(f"{path} cannot be written: {why}", fix="name a writable directory") from error


def write_if_changed(path: Path, text: str) -> bool:
    """Write the file if it is missing or differs; return whether it was written. Raises FileError as `write` does."""
    if path.exists() and path.read_text(errors="replace") == text:
        return False
    write(path, text)
    return True


def merge(text: str, into: Path) -> bool:
    """Add or update the kubeconfig's cluster, user and context in `into`; everything else there stays.

    Return whether its context became the current one, which is so if there was none. `into` is replaced atomically,
    under the lock that kubectl uses; a symbolic link is followed. Raises FileError if `into` is not a kubeconfig, or
    has a cluster of that name with another server; BusyError while kubectl changes it.
    """
    into = into.expanduser().resolve()
    into.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _locked(into):
        present, fresh = _present(into), yaml.safe_load(text)
        _refuse_another(present, fresh, into)
        for name in _LISTS:
            present[name] = _joined(present.get(name) or [], fresh[name])
        current = not present.get("current-context")
        if current:
            present["current-context"] = fresh["current-context"]
        write(into, _text(present))
    return current


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock file beside `path` that kubectl and client-go use. Raises BusyError if it exists."""
    lock = path.with_name(f"{path.name}.lock")
    try:
        os.close(os.open(lock, os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError as error:
        fix = f"try again; if no kubectl is running, remove {lock}"
        raise BusyError(f"{path} is being changed by another program ({lock} is there)", fix=fix) from error
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


def _present(path: Path) -> dict[str, Any]:
    problem = FileError(f"{path} is not a kubeconfig; it was left as it is", fix="repair it or move it away")
    try:
        config = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        config = None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise problem from error
    if config is None:
        return {"apiVersion": "v1", "kind": "Config"}
    if not isinstance(config, dict) or config.get("kind", "Config") != "Config":
        raise problem
    if not all(_is_list_of_names(config.get(name) or []) for name in _LISTS):
        raise problem
    return config


def _is_list_of_names(entries: object) -> bool:
    return isinstance(entries, list) and all(isinstance(entry, dict) and "name" in entry for entry in entries)


def _refuse_another(present: dict[str, Any], fresh: dict[str, Any], path: Path) -> None:
    """Raise FileError if a cluster of the same name has another server and another certificate authority."""
    name, cluster = fresh["clusters"][0]["name"], fresh["clusters"][0]["cluster"]
    server, authority = cluster["server"], cluster["certificate-authority-data"]
    for entry in present.get("clusters") or []:
        there = entry.get("cluster") or {}
        other = there.get("server")
        if entry["name"] == name and other != server and there.get("certificate-authority-data") != authority:
            raise FileError(
                f"{path} has another cluster {name}, at {other} and not at {server}",
                fix="choose another name for it there: --context NAME",
            )


def _joined(present: list[dict[str, Any]], fresh: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the present entries, those of the same name replaced, followed by the new ones."""
    new = {entry["name"]: entry for entry in fresh}
    kept = [new.pop(entry["name"], entry) for entry in present]
    return kept + list(new.values())


def _text(config: dict[str, Any]) -> str:
    return yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
