"""From what the file asks for and what was seen to the steps that are missing, each with its reasons. Pure.

A step is in the plan only if some host needs it, and names only those hosts: no step, nothing to do. What a
step does is decided here; its playbook keeps only what makes it idempotent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.model.plan import Reason
from provision.providers.kubeadm.steps.cluster import cluster_steps
from provision.providers.kubeadm.steps.context import View, step
from provision.providers.kubeadm.steps.endpoint import endpoint_steps
from provision.providers.kubeadm.steps.hosts import host_steps
from provision.providers.kubeadm.steps.membership import membership
from provision.providers.kubeadm.steps.readiness import observed_all, unready
from provision.versions import versions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provision.model.cluster import Cluster
    from provision.model.plan import PlaybookPlan, PlaybookStep
    from provision.providers.kubeadm.facts.host import Observation

# Seconds that wait-ready gives the cluster: a slow image pull and a node's start, and something more per node.
_READY_SECONDS, _READY_SECONDS_PER_NODE = 600, 5
_SMOKE_NAMESPACE = "provision-smoke-test"


def plan(cluster: Cluster, observation: Observation, *, smoke: bool) -> PlaybookPlan:
    """The steps in an order in which they could also run one by one; () if there is nothing to do.

    Hosts that were not observed are left alone, and not waited for. `smoke`: end with the smoke test where nodes
    were made.
    """
    view = View(cluster, observation, membership(cluster, observation), smoke)
    steps = [*host_steps(view), *endpoint_steps(view), *cluster_steps(view)]
    steps += _final_steps(view, steps)
    return tuple(steps)


def _final_steps(view: View, before: list[PlaybookStep]) -> Iterator[PlaybookStep]:
    cluster, through = view.cluster, view.members.through
    names = [host.name for host, _ in view.hosts]
    whole = observed_all(cluster, view.seen)
    reasons = tuple(unready(cluster, view.seen))
    if before:
        reasons = (Reason(through, "the steps before change the cluster"),)
    yield from step(
        "wait-ready",
        "Wait until nodes, network and DNS are ready" if whole else "Wait until the nodes are ready",
        needs=tuple(step.name for step in before),
        hosts=(through,),
        reasons=reasons,
        through=through,
        nodes=tuple(names),
        node_variables={"cluster_ready_nodes": tuple(names)},
        variables={
            "cluster_ready_timeout": _READY_SECONDS + _READY_SECONDS_PER_NODE * len(names),
            **({} if whole else {"cluster_ready_whole": False}),
        },
    )
    unproven = view.seen.cluster is not None and view.seen.cluster.is_unproven
    if not view.smoke or not (view.newcomers or unproven):
        return
    new = ", ".join(host.name for host in view.newcomers)
    why = f"new nodes: {new}" if new else "nodes were made since the last smoke test that passed"
    server, client = _smoke_nodes(view)
    yield from step(
        "smoke-test",
        "Prove that DNS and Services work across nodes",
        needs=("wait-ready",),
        hosts=(through,),
        reasons=(Reason(through, why),),
        through=through,
        nodes=(server, client),
        needs_all_nodes=True,
        variables={
            "smoke_test_image": versions().smoke_test.image,
            "smoke_test_server_node": server,
            "smoke_test_client_node": client,
            "smoke_test_namespace": _SMOKE_NAMESPACE,
        },
    )


def _smoke_nodes(view: View) -> tuple[str, str]:
    """The node of the web pod, if possible a new worker, and another one that asks it."""
    workers = [host.name for host in view.cluster.workers]
    new = [host.name for host in view.newcomers]
    server = next((name for name in new if name in workers), (workers or new or [view.members.through])[0])
    others = [view.members.through, *(host.name for host in view.cluster.hosts)]
    return server, next((name for name in others if name != server), server)
