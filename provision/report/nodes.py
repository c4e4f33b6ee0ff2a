"""Nodes as text: the list, and how joining and leaving ended."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from provision.report.status import node_table
from provision.report.text import counted, duration, names, table

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from provision.model.status import Listed, Status

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def node_list_text(nodes: Sequence[Listed]) -> str:
    """One line a node; what is wrong with it at the end of the line."""
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
    """`5s`, `12m`, `3h`, `8d`, as kubectl has it; `-` if unknown."""
    if seconds is None:
        return "-"
    for unit, sign in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "m")):
        if seconds >= unit:
            return f"{int(seconds // unit)}{sign}"
    return f"{int(seconds)}s"


def joined_text(
    status: Status, joined: Collection[str], seconds: float, proofs: Sequence[str], file: Path
) -> str:
    """The new nodes after they joined; of others nothing is said."""
    mine = tuple(node for node in status.nodes if node.name in joined)
    ready = sum(node.ready for node in mine)
    head = f"cluster {status.cluster}: {ready} of {counted(len(mine), 'node')} Ready in {duration(seconds)}"
    lines = ["\nsmoke test passed:\n", *(f"  {proof}\n" for proof in proofs)] if proofs else []
    return "".join(
        [f"\n{head}\n\n", node_table(replace(status, nodes=mine)), *lines, f"\nwritten in {file}\n"]
    )


def removed_text(
    cluster: str,
    removed: Sequence[str],
    gone: Sequence[str],
    seconds: float,
    file: Path,
    *,
    keepers: Sequence[str],
) -> str:
    """That nodes are gone, and what is to be known of machines that were not reset.

    `keepers` are those of them that would keep a virtual address.
    """
    lines = [f"\ncluster {cluster}: {names(removed)} left in {duration(seconds)}; taken out of {file}\n"]
    if gone:
        lines.append(
            f"the machines of {names(gone)} were not reset: keep them off, "
            "or `kubeadm reset` them, for their kubelets would register again\n"
        )
    if keepers:
        lines.append(
            f"{names(keepers)} would take the virtual address, too: `systemctl disable --now provision-vip` there\n"
        )
    return "".join(lines)
