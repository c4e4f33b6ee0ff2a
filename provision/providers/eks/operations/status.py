"""Report on the cluster: nodes, add-ons, and differences from the file. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from provision.model.status import Listed, NodeStatus, Status, WorkloadStatus, describe_drift
from provision.model.units import epoch
from provision.providers.eks.facts.health import sentence

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
) -> Status:
    """Summarise the observation; `plan`: the steps that `apply` would run now.

    `nodes` are those of the API server, None if it was not read or does not answer: then the status has an entry per
    node group. Add-ons are the workloads.
    """
    found = observation.cluster
    listed = tuple(_of_groups(cluster, observation) if nodes is None else _of_nodes(cluster, nodes))
    workloads = tuple(_workloads(cluster, observation))
    problem = _problem(found)
    return Status(
        cluster=cluster.name,
        endpoint=found.endpoint if found else "",
        kubernetes=found.version if found and found.status != "CREATING" else "",
        error=problem,
        healthy=not problem
        and all(node.ready for node in listed)
        and all(part.ready >= part.wanted for part in workloads)
        and _has_all_nodes(cluster, observation, nodes),
        nodes=listed,
        workloads=workloads,
        certificates=(),
        bootstrap_tokens=0,
        drift=describe_drift(plan) if found is None or found.owned else (),
    )


def list_nodes(cluster: EksCluster, nodes: Iterable[KubeNode], at: float) -> tuple[Listed, ...]:
    """All nodes as `provision node list` shows them. `at`: now, in seconds since the epoch.

    A node is in the file if its node group is, one of Fargate if the file has Fargate profiles.
    """
    groups = {group.name for group in cluster.node_groups}
    return tuple(
        Listed(
            name=node.name,
            role=_WORKER,
            address=node.address,
            state="ready" if node.ready else "not ready",
            cordoned=node.cordoned,
            version=node.version.removeprefix("v"),
            runtime=node.runtime,
            age=max(0.0, at - epoch(node.created)) if node.created else None,
            in_file=bool(cluster.fargate_profiles) if node.fargate else node.node_group in groups,
            labels=dict(node.labels),
            taints=node.taints,
            message=node.message,
        )
        for node in nodes
    )


def _problem(found: ClusterFacts | None) -> str:
    """Why the cluster cannot be used; "" if it can."""
    if found is None:
        return "the account has no such cluster"
    if not found.owned:
        return "the EKS cluster of that name was not created by provision"
    if found.status in {"ACTIVE", "UPDATING"} and not found.health:
        return ""
    issues = "; ".join(map(sentence, found.health))
    return f"it is {found.status}{f': {issues}' if issues else ''}"


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


def _has_all_nodes(cluster: EksCluster, observation: Observation, nodes: Sequence[KubeNode] | None) -> bool:
    """Whether every node group is healthy and, if nodes were listed, has as many as the file asks for."""
    if not all(entry.ready for entry in _of_groups(cluster, observation) if entry.in_file):
        return False
    if nodes is None:
        return True
    groups = [node.node_group for node in nodes]
    return all(groups.count(group.name) >= group.desired for group in cluster.node_groups)


def _of_groups(cluster: EksCluster, observation: Observation) -> Iterator[NodeStatus]:
    """An entry per node group of the file, and per node group that only the cluster has."""
    wanted = [group.name for group in cluster.node_groups]
    others = [group.name for group in observation.node_groups if group.name not in wanted]
    for name in (*wanted, *others):
        found = observation.node_group(name)
        issues = "; ".join(map(sentence, found.health)) if found else ""
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
                f"{found.status}{f': {issues}' if issues else ''}"
                if found and found.status != "ACTIVE"
                else issues
            ),
        )


def _workloads(cluster: EksCluster, observation: Observation) -> Iterator[WorkloadStatus]:
    """Add-ons of the file and of the cluster; ready ones are ACTIVE or UPDATING."""
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
