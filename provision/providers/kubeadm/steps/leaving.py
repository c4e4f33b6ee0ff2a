"""Steps by which nodes leave: drain, etcd, the Node objects, and the reset of the hosts. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.model.plan import OnFailure, Reason
from provision.providers.kubeadm.facts.etcd import voters
from provision.providers.kubeadm.steps.context import step

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from provision.model.cluster import Cluster
    from provision.model.plan import PlaybookStep
    from provision.providers.kubeadm.facts.host import HostFacts, Observation
    from provision.providers.kubeadm.steps.context import ClusterReset, PlanContext

RESET_PLAYBOOK = "reset-hosts"


def drain_nodes(context: PlanContext) -> Iterator[PlaybookStep]:
    leaving = context.leaving
    if leaving is None:
        return
    yield from step(
        hosts=(leaving.through,),
        reasons=tuple(Reason(name, "leaves the cluster") for name in leaving.drain),
        through=leaving.through,
        nodes=leaving.drain,
        variables={
            "node_drain_nodes": list(leaving.drain),
            "node_drain_timeout": leaving.drain_seconds,
            "node_drain_force": leaving.force,
        },
    )


def remove_etcd_members(context: PlanContext) -> Iterator[PlaybookStep]:
    """Members that leave; their machines may be lost. etcd is saved first."""
    leaving = context.leaving
    if leaving is None or not leaving.through:
        return
    known = {voter.host for voter in voters(leaving.cluster, leaving.observation)}
    planes = leaving.cluster.control_planes_among(leaving.etcd_members)
    # Where etcd could not be observed the module finds out: a member that is gone already is no change.
    members = [host for host in planes if host.name in known or not known]
    yield from step(
        hosts=(leaving.through,),
        reasons=tuple(Reason(host.name, "leaves, and is a member of etcd") for host in members),
        through=leaving.through,
        nodes=tuple(host.name for host in members),
        variables={"etcd_member_gone": [{"name": host.name, "address": host.address} for host in members]},
    )


def delete_nodes(context: PlanContext) -> Iterator[PlaybookStep]:
    leaving = context.leaving
    if leaving is None:
        return
    yield from step(
        hosts=(leaving.through,),
        reasons=tuple(Reason(name, leaving.reason) for name in leaving.delete),
        through=leaving.through,
        nodes=leaving.delete,
        variables={"node_delete_nodes": list(leaving.delete)},
    )


def reset_hosts(context: PlanContext) -> Iterator[PlaybookStep]:
    leaving = context.leaving
    if leaving is not None:
        yield from _reset(leaving.cluster, leaving.observation, leaving.reset)


def reset_workers(context: PlanContext) -> Iterator[PlaybookStep]:
    if context.reset is not None:
        names = [host.name for host in context.reset.cluster.workers]
        yield from _reset_all(context.reset, names)


def reset_control_planes(context: PlanContext) -> Iterator[PlaybookStep]:
    if context.reset is not None:
        planes = [host.name for host in context.reset.cluster.control_planes]
        yield from _reset_all(context.reset, [name for name in planes if name != _last(context.reset)])


def reset_last_control_plane(context: PlanContext) -> Iterator[PlaybookStep]:
    if context.reset is not None:
        yield from _reset_all(context.reset, [_last(context.reset)])


def _reset_all(reset: ClusterReset, names: Collection[str]) -> Iterator[PlaybookStep]:
    yield from _reset(reset.cluster, reset.observation, names, on_failure=reset.on_failure)


def _last(reset: ClusterReset) -> str:
    """The control plane whose API server answers: the rest is reached by it for as long as possible."""
    observed = reset.cluster.control_planes_among(reset.observation.hosts)
    return reset.observation.source or (observed or reset.cluster.control_planes)[0].name


def _reset(
    cluster: Cluster,
    observation: Observation,
    names: Collection[str],
    *,
    on_failure: OnFailure = OnFailure.LEAVE_HOSTS_OUT,
) -> Iterator[PlaybookStep]:
    """Reset those of the hosts that were observed and are not clean."""
    reasons = {
        name: next(reset_reasons(observation.hosts[name]), "") for name in names if name in observation.hosts
    }
    yield from step(
        reasons=tuple(Reason(name, why) for name, why in reasons.items() if why),
        on_failure=on_failure,
        variables={
            "host_reset_pod_cidr": cluster.network.pod_cidr,
            "host_reset_service_cidr": cluster.network.service_cidr,
        },
    )


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
