"""What loading gives: a file of one provider, and the way to insist on which."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from provision.errors import FileError
from provision.model.cluster import Cluster, FileModel
from provision.model.eks import EksCluster
from provision.model.plan import Finding

if TYPE_CHECKING:
    from collections.abc import Mapping

C_co = TypeVar("C_co", bound=FileModel, covariant=True)


@dataclass(frozen=True, slots=True)
class Loaded(Generic[C_co]):
    """A file that asks for something possible. `path` is as the user gave it."""

    cluster: C_co
    path: Path
    warnings: tuple[Finding, ...] = ()
    lines: Mapping[str, int] = field(default_factory=dict, repr=False)

    def line(self, key: str) -> int | None:
        """Return the line of a key ("hosts[2].address"), or None where a default or an inventory holds."""
        return self.lines.get(key)


AnyLoaded = Loaded[Cluster] | Loaded[EksCluster]


def kubeadm_only(loaded: AnyLoaded, what: str) -> Loaded[Cluster]:
    """Return the file as one of provider kubeadm; `what` is the command ("node add") that needs that.

    Raises FileError if the file is of another provider.
    """
    if isinstance(loaded.cluster, Cluster):
        return Loaded(loaded.cluster, loaded.path, loaded.warnings, loaded.lines)
    raise _other_provider(loaded, what, "kubeadm")


def eks_only(loaded: AnyLoaded, what: str) -> Loaded[EksCluster]:
    """Do as `kubeadm_only` does, for provider eks."""
    if isinstance(loaded.cluster, EksCluster):
        return Loaded(loaded.cluster, loaded.path, loaded.warnings, loaded.lines)
    raise _other_provider(loaded, what, "eks")


def _other_provider(loaded: AnyLoaded, what: str, needed: str) -> FileError:
    line = loaded.line("provider")
    where = f"{loaded.path}:{line}" if line else str(loaded.path)
    message = f"{what} is for provider {needed}; this file's is {loaded.cluster.provider}"
    fix = f"name a file of provider {needed} with -f"
    finding = Finding(
        severity="error", check="provider", where=where, key="provider", message=message, fix=fix
    )
    return FileError(f"{where}: {message}", fix=fix, findings=(finding,))
