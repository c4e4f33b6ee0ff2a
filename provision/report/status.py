"""`provision status` as text: what a person looks for first stands first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.report.text import counted, grouped, table

if TYPE_CHECKING:
    from provision.model.status import NodeStatus, Status

_SOON = 30  # days; kubeadm's certificates live 365


def status_text(status: Status) -> str:
    """Cluster, nodes, workloads, certificates, drift; a section that has nothing to say is left out."""
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
    """A row for every node, and for every host of the file that is none."""
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
            member.problem or ("healthy" if member.healthy else "not looked at"),
            "leader" if member.leader else "learner" if member.learner else "",
        )
        for member in status.etcd
    ]
    return table(("ETCD MEMBER", "STATE", ""), rows) if rows else ""


def _certificates(status: Status) -> str:
    """The one that ends first; each that ends soon."""
    if not status.certificates:
        return ""
    first = min(status.certificates, key=lambda certificate: certificate.days)
    soon = [one for one in status.certificates if one.days < _SOON]
    lines = [f"certificates: the first ends in {counted(first.days, 'day')} ({first.name} on {first.host})\n"]
    lines += [f"  warning: {one.host}: {one.name} ends in {counted(one.days, 'day')}\n" for one in soon]
    return "".join(lines)


def _split(reason: str) -> tuple[str, str]:
    host, _, what = reason.partition(": ")
    return host, what


def _drift(status: Status) -> str:
    if not status.drift:
        return "everything is as the file says\n"
    lines = [f"`provision apply` would take {counted(len(status.drift), 'step')}:\n"]
    for drift in status.drift:
        lines.append(f"  {drift.summary}\n")
        lines += [f"    {line}\n" for line in grouped(_split(reason) for reason in drift.reasons)]
    return "".join(lines)
