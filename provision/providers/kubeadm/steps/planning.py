"""Plans of the verbs: each builds a context, and the catalogue says which steps that calls for. Pure.

A step is in a plan only if some host needs it, and names only those hosts: no step, nothing to do.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from provision.model.plan import OnFailure
from provision.providers.kubeadm.steps.catalogue import CATALOGUE
from provision.providers.kubeadm.steps.context import (
    ClusterReset,
    Leaving,
    PlanContext,
    membership,
    nodes_of_other_clusters,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from provision.model.cluster import Cluster
    from provision.model.plan import PlaybookPlan
    from provision.providers.kubeadm.facts.cluster import Node
    from provision.providers.kubeadm.facts.host import Observation


def apply_plan(cluster: Cluster, observation: Observation, *, smoke: bool) -> PlaybookPlan:
    """The steps that bring observed hosts and the cluster to the file; () if there is nothing to do.

    Hosts that were not observed are left alone, and not waited for. `smoke`: end with the smoke test where nodes
    were made.
    """
    return CATALOGUE.plan(_context(cluster, observation, observation, smoke=smoke))


def join_plan(
    cluster: Cluster, observation: Observation, names: Collection[str], *, smoke: bool
) -> PlaybookPlan:
    """The steps that make nodes of the hosts of these names; other hosts take part only for their sake.

    Nodes of these names that the cluster may still have are taken for them, unless `observation` comes from
    `Observation.without_nodes`.
    """
    return CATALOGUE.plan(_join_context(cluster, observation, names, smoke=smoke))


def removal_plan(
    cluster: Cluster,
    observation: Observation,
    names: Sequence[str],
    *,
    force: bool = False,
    drain_seconds: int,
) -> PlaybookPlan:
    """The steps that take hosts out of the cluster, but for those that are done already.

    `cluster` is the file with the hosts still in it. Machines of the file that were not observed are taken for gone:
    their nodes are deleted without a drain, and they are not reset. A machine that is a node of another cluster by now
    is left alone. `force`: delete pods without a controller, and take machines that the file does not have for gone.
    """
    nodes = [name for name in names if _node(observation, name) is not None]
    known = {host.name for host in cluster.hosts}
    # The pods of a machine that is gone, or whose kubelet is, would never end.
    running = [
        name
        for name in nodes
        if _is_ready(observation, name) and (name in observation.hosts or (name not in known and not force))
    ]
    foreign = nodes_of_other_clusters(cluster, observation, names)
    members = tuple(host.name for host in cluster.control_planes_among(names))
    through = _survivor(cluster, observation, names)
    leaving = Leaving(
        cluster=cluster,
        observation=observation,
        through=through,
        drain=tuple(running),
        drain_seconds=drain_seconds,
        force=force,
        etcd_members=members,
        delete=tuple(nodes),
        reset=tuple(name for name in names if name not in foreign),
        update_endpoint=bool(members and through),
    )
    return CATALOGUE.plan(_context(cluster, observation, observation, joins=False, leaving=leaving))


def replacement_plan(
    before: Cluster, cluster: Cluster, observation: Observation, name: str, *, smoke: bool
) -> PlaybookPlan:
    """The steps that give a node another machine; () if it has it already.

    `before` is the file as it was, `cluster` with the new machine's address. `observation` has the new machine.
    """
    node = _node(observation, name)
    facts = observation.hosts[name]
    if node is None or (facts.kubernetes.joined and facts.machine.machine_id == node.machine_id):
        return join_plan(cluster, observation, [name], smoke=smoke)
    leaving = Leaving(
        cluster=before,
        observation=observation,
        through=_survivor(before, observation, [name]),
        etcd_members=tuple(host.name for host in before.control_planes_among([name])),
        delete=(name,),
        reason="is the node of the machine that is replaced",
    )
    later = observation.without_nodes([name])
    return CATALOGUE.plan(_join_context(cluster, later, [name], smoke=smoke, leaving=leaving))


def reset_plan(
    cluster: Cluster, observation: Observation, names: Collection[str], *, force: bool = False
) -> PlaybookPlan:
    """The steps that reset those of the hosts that were observed and are not clean, without leaving the cluster first.

    All hosts of the file: in an order in which the cluster can be reached for as long as possible. `force`: the
    failure of one host does not keep the others from being reset.
    """
    if set(names) >= {host.name for host in cluster.hosts}:
        on_failure = OnFailure.LEAVE_HOSTS_OUT if force else OnFailure.STOP_ALL
        reset = ClusterReset(cluster=cluster, observation=observation, on_failure=on_failure)
        return CATALOGUE.plan(_context(cluster, observation, observation, joins=False, reset=reset))
    leaving = Leaving(cluster=cluster, observation=observation, through="", reset=tuple(names))
    return CATALOGUE.plan(_context(cluster, observation, observation, joins=False, leaving=leaving))


def _join_context(
    cluster: Cluster,
    observation: Observation,
    names: Collection[str],
    *,
    smoke: bool,
    leaving: Leaving | None = None,
) -> PlanContext:
    own = observation.of_hosts(names)
    # Hosts that were observed besides the new ones need to know of a new control plane.
    wide = cluster.control_planes_among(names) and membership(cluster, own).new_nodes
    context = _context(cluster, own, observation if wide else own, smoke=smoke, leaving=leaving)
    return replace(context, firewall_observation=observation)


def _context(
    cluster: Cluster,
    observation: Observation,
    endpoint_observation: Observation,
    *,
    joins: bool = True,
    smoke: bool = False,
    leaving: Leaving | None = None,
    reset: ClusterReset | None = None,
) -> PlanContext:
    return PlanContext(
        cluster=cluster,
        observation=observation,
        endpoint_observation=endpoint_observation,
        firewall_observation=observation,
        members=membership(cluster, observation),
        joins=joins,
        smoke=smoke,
        leaving=leaving,
        reset=reset,
    )


def _survivor(cluster: Cluster, observation: Observation, leaving: Collection[str]) -> str:
    """The healthy control plane to work through while those of the names `leaving` go; "" if none answers."""
    planes = observation.observed(cluster.control_planes)
    return next((host.name for host, facts in planes if host.name not in leaving and facts.is_healthy), "")


def _node(observation: Observation, name: str) -> Node | None:
    return observation.cluster.node(name) if observation.cluster else None


def _is_ready(observation: Observation, name: str) -> bool:
    node = _node(observation, name)
    return node is not None and node.ready
