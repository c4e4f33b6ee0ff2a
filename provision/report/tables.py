"""Status, nodes and outcomes as text: aligned columns and the sentences around them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from provision.model.outcome import (
    ClusterDeleted,
    ClusterReady,
    HostsReset,
    KubeconfigOnly,
    KubeconfigRemoved,
    NodesJoined,
    NodesRemoved,
)
from provision.model.units import counted, duration, names
from provision.report.text import grouped, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provision.model.outcome import Outcome
    from provision.model.status import Listed, NodeStatus, Status

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_SOON = 30  # days; kubeadm's certificates live 365


def status_text(status: Status) -> str:
    """Cluster, nodes, workloads, etcd, certificates and drift; empty sections are left out."""
    if status.error:
        head = f"cluster {status.cluster}: not running ({status.error})\n"
    else:
        state = "healthy" if status.healthy else "not healthy"
        head = (
            f"cluster {status.cluster}: Kubernetes {status.kubernetes}, {state}, endpoint {status.endpoint}\n"
        )
    parts = [
        head,
        node_table(status),
        _workloads(status),
        _etcd(status),
        _certificates(status),
        _drift(status),
    ]
    return "\n".join(part for part in parts if part)


def node_table(status: Status) -> str:
    """A row for every node, and for every host of the file that has not joined."""
    rows = [
        (node.name, node.role, _state(node), node.version, node.runtime, node.address)
        for node in status.nodes
    ]
    return table(("NODE", "ROLE", "STATE", "KUBELET", "RUNTIME", "ADDRESS"), rows)


def _state(node: NodeStatus) -> str:
    if not node.joined:
        return "not joined"
    state = "Ready" if node.ready else f"NotReady: {node.message}" if node.message else "NotReady"
    notes = [
        note for note, holds in (("cordoned", node.cordoned), ("not in the file", not node.in_file)) if holds
    ]
    return f"{state} ({', '.join(notes)})" if notes else state


def _workloads(status: Status) -> str:
    rows = [(part.name, part.version, f"{part.ready}/{part.wanted}") for part in status.workloads]
    return table(("WORKLOAD", "VERSION", "READY"), rows) if rows else ""


def _etcd(status: Status) -> str:
    rows = [
        (
            member.name,
            member.problem or ("healthy" if member.healthy else "not checked"),
            "leader" if member.leader else "learner" if member.learner else "",
        )
        for member in status.etcd
    ]
    return table(("ETCD MEMBER", "STATE", ""), rows) if rows else ""


def _certificates(status: Status) -> str:
    """The certificate that expires first; a warning for each that expires within 30 days."""
    if not status.certificates:
        return ""
    first = min(status.certificates, key=lambda certificate: certificate.days)
    soon = [one for one in status.certificates if one.days < _SOON]
    lines = [
        f"certificates: the first expires in {counted(first.days, 'day')} ({first.name} on {first.host})\n"
    ]
    lines += [f"  warning: {one.host}: {one.name} expires in {counted(one.days, 'day')}\n" for one in soon]
    return "".join(lines)


def _split(reason: str) -> tuple[str, str]:
    host, _, what = reason.partition(": ")
    return host, what


def _drift(status: Status) -> str:
    if not status.drift:  # of a cluster that does not answer, too little is known to say so
        return "" if status.error else "no drift: the cluster matches its file\n"
    lines = [f"`provision apply` would run {counted(len(status.drift), 'step')}:\n"]
    for drift in status.drift:
        lines.append(f"  {drift.summary}\n")
        lines += [f"    {line}\n" for line in grouped(_split(reason) for reason in drift.reasons)]
    return "".join(lines)


def node_list_text(nodes: Sequence[Listed]) -> str:
    """One line for each node, with its problem at the end."""
    rows = [
        (
            node.name,
            node.role,
            node.address,
            node.state + (", cordoned" if node.cordoned else ""),
            node.version or "-",
            age(node.age),
            node.runtime or "-",
            node.message or ("" if node.in_file else "is not in the file"),
        )
        for node in nodes
    ]
    return table(("NAME", "ROLE", "ADDRESS", "STATE", "VERSION", "AGE", "RUNTIME", ""), rows)


def age(seconds: float | None) -> str:
    """`5s`, `12m`, `3h`, `8d` as in kubectl; `-` if unknown."""
    if seconds is None:
        return "-"
    for unit, sign in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "m")):
        if seconds >= unit:
            return f"{int(seconds // unit)}{sign}"
    return f"{int(seconds)}s"


def outcome_text(outcome: Outcome | None) -> str:
    """How an operation ended, in whole lines; "" if it changed nothing."""
    text = ""
    match outcome:
        case ClusterReady():
            text = _ready_text(outcome)
        case NodesJoined():
            text = _joined_text(outcome)
        case NodesRemoved():
            text = _removed_text(outcome)
        case HostsReset(cluster=cluster, hosts=hosts, seconds=seconds, removed_kubeconfig=removed):
            done = f"reset {counted(len(hosts), 'host')} in {duration(seconds)}"
            text = f"\ncluster {cluster}: {done}; ready for a new cluster\n"
            text += f"removed {removed}\n" if removed else ""
        case ClusterDeleted(cluster=cluster, seconds=seconds):
            text = f"\ncluster {cluster}: deleted in {duration(seconds)}\n"
        case KubeconfigOnly(path=path):
            text = f"kubeconfig: {path}\n"
        case KubeconfigRemoved(path=path):
            text = f"removed {path}\n"
    return text


def _ready_text(ready: ClusterReady) -> str:
    """The nodes, the proofs of the smoke test, the kubeconfig, and the commands to go on with."""
    status = ready.status
    nodes = f"{sum(node.ready for node in status.nodes)} of {len(status.nodes)} nodes Ready"
    version = f"Kubernetes {status.kubernetes or 'unknown'}"
    option = "" if str(ready.file) == "cluster.yaml" else f" -f {ready.file}"
    return (
        f"\ncluster {status.cluster}: {nodes}, {version}, in {duration(ready.seconds)}\n\n"
        f"{node_table(status)}{_proofs(ready.proofs)}"
        f"\nkubeconfig: {ready.kubeconfig}\nnext:\n"
        f"  kubectl --kubeconfig {ready.kubeconfig} get pods -A\n"
        f"  provision status{option}\n"
        f"  provision kubeconfig --merge{option}\n"
    )


def _joined_text(joined: NodesJoined) -> str:
    """The new nodes after they joined; other nodes are left out."""
    mine = tuple(node for node in joined.status.nodes if node.name in joined.names)
    ready = f"{sum(node.ready for node in mine)} of {counted(len(mine), 'node')} Ready"
    return (
        f"\ncluster {joined.status.cluster}: {ready} in {duration(joined.seconds)}\n\n"
        f"{node_table(replace(joined.status, nodes=mine))}{_proofs(joined.proofs)}\nwritten to {joined.file}\n"
    )


def _proofs(proofs: Sequence[str]) -> str:
    return "\nsmoke test passed:\n" + "".join(f"  {proof}\n" for proof in proofs) if proofs else ""


def _removed_text(removed: NodesRemoved) -> str:
    """The removed nodes, and what to do about machines that were not reset."""
    head = f"removed {names(removed.names)} in {duration(removed.seconds)}, also from {removed.file}"
    lines = [f"\ncluster {removed.cluster}: {head}\n"]
    if removed.not_reset:
        lines.append(
            f"the machines of {names(removed.not_reset)} were not reset: keep them powered off "
            "or run `kubeadm reset` on them, else their kubelets register again\n"
        )
    if removed.vip_holders:
        lines.append(
            f"{names(removed.vip_holders)} would also announce the virtual address: "
            "run `systemctl disable --now provision-vip` there\n"
        )
    return "".join(lines)
