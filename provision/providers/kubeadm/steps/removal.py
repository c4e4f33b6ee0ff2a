"""What is done when nodes come, leave, or get another machine. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from provision.model.plan import Reason
from provision.providers.kubeadm.checks.resets import elsewhere
from provision.providers.kubeadm.facts.cluster import ClusterFacts
from provision.providers.kubeadm.steps.context import step
from provision.providers.kubeadm.steps.etcd import remove_etcd_members, survivor, update_endpoint
from provision.providers.kubeadm.steps.planning import plan
from provision.providers.kubeadm.steps.reset import reset_hosts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from provision.model.cluster import Cluster
    from provision.model.plan import PlaybookPlan, PlaybookStep
    from provision.providers.kubeadm.facts.cluster import Node
    from provision.providers.kubeadm.facts.host import Observation

_ENDPOINT_STEPS = (
    "install-endpoint",
    "update-endpoint",
)  # a control plane that comes or goes concerns every node
_JOINS = ("join-control-planes", "join-workers")


def joining_plan(cluster: Cluster, seen: Observation, names: Collection[str], *, smoke: bool) -> PlaybookPlan:
    """The steps that make nodes of the hosts of these names; no other host has a step but for their sake.

    Nodes of these names that the cluster may still have are not taken for them: the plan is that of new nodes where
    `seen` comes from `without_nodes`.
    """
    steps = plan(cluster, only(seen, names), smoke=smoke)
    if not cluster.control_planes_among(names):
        return steps
    # Hosts that were observed besides the new ones need to know of a new control plane.
    wide = {found.name: found for found in plan(cluster, seen, smoke=False) if found.name in _ENDPOINT_STEPS}
    kept = {found.name for found in steps}
    missing = [found for found in wide.values() if found.name not in kept]
    first = next((place for place, found in enumerate(steps) if found.name in _JOINS), len(steps))
    wider = [wide.get(found.name, found) for found in steps]
    return (*wider[:first], *(missing if first < len(steps) else ()), *wider[first:])


def removal_plan(
    cluster: Cluster,
    seen: Observation,
    names: Sequence[str],
    *,
    force: bool = False,
    drain_seconds: int,
) -> PlaybookPlan:
    """The steps that take hosts out of the cluster; those that are done already are not in it.

    `cluster` is the file with the hosts still in it. Machines of the file that were not observed are taken for gone:
    their nodes are deleted without being drained, and they are not reset. A machine that belongs to another cluster by
    now is left alone. `force`: pods end that nothing makes anew, and machines that the file does not have may be gone.
    """
    nodes = [name for name in names if _node(seen, name) is not None]
    through = survivor(cluster, seen, names)
    # The pods of a machine that is gone, or whose kubelet is, would never end.
    known = {host.name for host in cluster.hosts}
    living = [
        name
        for name in nodes
        if _is_ready(seen, name) and (name in seen.hosts or (name not in known and not force))
    ]
    members = [host.name for host in cluster.control_planes_among(names)]
    others = elsewhere(cluster, seen, names)
    ours = [name for name in names if name not in others]
    return (
        *_drain(through, living, seconds=drain_seconds, force=force),
        *remove_etcd_members(cluster, seen, members, needs=("drain-nodes",)),
        *_delete(through, [(name, "leaves the cluster") for name in nodes]),
        *reset_hosts(cluster, seen, ours, needs=("delete-nodes",)),
        *update_endpoint(cluster, seen, members, needs=("delete-nodes", "reset-hosts")),
    )


def replacement_plan(
    before: Cluster, cluster: Cluster, seen: Observation, name: str, *, smoke: bool
) -> PlaybookPlan:
    """The steps that give a node another machine; () if it has it already.

    `before` is the file as it was, `cluster` with the new machine's address. `seen` has the new machine.
    """
    node = _node(seen, name)
    if node is None:
        return joining_plan(cluster, seen, [name], smoke=smoke)
    machine = seen.hosts[name]
    if machine.kubernetes.joined and machine.machine.machine_id == node.machine_id:
        return joining_plan(cluster, seen, [name], smoke=smoke)
    through = survivor(before, seen, [name])
    members = [host.name for host in before.control_planes if host.name == name]
    first = (
        *remove_etcd_members(before, seen, members),
        *_delete(through, [(name, "is the node of the machine that is replaced")]),
    )
    joins = joining_plan(cluster, without_nodes(seen, [name]), [name], smoke=smoke)
    done = tuple(found.name for found in first)
    later = (
        replace(found, needs=(*found.needs, *done)) if found.name in _JOINS else found for found in joins
    )
    return (*first, *later)


def only(seen: Observation, names: Collection[str]) -> Observation:
    """What was seen of these hosts and of the cluster; other hosts count as not observed."""
    return replace(seen, hosts={name: facts for name, facts in seen.hosts.items() if name in names})


def without_nodes(seen: Observation, names: Collection[str]) -> Observation:
    """The observation as it will be when the cluster has forgotten these nodes."""
    if seen.cluster is None:
        return seen
    values = {name: getattr(seen.cluster, name) for name in type(seen.cluster).model_fields}
    values["nodes"] = tuple(node for node in seen.cluster.nodes if node.name not in names)
    # Made anew and not copied: a copy would keep what the original remembers of its nodes.
    return replace(seen, cluster=ClusterFacts.model_construct(**values))


def _drain(through: str, names: Sequence[str], *, seconds: int, force: bool) -> Iterator[PlaybookStep]:
    yield from step(
        "drain-nodes",
        "Move the pods to other nodes",
        hosts=(through,),
        reasons=tuple(Reason(name, "leaves the cluster") for name in names),
        through=through,
        nodes=tuple(names),
        variables={
            "node_drain_nodes": list(names),
            "node_drain_timeout": seconds,
            "node_drain_force": force,
        },
    )


def _delete(through: str, reasons: Sequence[tuple[str, str]]) -> Iterator[PlaybookStep]:
    yield from step(
        "delete-nodes",
        "Delete the nodes from the cluster",
        needs=("drain-nodes", "remove-etcd-members"),
        hosts=(through,),
        reasons=tuple(Reason(name, why) for name, why in reasons),
        through=through,
        nodes=tuple(name for name, _ in reasons),
        variables={"node_delete_nodes": [name for name, _ in reasons]},
    )


def _node(seen: Observation, name: str) -> Node | None:
    return seen.cluster.node(name) if seen.cluster else None


def _is_ready(seen: Observation, name: str) -> bool:
    node = _node(seen, name)
    return node is not None and node.ready
