"""The operations of provider eks."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from provision.errors import FileError
from provision.providers.eks.aws.account import account_of
from provision.providers.eks.operations.apply import ApplyOperation
from provision.providers.eks.operations.reset import ResetOperation
from provision.providers.eks.operations.status import list_nodes

if TYPE_CHECKING:
    from provision.config import Loaded
    from provision.engine.operation import Interaction
    from provision.model.eks import EksCluster
    from provision.model.plan import Finding
    from provision.model.status import Listed


@dataclass(frozen=True, slots=True)
class EksProvider:
    """Implements `provision.providers.Provider`."""

    loaded: Loaded[EksCluster]

    def apply(
        self,
        *,
        smoke: bool = True,  # noqa: ARG002
        skip_unreachable: bool = False,  # noqa: ARG002
        wait: bool = True,
        live_prices: bool = False,
    ) -> ApplyOperation:
        account = account_of(self.loaded.cluster)
        return ApplyOperation(loaded=self.loaded, account=account, wait=wait, live_prices=live_prices)

    def reset(
        self,
        *,
        hosts: tuple[str, ...],
        force: bool,  # noqa: ARG002
        delete_volumes: bool,
    ) -> ResetOperation:
        if hosts:
            raise FileError(
                "an EKS cluster has no hosts of its own to reset",
                fix="change its node groups in the file and apply, or reset all of it",
            )
        account = account_of(self.loaded.cluster)
        return ResetOperation(loaded=self.loaded, account=account, delete_volumes=delete_volumes)

    def list_nodes(self, interaction: Interaction) -> tuple[tuple[Listed, ...], tuple[Finding, ...] | None]:
        operation = self.apply()
        nodes = operation.nodes(operation.observe(interaction.emit, interaction))
        return list_nodes(self.loaded.cluster, nodes, time.time()), None
