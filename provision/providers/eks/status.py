"""How the cluster is, in one piece of data: nodes, add-ons, and what differs from the file. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from provision.model.status import NodeStatus, Status, WorkloadStatus, describe_drift
from provision.providers.eks.health import sentence

if TYPE_CHECKING:
    from provision.model.eks import EksCluster
    from provision.model.plan import Plan
    from provision.providers.eks.aws.kube_api import KubeNode
    from provision.providers.eks.facts import ClusterFacts, Observation

_WORKER = "worker"


def status(
    cluster: EksCluster,
    observation: Observation,
    plan: Plan,
    nodes: Sequence[KubeNode] | None = None,
    *,
    error: str = "",
) -> Status:
    """Put together what was observed; `plan` are the steps that `apply` would run now.

    `nodes` are what the API server says, None if it was not asked or is silent (`error` says why): then there is one
    entry for each node group. Add-ons are the workloads.
    """
    found = observation.cluster
    listed = tuple(_of_groups(cluster, observation) if nodes is None else _of_nodes(cluster, nodes))
    workloads = tuple(_workloads(cluster, observation))
    silent = error or _unwell(found)
    return Status(
        cluster=cluster.name,
        endpoint=found.endpoint if found else "",
        kubernetes=found.version if found and found.status != "CREATING" else "",
        error=silent,
        healthy=not silent
        and all(node.ready for node in listed)
        and all(part.ready >= part.wanted for part in workloads)
        and _whole(cluster, observation, nodes),
        nodes=listed,
        workloads=workloads,
        certificates=(),
        bootstrap_tokens=0,
        drift=describe_drift(plan) if found is None or found.owned else (),
    )


def _unwell(found: ClusterFacts | None) -> str:
    """Why there is no cluster to speak of; "" if there is one."""
    if found is None:
        return "the account has no such cluster"
    if not found.owned:
        return "the EKS cluster of that name was not made by provision"
    if found.status in {"ACTIVE", "UPDATING"} and not found.health:
        return ""
    said = "; ".join(map(sentence, found.health))
    return f"it is {found.status}{f': {said}' if said else ''}"


def _of_nodes(cluster: EksCluster, nodes: Sequence[KubeNode]) -> Iterator[NodeStatus]:
    groups = {group.name for group in cluster.node_groups}
    for node in nodes:
        yield NodeStatus(
            name=node.name,
            role=_WORKER,
            address=node.address,
            in_file=node.fargate or node.node_group in groups,
            joined=True,
            ready=node.ready,
            cordoned=node.cordoned,
            version=node.version,
            runtime=node.runtime,
            message=node.message,
        )


def _whole(cluster: EksCluster, observation: Observation, nodes: Sequence[KubeNode] | None) -> bool:
    """Whether every node group is well and, where nodes were listed, has as many of them as it is to have."""
    if not all(entry.ready for entry in _of_groups(cluster, observation) if entry.in_file):
        return False
    if nodes is None:
        return True
    groups = [node.node_group for node in nodes]
    return all(groups.count(group.name) >= group.desired for group in cluster.node_groups)


def _of_groups(cluster: EksCluster, observation: Observation) -> Iterator[NodeStatus]:
    """One entry for each node group of the file, and for each that is only in the cluster."""
    wanted = [group.name for group in cluster.node_groups]
    others = [group.name for group in observation.node_groups if group.name not in wanted]
    for name in (*wanted, *others):
        found = observation.node_group(name)
        said = "; ".join(map(sentence, found.health)) if found else ""
        yield NodeStatus(
            name=name,
            role="node group",
            address="",
            in_file=name in wanted,
            joined=found is not None,
            ready=found is not None and found.status in {"ACTIVE", "UPDATING"} and not found.health,
            cordoned=False,
            version=f"v{found.version}" if found and found.version else "",
            runtime=f"{found.desired} x {', '.join(found.instance_types)}" if found else "",
            message=(
                f"{found.status}{f': {said}' if said else ''}" if found and found.status != "ACTIVE" else said
            ),
        )


def _workloads(cluster: EksCluster, observation: Observation) -> Iterator[WorkloadStatus]:
    """Add-ons of the file and those of ours; ready ones are ACTIVE."""
    wanted = [one.name for one in cluster.addons]
    names = [*wanted, *(one.name for one in observation.addons if one.name not in wanted)]
    for name in names if observation.cluster else ():
        found = observation.addon(name)
        yield WorkloadStatus(
            name=name,
            version=found.version if found else "",
            ready=int(found is not None and found.status in {"ACTIVE", "UPDATING"}),
            wanted=1,
        )
