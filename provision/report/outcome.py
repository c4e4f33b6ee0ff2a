"""How an apply ended well: the nodes, what the smoke test saw, the kubeconfig, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from provision.report.status import node_table
from provision.report.text import duration

if TYPE_CHECKING:
    from provision.model.status import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """`seconds` from the first look to the last; `proofs` are sentences of the smoke test, none if it did not run."""

    status: Status
    seconds: float
    proofs: tuple[str, ...]
    kubeconfig: Path
    file: Path


def ending_text(ending: Ending) -> str:
    status = ending.status
    ready = sum(node.ready for node in status.nodes)
    nodes = f"{ready} of {len(status.nodes)} nodes Ready"
    version = f"Kubernetes {status.kubernetes or 'unknown'}"
    head = f"cluster {status.cluster}: {nodes}, {version}, in {duration(ending.seconds)}"
    parts = [f"\n{head}\n\n", node_table(status)]
    if ending.proofs:
        parts += ["\nsmoke test passed:\n", *(f"  {proof}\n" for proof in ending.proofs)]
    option = "" if str(ending.file) == "cluster.yaml" else f" -f {ending.file}"
    parts += [
        f"\nkubeconfig: {ending.kubeconfig}\nnext:\n",
        f"  kubectl --kubeconfig {ending.kubeconfig} get pods -A\n",
        f"  provision status{option}\n",
        f"  provision kubeconfig --merge{option}\n",
    ]
    return "".join(parts)
