"""What a reset of hosts needs, as steps. Pure.

Workers go first and one control plane last, so that there is something to look through for as long as possible.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from provision.model.plan import OnFailure, PlaybookStep, Reason
from provision.providers.kubeadm.steps.context import step

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from provision.model.cluster import Cluster
    from provision.model.plan import PlaybookStep
    from provision.providers.kubeadm.facts.host import HostFacts, Observation

RESET_PLAYBOOK = "reset-hosts"


def reset_plan(cluster: Cluster, seen: Observation, *, force: bool = False) -> tuple[PlaybookStep, ...]:
    """The steps that reset every host of the file that was observed and is not clean; () if all of them are.

    `force`: the failure of one host does not keep the others from being reset.
    """
    on_failure = OnFailure.LEAVE_HOSTS_OUT if force else OnFailure.STOP_ALL
    last = _last(cluster, seen)
    workers = [host.name for host in cluster.workers]
    others = [host.name for host in cluster.control_planes if host.name != last]
    return (
        *reset_hosts(
            cluster, seen, workers, name="reset-workers", summary="Reset the workers", on_failure=on_failure
        ),
        *reset_hosts(
            cluster,
            seen,
            others,
            name="reset-control-planes",
            summary="Reset the control planes but the last",
            needs=("reset-workers",),
            on_failure=on_failure,
        ),
        *reset_hosts(
            cluster,
            seen,
            [last],
            name="reset-last-control-plane",
            summary="Reset the last control plane",
            needs=("reset-workers", "reset-control-planes"),
        ),
    )


def reset_hosts(
    cluster: Cluster,
    seen: Observation,
    names: Collection[str],
    *,
    name: str = "reset-hosts",
    summary: str = "Reset hosts: nothing of Kubernetes stays, the preparation is undone",
    needs: tuple[str, ...] = (),
    on_failure: OnFailure = OnFailure.LEAVE_HOSTS_OUT,
) -> Iterator[PlaybookStep]:
    """The step that resets those of the hosts that were seen and are not clean; nothing where there is none."""
    reasons = tuple(
        Reason(host, why)
        for host in names
        if host in seen.hosts
        for why in _first(reset_reasons(seen.hosts[host]))
    )
    for found in step(
        name,
        summary,
        needs=needs,
        reasons=reasons,
        variables={
            "host_reset_pod_cidr": cluster.network.pod_cidr,
            "host_reset_service_cidr": cluster.network.service_cidr,
        },
    ):
        yield replace(found, playbook=RESET_PLAYBOOK, on_failure=on_failure)


def reset_reasons(facts: HostFacts) -> Iterator[str]:
    """What there is to reset on a host, the weightiest first."""
    kubernetes = facts.kubernetes
    if kubernetes.reset_interrupted:
        yield "its reset was interrupted"
    if kubernetes.role is not None:
        yield f"is a {kubernetes.role.replace('-', ' ')}"
    if kubernetes.etcd_data or kubernetes.admin or kubernetes.ca or kubernetes.manifests:
        yield "has files of a cluster"
    if kubernetes.markers:
        yield "was prepared for a cluster"


def _last(cluster: Cluster, seen: Observation) -> str:
    """The control plane that goes last: the one whose API server answers."""
    observed = cluster.control_planes_among(seen.hosts)
    return seen.source or (observed or cluster.control_planes)[0].name


def _first(reasons: Iterator[str]) -> Iterator[str]:
    for reason in reasons:
        yield reason
        return
