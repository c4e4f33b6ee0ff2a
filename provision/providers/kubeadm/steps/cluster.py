"""Steps that make and change the cluster: init, network, joins, labels. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.model.plan import Reason
from provision.providers.kubeadm.steps import kubeadm_config
from provision.providers.kubeadm.steps import role_vars as desired
from provision.providers.kubeadm.steps.context import step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provision.model.cluster import Role
    from provision.model.plan import PlaybookStep
    from provision.providers.kubeadm.steps.context import View


def cluster_steps(view: View) -> Iterator[PlaybookStep]:
    cluster, through = view.cluster, view.members.through
    first = view.members.initialise
    if first is not None:
        host = cluster.host(first.host)
        yield from step(
            "init-control-plane",
            "Initialise the first control plane",
            needs=("install-kubernetes", "install-endpoint"),
            reasons=(first,),
            variables={
                "control_plane_config": kubeadm_config.init_documents(cluster, host),
                "control_plane_login_user": view.seen.hosts[host.name].machine.login,
                **({"control_plane_smoke_test_pending": True} if view.smoke else {}),
            },
        )
    if first is not None or (view.seen.cluster is not None and not view.seen.cluster.has_network):
        yield from step(
            "install-network",
            "Install the pod network (Calico)",
            needs=("init-control-plane",),
            reasons=(Reason(through, "the cluster has no pod network yet"),),
            variables=desired.calico_variables(cluster),
        )
    yield from _join_step(view, "control-plane")
    yield from _join_step(view, "worker")
    marks = dict(_marks(view))
    yield from step(
        "label-nodes",
        "Label and taint nodes",
        needs=("init-control-plane", "join-control-planes", "join-workers"),
        hosts=(through,),
        reasons=tuple(Reason(name, why) for name, whys in marks.items() for why in whys),
        through=through,
        nodes=tuple(marks),
        node_variables={"node_labels_nodes": {name: desired.marks(cluster.host(name)) for name in marks}},
    )


def _join_step(view: View, role: Role) -> Iterator[PlaybookStep]:
    cluster, reasons = view.cluster, view.reasons(role)
    further = role == "control-plane"
    hosts = {host.name: host for host in cluster.hosts}
    yield from step(
        "join-control-planes" if further else "join-workers",
        "Join further control planes, one after the other" if further else "Join workers",
        needs=("init-control-plane", "install-kubernetes", "install-endpoint", "update-endpoint"),
        reasons=reasons,
        through=view.members.through,
        nodes=tuple(dict.fromkeys(reason.host for reason in reasons)),
        variables={
            "node_join_control_plane": view.members.through,
            "node_join_endpoint": desired.endpoint(cluster),
            "node_join_as_control_plane": further,
            **({"node_join_smoke_test_pending": True} if view.smoke else {}),
        },
        host_variables={
            reason.host: {
                "node_join_config": kubeadm_config.join_document(cluster, hosts[reason.host]),
                "node_join_login_user": view.seen.hosts[reason.host].machine.login if further else "",
            }
            for reason in reasons
        },
    )


def _marks(view: View) -> Iterator[tuple[str, list[str]]]:
    """Nodes whose labels or taints are not the file's: some are missing, or were taken out of it."""
    for host, _ in view.hosts:
        node = view.seen.cluster.node(host.name) if view.seen.cluster else None
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
