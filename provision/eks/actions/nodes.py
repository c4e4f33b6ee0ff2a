"""Waits until the nodes of the node groups are ready, by what the cluster's API server says."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from provision.eks import kube_api
from provision.eks.readers.cluster import read
from provision.eks.token import token
from provision.errors import ProvisionError, StepFailedError

if TYPE_CHECKING:
    from provision.eks.facts import ClusterFacts
    from provision.eks.work import Work

_LIMIT = 1200.0  # seconds
_PATIENCE = 5  # looks at a silent endpoint that only the VPC reaches
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
    silent: list[ProvisionError] = []

    def look() -> str | None:
        try:
            found = [one for one in _nodes(work, cluster) if one.node_group == group]
        except ProvisionError as error:
            silent.append(error)
            if not cluster.public and len(silent) >= _PATIENCE:
                return f"not looked at from here: {error.message}"
            work.note(resource, error.message)
            return None
        ready = [one for one in found if one.ready]
        if len(ready) >= wanted:
            return f"{len(ready)} of {wanted} nodes are ready"
        for one in found:
            if not one.ready:
                work.note(resource, f"{one.name} is not ready: {one.message}", passing=True)
        return None

    yield work.until(resource, "wait for ready nodes", look, limit=_LIMIT)


def _nodes(work: Work, cluster: ClusterFacts) -> tuple[kube_api.KubeNode, ...]:
    session = work.account.session._session  # noqa: SLF001  (botocore's, which boto3 hands to nobody)
    bearer = token(work.cluster.name, work.account.region, session)
    return kube_api.nodes(cluster, bearer, _TIMEOUT)
