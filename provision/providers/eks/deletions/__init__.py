"""Gives effect to the steps of `provision.providers.eks.delete`: one function a kind of resource.

Each may be cut off at any moment and begun anew: it asks what is there, and that something is gone already is no error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from provision.providers.eks.deletions import load_balancers, network, parts, remains, roles

if TYPE_CHECKING:
    from provision.providers.eks.work import Work

_KINDS: dict[str, Callable[..., bool]] = {
    "load-balancer": load_balancers.delete_load_balancer,
    "classic-load-balancer": load_balancers.delete_classic_load_balancer,
    "target-group": load_balancers.delete_target_group,
    "pod-identity": parts.delete_pod_identity,
    "addon": parts.delete_addon,
    "fargate-profile": parts.delete_fargate_profile,
    "node-group": parts.delete_node_group,
    "cluster": parts.delete_cluster,
    "volume": network.delete_volume,
    "nat": network.delete_nat,
    "address": network.release_address,
    "network-interfaces": network.free_interfaces,
    "subnet": network.delete_subnet,
    "route-table": network.delete_route_table,
    "internet-gateway": network.delete_internet_gateway,
    "vpc": network.delete_vpc,
    "role": roles.delete_role,
}


def delete(work: Work) -> None:
    """Delete the resources of the step, at the same time or in order: then the first failure ends it.

    Raises InterruptedRunError when the run is cancelled.
    """
    tasks = [(row, f"delete {row}", _deletion(work, row)) for row in work.step.hosts]
    if not work.step.variables["in_order"]:
        work.attempt_all(tasks)
        return
    for task in tasks:
        if not work.attempt(*task):
            return


def _deletion(work: Work, row: str) -> Callable[[], Iterable[str]]:
    spec: dict[str, Any] = dict(work.spec(row))
    kind, id_ = spec.pop("kind"), spec.pop("id")
    if kind == "leftovers":
        return lambda: remains.delete_leftovers(work, row, id_, **spec)
    return lambda: (f"deleted {id_}",) if _KINDS[kind](work, row, id_, **spec) else ()
