"""Steps that create and change the cluster: init, network, joins, labels, and the wait until all of it works. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.model.plan import Reason
from provision.providers.kubeadm.steps import kubeadm_config, role_vars
from provision.providers.kubeadm.steps.context import step
from provision.versions import versions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provision.model.cluster import Cluster, Dataplane, Role
    from provision.model.plan import PlaybookStep
    from provision.providers.kubeadm.facts.cluster import ClusterFacts
    from provision.providers.kubeadm.facts.host import Observation
    from provision.providers.kubeadm.steps.context import PlanContext

_DAEMON_SETS = ("calico-node", "kube-proxy")
_DEPLOYMENTS = ("calico-kube-controllers", "coredns")
# Seconds that wait-ready gives the cluster: a slow image pull and a node's start, and something more per node.
_READY_SECONDS, _READY_SECONDS_PER_NODE = 600, 5
_SMOKE_NAMESPACE = "provision-smoke-test"


def init_control_plane(context: PlanContext) -> Iterator[PlaybookStep]:
    first = context.members.initialise
    if first is None or not context.joins:
        return
    host = context.cluster.host(first.host)
    yield from step(
        reasons=(first,),
        through=host.name,
        nodes=(host.name,),
        needs=role_vars.pulled_before(context.cluster, host),
        variables={
            "control_plane_config": kubeadm_config.init_documents(context.cluster, host, _dataplane(context)),
            "control_plane_login_user": context.observation.hosts[host.name].machine.login,
            **({"control_plane_smoke_test_pending": True} if context.smoke else {}),
        },
    )


def install_network(context: PlanContext) -> Iterator[PlaybookStep]:
    found, through = context.observation.cluster, context.members.through
    is_new = context.members.initialise is not None or (found is not None and not found.has_network)
    if not context.joins or not is_new:
        return
    yield from step(
        reasons=(Reason(through, "the cluster has no pod network yet"),),
        through=through,
        variables=role_vars.calico_variables(context.cluster, _dataplane(context)),
    )


def _dataplane(context: PlanContext) -> Dataplane:
    return role_vars.chosen_dataplane(context.cluster, context.observation)


def join_control_planes(context: PlanContext) -> Iterator[PlaybookStep]:
    yield from _join(context, "control-plane")


def join_workers(context: PlanContext) -> Iterator[PlaybookStep]:
    yield from _join(context, "worker")


def _join(context: PlanContext, role: Role) -> Iterator[PlaybookStep]:
    cluster, reasons = context.cluster, context.join_reasons(role)
    as_control_plane = role == "control-plane"
    hosts = {host.name: host for host in cluster.hosts}
    logins = {name: facts.machine.login for name, facts in context.observation.hosts.items()}
    yield from step(
        reasons=reasons,
        through=context.members.through,
        nodes=tuple(dict.fromkeys(reason.host for reason in reasons)),
        needs=role_vars.pulled_before(cluster, *(hosts[reason.host] for reason in reasons)),
        variables={
            "node_join_control_plane": context.members.through,
            "node_join_endpoint": role_vars.endpoint(cluster),
            "node_join_as_control_plane": as_control_plane,
            **({"node_join_smoke_test_pending": True} if context.smoke else {}),
        },
        host_variables={
            reason.host: {
                "node_join_config": kubeadm_config.join_document(cluster, hosts[reason.host]),
                "node_join_login_user": logins[reason.host] if as_control_plane else "",
            }
            for reason in reasons
        },
    )


def label_nodes(context: PlanContext) -> Iterator[PlaybookStep]:
    differences = dict(_labels_and_taints(context))
    through = context.members.through
    yield from step(
        hosts=(through,),
        reasons=tuple(Reason(name, why) for name, reasons in differences.items() for why in reasons),
        through=through,
        nodes=tuple(differences),
        node_variables={
            "node_labels_nodes": {
                name: role_vars.labels_and_taints(context.cluster.host(name)) for name in differences
            }
        },
    )


def wait_ready(context: PlanContext) -> Iterator[PlaybookStep]:
    if not context.joins:
        return
    through = context.members.through
    names = tuple(host.name for host, _ in context.hosts)
    whole = context.observation.covers(context.cluster)
    reasons = tuple(_unready(context.cluster, context.observation))
    if context.planned:
        reasons = (Reason(through, "the steps before change the cluster"),)
    yield from step(
        summary="Wait until nodes, network and DNS are ready" if whole else "",
        hosts=(through,),
        reasons=reasons,
        through=through,
        nodes=names,
        variables={
            "cluster_ready_timeout": _READY_SECONDS + _READY_SECONDS_PER_NODE * len(names),
            **({} if whole else {"cluster_ready_whole": False}),
        },
        node_variables={"cluster_ready_nodes": names},
    )


def smoke_test(context: PlanContext) -> Iterator[PlaybookStep]:
    found = context.observation.cluster
    pending = found is not None and found.is_smoke_test_pending
    if not (context.joins and context.smoke) or not (context.new_nodes or pending):
        return
    through = context.members.through
    new = ", ".join(host.name for host in context.new_nodes)
    why = f"new nodes: {new}" if new else "nodes were made since the last smoke test that passed"
    server, client = _smoke_nodes(context)
    yield from step(
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


def _labels_and_taints(context: PlanContext) -> Iterator[tuple[str, list[str]]]:
    """Nodes whose labels or taints differ from the file: some are missing, or were taken out of it."""
    for host, _ in context.hosts:
        node = context.observation.cluster.node(host.name) if context.observation.cluster else None
        labels = dict(node.labels) if node else {}
        taints = {str(taint) for taint in node.taints} if node else set()
        whys = [
            f"lacks the label {key}={value}" for key, value in host.labels.items() if labels.get(key) != value
        ]
        whys += [f"lacks the taint {taint}" for taint in host.taints if taint not in taints]
        wanted = frozenset(host.labels), frozenset(map(_key_and_effect, host.taints))
        before = node.set_by_file if node else (frozenset(), frozenset())
        there = {f"{taint.key}:{taint.effect}" for taint in node.taints} if node else set()
        whys += [
            f"the label {key} is no longer in the file"
            for key in sorted((before[0] - wanted[0]) & set(labels))
        ]
        whys += [
            f"the taint {taint} is no longer in the file" for taint in sorted((before[1] - wanted[1]) & there)
        ]
        if not whys and before != wanted:
            whys = ["has not noted yet which of its labels and taints are the file's"]
        if whys:
            yield host.name, whys


def _key_and_effect(taint: str) -> str:
    """`dedicated=db:NoSchedule` -> `dedicated:NoSchedule`, which is unique on a node."""
    pair, _, effect = taint.rpartition(":")
    return f"{pair.partition('=')[0]}:{effect}"


def _unready(cluster: Cluster, observation: Observation) -> Iterator[Reason]:
    """Observed nodes and workloads of kube-system that are not ready; the API server if it does not answer.

    Workloads are left out where only some hosts were observed: they may wait for the others.
    """
    if observation.cluster is None:
        for host, facts in observation.observed(cluster.control_planes):
            if facts.api is not None:
                yield Reason(host.name, f"its API server does not answer ({facts.api.error})")
        return
    for host, _ in observation.observed(cluster.hosts):
        node = observation.cluster.node(host.name)
        if node is not None and not node.ready:
            yield Reason(host.name, f"is not ready ({node.message or 'its kubelet has not reported yet'})")
    if observation.covers(cluster):
        yield from _workloads(observation.cluster, observation.source)


def _workloads(cluster: ClusterFacts, source: str) -> Iterator[Reason]:
    for names, found in ((_DAEMON_SETS, cluster.daemonsets), (_DEPLOYMENTS, cluster.deployments)):
        for name in names:
            workload = found.get(name)
            if workload is not None and not workload.is_ready:
                yield Reason(source, f"{name}: {workload.ready} of {workload.wanted} pods are ready")


def _smoke_nodes(context: PlanContext) -> tuple[str, str]:
    """The node of the web pod, if possible a new worker, and another one that asks it."""
    workers = [host.name for host in context.cluster.workers]
    new = [host.name for host in context.new_nodes]
    server = next((name for name in new if name in workers), (workers or new or [context.members.through])[0])
    others = [context.members.through, *(host.name for host in context.cluster.hosts)]
    return server, next((name for name in others if name != server), server)
