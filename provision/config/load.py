"""From a file to a `Cluster` or an `EksCluster`, or to every problem of it at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from provision.config.document import Document, parse
from provision.config.loaded import AnyLoaded, Loaded
from provision.config.places import Places, findings_at
from provision.config.problem import key_text
from provision.config.provider import EKS, KUBEADM, provider_of
from provision.config.rules.text import unsafe_text
from provision.config.shape import problems_of_shape
from provision.config.ssh_key import problems_of_key
from provision.config.syntax import decoded, refusal
from provision.errors import FileError
from provision.model.cluster import Cluster
from provision.model.eks import EksCluster

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provision.config.inventory import Inventory
    from provision.config.problem import Problem
    from provision.model.plan import Finding

_LARGEST = 4 * 1024 * 1024  # bytes; 5,000 hosts with pinned keys have about 1 MiB


def load(path: Path) -> AnyLoaded:
    """Read a cluster file.

    `ssh.key` of the result is an absolute path. Raises FileError with a finding for everything that is wrong;
    warnings alone do not raise.
    """
    name = str(path)
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST + 1)
    except FileNotFoundError as error:
        fix = "`provision init kubeadm` or `provision init eks` writes one; -f names another"
        raise refusal(name, 0, "file", f"{name} does not exist", fix) from error
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise refusal(
            name, 0, "file", f"{name} cannot be read: {why}", "name a file that you may read"
        ) from error
    if len(raw) > _LARGEST:
        size = f"the file is larger than {_LARGEST // 1024 // 1024} MiB"
        raise refusal(name, 0, "file-size", size, "is it a cluster file? -f names another")
    return load_text(decoded(raw, name), path)


def load_text(text: str, path: Path) -> AnyLoaded:
    """Do as `load` does with text that is, or will be, at `path`; relative paths in it begin there."""
    document = parse(text, str(path))
    return _eks(document, path) if provider_of(document.data) is EKS else _kubeadm(document, path)


def _eks(document: Document, path: Path) -> Loaded[EksCluster]:
    problems = [*document.problems, *problems_of_shape(document.data, document.written, EKS)]
    problems += EKS.values(document.data)
    findings = _judged(problems, Places(path, document.lines))
    return Loaded(EksCluster.model_validate(document.data), path, findings, _lines(document))


def _kubeadm(document: Document, path: Path) -> Loaded[Cluster]:
    problems = [*document.problems, *problems_of_shape(document.data, document.written, KUBEADM)]
    data, inventory = _with_hosts(document, path)
    if inventory:
        problems += inventory.problems
        problems += problems_of_shape(data, {}, KUBEADM) if inventory.hosts else []
    problems += KUBEADM.values(data)
    key_path = _key_path(data, path)
    if key_path and not any(problem.key == ("ssh", "key") for problem in problems):
        problems += problems_of_key(key_path)
    names = tuple(str(host["name"]) for host in inventory.hosts) if inventory else ()
    source = path.parent / str(document.data.get("inventory"))
    findings = _judged(problems, Places(path, document.lines, names, source))
    cluster = Cluster.model_validate(data)
    if key_path:
        cluster = cluster.model_copy(update={"ssh": cluster.ssh.model_copy(update={"key": str(key_path)})})
    return Loaded(cluster, path, findings, _lines(document))


def _judged(problems: list[Problem], places: Places) -> tuple[Finding, ...]:
    """Return the warnings; raises FileError with everything if anything is an error."""
    findings = findings_at(problems, places)
    count = sum(finding.severity == "error" for finding in findings)
    if count:
        message = f"{places.path} has {count} {'error' if count == 1 else 'errors'}"
        raise FileError(message, findings=findings)
    return findings


def _lines(document: Document) -> Mapping[str, int]:
    return {key_text(key): line for key, line in document.lines.items()}


def _with_hosts(document: Document, path: Path) -> tuple[dict[str, object], Inventory | None]:
    """Return the data with `inventory` replaced by its hosts; as it is where there is none to read."""
    data = dict(document.data)
    source = data.get("inventory")
    if not isinstance(source, str) or "hosts" in data or list(unsafe_text((), source)):
        return data, None
    from provision.config.inventory import read_inventory  # noqa: PLC0415 most files do without

    inventory = read_inventory(path.parent / source)
    del data["inventory"]
    ssh = data.get("ssh", {})
    if inventory.hosts and isinstance(ssh, dict):
        user, key = ssh.get("user") or inventory.user, ssh.get("key") or inventory.key
        found = {name: value for name, value in (("user", user), ("key", key)) if value}
        data["ssh"] = {**ssh, **found}
        data["hosts"] = tuple(
            {name: value for name, value in host.items() if name != "user" or value != user}
            for host in inventory.hosts
        )
    return data, inventory


def _key_path(data: Mapping[str, object], path: Path) -> Path | None:
    ssh = data.get("ssh")
    key = ssh.get("key") if isinstance(ssh, dict) else None
    if not isinstance(key, str):
        return None
    try:
        return (path.parent / Path(key).expanduser()).absolute()
    except RuntimeError:  # ~nobody-of-that-name
        return (path.parent / key).absolute()
