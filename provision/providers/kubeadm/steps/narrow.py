"""What a planned step is without the hosts that failed before it: nobody waits for a worker that was not prepared."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from provision.engine.executor import without_hosts

if TYPE_CHECKING:
    from provision.model.plan import Step

_NODE_LISTS = ("cluster_ready_nodes",)
_NODE_MAPPINGS = ("node_labels_nodes",)
_SMOKE_NODES = ("smoke_test_server_node", "smoke_test_client_node")


def narrow(step: Step, lost: frozenset[str]) -> Step | None:
    """The step for the hosts and nodes that are left; None if nothing is left to do."""
    left = without_hosts(step, lost)
    if left is None or not lost:
        return left
    variables = dict(left.variables)
    if any(variables.get(name) in lost for name in _SMOKE_NODES):
        return None  # a smoke test between nodes needs both
    for name in _NODE_LISTS:
        if name in variables:
            variables[name] = [node for node in _list(variables[name]) if node not in lost]
    for name in _NODE_MAPPINGS:
        nodes = variables.get(name)
        if isinstance(nodes, dict):
            variables[name] = {node: wanted for node, wanted in nodes.items() if node not in lost}
    return replace(left, variables=variables)


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, (list, tuple)) else []
