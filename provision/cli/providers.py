"""From a cluster file to the goal of its provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from provision.engine.operation import ClusterGoal


def goal_of(
    file: Path,
    *,
    smoke: bool = True,
    reading: bool = False,
    wait: bool = True,
    live_prices: bool = False,
) -> ClusterGoal[Any]:
    """The goal of a file. What is wrong with it is told before anything else is even imported.

    `smoke` is for provider kubeadm, and so is `reading`: do without hosts that cannot be used. `wait` and `live_prices`
    are for eks. Raises FileError.
    """
    from provision.config import eks_only, kubeadm_only, load

    loaded = load(file)
    if loaded.cluster.provider == "eks":
        from provision.providers.eks.aws.account import account_of
        from provision.providers.eks.operations import EksGoal

        asked = eks_only(loaded, "this command")
        return EksGoal(asked, account_of(asked.cluster), wait=wait, live_prices=live_prices)
    from provision.providers.kubeadm.operations.apply import KubeadmGoal

    return KubeadmGoal(kubeadm_only(loaded, "this command"), smoke=smoke, reading=reading)
