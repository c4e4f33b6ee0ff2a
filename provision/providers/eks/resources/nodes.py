"""Nodes of the node groups: wait until they are ready, by what the cluster's API server says."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from provision.errors import ProvisionError, StepFailedError
from provision.providers.eks import names
from provision.providers.eks.aws import kube_api
from provision.providers.eks.aws.token import token
from provision.providers.eks.resources.cluster import read_cluster
from provision.providers.eks.steps.planning import Change

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provision.providers.eks.facts import ClusterFacts
    from provision.providers.eks.steps.execution import Work
    from provision.providers.eks.steps.planning import PlanContext

_LIMIT = 1200.0  # seconds
# Looks at an endpoint that is silent or refuses us: two minutes where it should answer, as a new name needs its time.
_PATIENCE, _PRIVATE_PATIENCE = 24, 5
_TIMEOUT = 5.0  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyNodes(Change):
    """`ready`: how many nodes of the group must be ready."""

    group: str
    ready: int


def changes(context: PlanContext) -> Iterator[ReadyNodes]:
    """All node groups with nodes; for a plan that changes nodes."""
    for group in context.cluster.node_groups:
        if group.desired:
            reasons = ("the steps before change nodes",)
            yield ReadyNodes(names.node_group(group.name), reasons, group=group.name, ready=group.desired)


def await_nodes(work: Work) -> None:
    """Nothing with `--no-wait`: nothing builds on ready nodes."""
    for host in work.step.hosts if not work.awaits else ():
        work.attempt(host, "leave the nodes to come", tuple)
    if not work.awaits:
        return
    cluster = read_cluster(work.cluster.name, work.account)
    if cluster is None:
        raise StepFailedError(f"cluster {work.cluster.name} is gone", fix="run the same command again")
    work.attempt_each(ReadyNodes, "wait for ready nodes", partial(_ready, cluster))


def _ready(cluster: ClusterFacts, work: Work, change: ReadyNodes) -> Iterator[str]:
    resource, wanted = change.resource, change.ready
    patience = _PATIENCE if cluster.public else _PRIVATE_PATIENCE
    silent = 0

    def ready_nodes() -> str | None:
        nonlocal silent
        try:
            found = [one for one in _nodes(work, cluster) if one.node_group == change.group]
        except ProvisionError as error:
            silent += 1
            if silent >= patience:
                # No failure: AWS calls the node group ACTIVE, which it is once its nodes have joined.
                return f"the nodes were not looked at: {error.message}; {error.fix}"
            return None
        silent = 0
        ready = [one for one in found if one.ready]
        if len(ready) >= wanted:
            return f"{len(ready)} of {wanted} nodes are ready"
        for one in found:
            if not one.ready:
                work.note(resource, f"{one.name} is not ready: {one.message}", passing=True)
        return None

    yield work.until(resource, "wait for ready nodes", ready_nodes, limit=_LIMIT)


def _nodes(work: Work, cluster: ClusterFacts) -> tuple[kube_api.KubeNode, ...]:
    bearer = token(work.cluster.name, work.account.region, work.account.signer)
    return kube_api.nodes(cluster, bearer, _TIMEOUT)
