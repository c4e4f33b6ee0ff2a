"""Load a cluster file as a `Cluster` or an `EksCluster`, or report every problem of it at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from provision.config.formats import EKS, KUBEADM, format_of
from provision.config.rules.rulebook import unsafe_text
from provision.config.rules.ssh import validate_key_file
from provision.config.structure import validate_structure
from provision.config.yaml.document import Document, parse
from provision.config.yaml.problem import FileLocator, key_text, to_findings
from provision.config.yaml.syntax import decode, file_error
from provision.errors import FileError
from provision.model.cluster import Cluster, FileModel
from provision.model.eks import EksCluster
from provision.model.plan import Finding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provision.config.inventory import Inventory
    from provision.config.yaml.problem import Problem

_LARGEST = 4 * 1024 * 1024  # bytes; 5,000 hosts with pinned keys have about 1 MiB
C_co = TypeVar("C_co", bound=FileModel, covariant=True)


@dataclass(frozen=True, slots=True)
class Loaded(Generic[C_co]):
    """A valid cluster file. `path` is as the user gave it."""

    cluster: C_co
    path: Path
    warnings: tuple[Finding, ...] = ()
    lines: Mapping[str, int] = field(default_factory=dict, repr=False)

    def line(self, key: str) -> int | None:
        """Return the line of a key ("hosts[2].address"), or None if the value is a default or of an inventory."""
        return self.lines.get(key)


AnyLoaded = Loaded[Cluster] | Loaded[EksCluster]


def kubeadm_only(loaded: AnyLoaded, what: str) -> Loaded[Cluster]:
    """Return the file as one of provider kubeadm; `what` is the command ("node add") that needs one.

    Raises FileError if the file is of another provider.
    """
    if isinstance(loaded.cluster, Cluster):
        return Loaded(loaded.cluster, loaded.path, loaded.warnings, loaded.lines)
    raise _other_provider(loaded, what, "kubeadm")


def eks_only(loaded: AnyLoaded, what: str) -> Loaded[EksCluster]:
    """Return the file as one of provider eks; as `kubeadm_only` otherwise."""
    if isinstance(loaded.cluster, EksCluster):
        return Loaded(loaded.cluster, loaded.path, loaded.warnings, loaded.lines)
    raise _other_provider(loaded, what, "eks")


def _other_provider(loaded: AnyLoaded, what: str, needed: str) -> FileError:
    line = loaded.line("provider")
    where = f"{loaded.path}:{line}" if line else str(loaded.path)
    message = f"{what} is for provider {needed}; this file's is {loaded.cluster.provider}"
    fix = f"name a file of provider {needed} with -f"
    finding = Finding.error("provider", where, message, fix, key="provider")
    return FileError(f"{where}: {message}", fix=fix, findings=(finding,))


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
        raise file_error(name, 0, "file", f"{name} does not exist", fix) from error
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise file_error(
            name, 0, "file", f"{name} cannot be read: {why}", "name a file that you may read"
        ) from error
    if len(raw) > _LARGEST:
        size = f"the file is larger than {_LARGEST // 1024 // 1024} MiB"
        raise file_error(name, 0, "file-size", size, "is it a cluster file? -f names another")
    return load_text(decode(raw, name), path)


def load_text(text: str, path: Path) -> AnyLoaded:
    """Load text that is, or will be, the file at `path`; paths in it are relative to that. Raises as `load` does."""
    document = parse(text, str(path))
    return _eks(document, path) if format_of(document.data) is EKS else _kubeadm(document, path)


def _eks(document: Document, path: Path) -> Loaded[EksCluster]:
    problems = [*document.problems, *validate_structure(document.data, document.raw, EKS)]
    problems += EKS.values(document.data)
    findings = _raise_for_errors(problems, FileLocator(path, document.lines))
    return Loaded(EksCluster.model_validate(document.data), path, findings, _lines(document))


def _kubeadm(document: Document, path: Path) -> Loaded[Cluster]:
    problems = [*document.problems, *validate_structure(document.data, document.raw, KUBEADM)]
    data, inventory = _with_hosts(document, path)
    if inventory:
        problems += inventory.problems
        problems += validate_structure(data, {}, KUBEADM) if inventory.hosts else []
    problems += KUBEADM.values(data)
    key_path = _key_path(data, path)
    if key_path and not any(problem.key == ("ssh", "key") for problem in problems):
        problems += validate_key_file(key_path)
    names = tuple(str(host["name"]) for host in inventory.hosts) if inventory else ()
    source = path.parent / str(document.data.get("inventory"))
    findings = _raise_for_errors(problems, FileLocator(path, document.lines, names, source))
    cluster = Cluster.model_validate(data)
    if key_path:
        cluster = cluster.model_copy(update={"ssh": cluster.ssh.model_copy(update={"key": str(key_path)})})
    return Loaded(cluster, path, findings, _lines(document))


def _raise_for_errors(problems: list[Problem], locator: FileLocator) -> tuple[Finding, ...]:
    """Return the warnings. Raises FileError with all findings if one of them is an error."""
    findings = to_findings(problems, locator)
    count = sum(finding.severity == "error" for finding in findings)
    if count:
        message = f"{locator.path} has {count} {'error' if count == 1 else 'errors'}"
        raise FileError(message, findings=findings)
    return findings


def _lines(document: Document) -> Mapping[str, int]:
    return {key_text(key): line for key, line in document.lines.items()}


def _with_hosts(document: Document, path: Path) -> tuple[dict[str, object], Inventory | None]:
    """Return the data with `inventory` replaced by its hosts, and the inventory, if there is one to read."""
    data = dict(document.data)
    source = data.get("inventory")
    if not isinstance(source, str) or "hosts" in data or list(unsafe_text((), source)):
        return data, None
    from provision.config.inventory import read_inventory  # noqa: PLC0415 only needed for files with an inventory

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
    except RuntimeError:  # ~unknown-user
        return (path.parent / key).absolute()
