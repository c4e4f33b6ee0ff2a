"""Edit the hosts of a cluster file, keeping every byte outside of the change.

The result is loaded before it is written, and must have exactly the wanted hosts: a file that cannot be edited safely
(anchors, merges) stays unchanged, and the error says what to change by hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from provision.config.edit.host_text import HostsText
from provision.config.load import Loaded, kubeadm_only, load_text
from provision.config.yaml.syntax import decode
from provision.errors import FileError
from provision.files import atomic_write

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from provision.model.cluster import Cluster, Host

_BOM = b"\xef\xbb\xbf"
_WHAT = "editing hosts"


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of a file's text, and the same change of its hosts."""

    text: Callable[[str], str]
    hosts: Callable[[Sequence[Host]], Sequence[Host]]


def add_hosts(new: Sequence[Host]) -> Edit:
    """Add hosts, each behind the last one of its role; a host whose name exists stays unchanged."""

    def hosts(present: Sequence[Host]) -> Sequence[Host]:
        names = {host.name for host in present}
        return [*present, *(host for host in new if host.name not in names)]

    return Edit(lambda text: HostsText(text).with_hosts(new), hosts)


def remove_hosts(names: Collection[str]) -> Edit:
    """Remove hosts; names that the file does not have are ignored."""
    return Edit(
        lambda text: HostsText(text).without_hosts(names),
        lambda present: [host for host in present if host.name not in names],
    )


def change_host(name: str, values: Mapping[str, str | int | None]) -> Edit:
    """Set keys of a host to other values; None removes the key, for keys whose default is null."""

    def text(before: str) -> str:
        for key, value in values.items():
            before = HostsText(before).with_value(name, key, value)
        return before

    def hosts(present: Sequence[Host]) -> Sequence[Host]:
        return [host.model_copy(update=dict(values)) if host.name == name else host for host in present]

    return Edit(text, hosts)


def load_edited(path: Path, edit: Edit) -> Loaded[Cluster]:
    """Return the file as it would be loaded after the edit; nothing is written.

    Raises FileError if the edited file would be invalid, with a finding for each problem, or if the text cannot be
    edited without changing something else.
    """
    return _load(path, edit)[0]


def write_edited(path: Path, edit: Edit) -> Loaded[Cluster]:
    """Edit the file atomically; its mode, its owner and a symbolic link to it stay.

    Raises FileError as `load_edited` does, and if the file cannot be written.
    """
    loaded, before, after = _load(path, edit)
    if after != before:
        _write(path, after)
    return loaded


def refuse_inventory(loaded: Loaded[Cluster], what: str) -> None:
    """Raise FileError if the hosts of the file come from an Ansible inventory, which provision does not edit."""
    line = loaded.line("inventory")
    if line is None:
        return
    raise FileError(
        f"{loaded.path}:{line}: the hosts come from an Ansible inventory, which `{what}` does not edit",
        fix=f"change the inventory, then `provision apply -f {loaded.path}`",
    )


def _load(path: Path, edit: Edit) -> tuple[Loaded[Cluster], bytes, bytes]:
    """Return the edited file as loaded, and its bytes before and after."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise FileError(f"{path} cannot be read: {why}", fix="name a file that you may read") from error
    text = decode(raw, str(path))
    before = kubeadm_only(load_text(text, path), _WHAT).cluster
    new = edit.text(text)
    after = kubeadm_only(load_text(new, path), _WHAT)
    wanted = {host.name: host for host in edit.hosts(before.hosts)}
    got = {host.name: host for host in after.cluster.hosts}
    if got != wanted or _without_hosts(after.cluster) != _without_hosts(before):
        differing = sorted(name for name in wanted.keys() | got.keys() if wanted.get(name) != got.get(name))
        raise FileError(
            f"{path}: the hosts are written in a way that cannot be edited safely ({', '.join(differing)})",
            fix="edit the file by hand (no anchor or merge may reach from one host into another), "
            "then run the command again",
        )
    return after, raw, (_BOM if raw.startswith(_BOM) else b"") + new.encode()


def _without_hosts(cluster: Cluster) -> Cluster:
    return cluster.model_copy(update={"hosts": ()})


def _write(path: Path, content: bytes) -> None:
    target = path.resolve()
    try:
        atomic_write(target, content, like=target.stat())
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        fix = "make the file and its directory writable"
        raise FileError(f"{path} cannot be written: {why}", fix=fix) from error
