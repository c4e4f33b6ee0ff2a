"""How an operation ended, as data: returned by the operations of a provider, rendered by `report.tables`.

`seconds` are from the first observation to the end; `proofs` are sentences of the smoke test, () if it did not run.
An operation that changed nothing and wrote no file ends with None.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from provision.model.status import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterReady:
    """`apply` ran its steps; `kubeconfig` and `file` (the cluster file) appear in the commands to go on with."""

    status: Status
    seconds: float
    proofs: tuple[str, ...]
    kubeconfig: Path
    file: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeconfigOnly:
    """There was nothing to do but write the kubeconfig."""

    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class NodesJoined:
    """`names` joined or were replaced; `status` may list other nodes, too."""

    status: Status
    names: tuple[str, ...]
    seconds: float
    proofs: tuple[str, ...]
    file: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class NodesRemoved:
    """`names` left the cluster and the file.

    `not_reset` are those of them whose machines could not be reached; `vip_holders` those of `not_reset` that would
    announce the virtual address again if they were switched on.
    """

    cluster: str
    names: tuple[str, ...]
    not_reset: tuple[str, ...]
    seconds: float
    file: Path
    vip_holders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HostsReset:
    """`hosts` were reset; `removed_kubeconfig` is the file that was removed with the cluster."""

    cluster: str
    hosts: tuple[str, ...]
    seconds: float
    removed_kubeconfig: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeconfigRemoved:
    """There was nothing to reset but a kubeconfig of the cluster."""

    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterDeleted:
    """Nothing that belonged to the EKS cluster is left."""

    cluster: str
    seconds: float


Outcome = (
    ClusterReady
    | KubeconfigOnly
    | NodesJoined
    | NodesRemoved
    | HostsReset
    | KubeconfigRemoved
    | ClusterDeleted
)
