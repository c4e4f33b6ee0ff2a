"""Providers: what makes a cluster. The only place that chooses between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from provision.engine.operation import ClusterOperation, Interaction, Operation
    from provision.model.plan import Finding
    from provision.model.status import Listed


class Provider(Protocol):
    """The operations on the cluster of one file. Options that do not concern a provider are ignored by it."""

    def apply(
        self,
        *,
        smoke: bool = True,
        skip_unreachable: bool = False,
        wait: bool = True,
        live_prices: bool = False,
    ) -> ClusterOperation[Any, Any]:
        """Bring the cluster to the file.

        `smoke`: test new nodes; `skip_unreachable`: do without hosts that cannot be observed (kubeadm). `wait`: stay
        until AWS is done; `live_prices`: estimate costs with today's prices (eks).
        """

    def reset(self, *, hosts: tuple[str, ...], force: bool, delete_volumes: bool) -> Operation[Any, Any]:
        """Destroy the cluster, or reset some of its hosts. Raises FileError for hosts that it does not have."""

    def list_nodes(self, interaction: Interaction) -> tuple[tuple[Listed, ...], tuple[Finding, ...] | None]:
        """Hosts and nodes; the second value says why no control plane answered, None if one did."""


def load_provider(file: Path) -> Provider:
    """The provider of a cluster file. Raises FileError before anything of a provider is imported."""
    from provision.config import eks_only, kubeadm_only, load  # noqa: PLC0415  (`eks token` needs no pydantic)

    loaded = load(file)
    if loaded.cluster.provider == "eks":
        from provision.providers.eks.provider import EksProvider  # noqa: PLC0415  (boto3 is slow to import)

        return EksProvider(eks_only(loaded, "this command"))
    from provision.providers.kubeadm.provider import KubeadmProvider  # noqa: PLC0415  (so is fabric)

    return KubeadmProvider(kubeadm_only(loaded, "this command"))
