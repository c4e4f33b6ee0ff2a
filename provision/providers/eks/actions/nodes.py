"""Waits until the nodes of the node groups are ready, by what the cluster's API server says."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from provision.errors import ProvisionError, StepFailedError
from provision.providers.eks.aws import kube_api
from provision.providers.eks.aws.token import token
from provision.providers.eks.readers.cluster import read

if TYPE_CHECKING:
    from provision.providers.eks.facts import ClusterFacts
    from provision.providers.eks.work import Work

_LIMIT = 1200.0  # seconds
# Looks at an endpoint that is silent or refuses us: two minutes where it should answer, as a new name needs its time.
_PATIENCE, _PRIVATE_PATIENCE = 24, 5
_TIMEOUT = 5.0  # seconds


def await_nodes(work: Work) -> None:
    """Nothing with `--no-wait`: nothing builds on ready nodes."""
    for host in work.step.hosts if not work.awaits else ():
        work.attempt(host, "leave the nodes to come", tuple)
    if not work.awaits:
        return
    cluster = read(work.cluster.name, work.account)
    if cluster is None:
        raise StepFailedError(f"cluster {work.cluster.name} is gone", fix="run the same command again")
    work.attempt_all(
        [(host, "wait for ready nodes", partial(_ready, work, host, cluster)) for host in work.step.hosts]
    )


def _ready(work: Work, resource: str, cluster: ClusterFacts) -> Iterator[str]:
    group, wanted = resource.removeprefix("node-group "), int(str(work.spec(resource)["ready"]))
    patience = _PATIENCE if cluster.public else _PRIVATE_PATIENCE
    silent = 0

    def look() -> str | None:
        nonlocal silent
        try:
            found = [one for one in _nodes(work, cluster) if one.node_group == group]
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

    yield work.until(resource, "wait for ready nodes", look, limit=_LIMIT)


def _nodes(work: Work, cluster: ClusterFacts) -> tuple[kube_api.KubeNode, ...]:
    bearer = token(work.cluster.name, work.account.region, work.account.signer)
    return kube_api.nodes(cluster, bearer, _TIMEOUT)
