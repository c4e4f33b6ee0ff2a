"""Labels and taints that the cluster file gives to nodes, set in one round trip for all of them."""

from __future__ import annotations

import re
from typing import Any

from ansible.module_utils.provision_api import Api, credentials
from ansible.module_utils.provision_host import Changes, HostError
from ansible.module_utils.provision_module import run_module

DOCUMENTATION = r"""
module: node_labels
short_description: Set labels and taints of nodes
description:
  - Runs on a control plane. Adds what is missing and corrects values; labels and taints of others stay.
options:
  nodes:
    description: "Per node C(labels), a mapping, and C(taints), a list of key=value:Effect or key:Effect"
    type: dict
    required: true
author: provision
"""

_TAINT = re.compile(
    r"(?P<key>[^=:]+)(?:=(?P<value>[^:]*))?:(?P<effect>NoSchedule|PreferNoSchedule|NoExecute)"
)


def provide(wanted: dict[str, Any], changes: Changes) -> None:
    """Bring the nodes' labels and taints to what the module's parameters ask for."""
    api = Api(credentials())
    for name, marks in sorted(wanted["nodes"].items()):
        node = api.get(f"/api/v1/nodes/{name}")
        if node is None:
            raise HostError(f"the cluster has no node {name}")
        labels = missing_labels(node, marks.get("labels") or {})
        taints = merged_taints(node, marks.get("taints") or [])
        sentences = [f"labelled {name} {key}={value}" for key, value in labels.items()]
        patch: dict[str, Any] = {"metadata": {"labels": labels}} if labels else {}
        if taints is not None:
            patch["spec"] = {"taints": taints}
            sentences.append(f"tainted {name} {', '.join(marks['taints'])}")
        if patch:
            _make(changes, api, name, patch, "; ".join(sentences))


def missing_labels(node: dict[str, Any], wanted: dict[str, str]) -> dict[str, str]:
    """Those of the wanted labels that the node does not have with that value."""
    present = node["metadata"].get("labels") or {}
    return {key: str(value) for key, value in wanted.items() if present.get(key) != str(value)}


def merged_taints(node: dict[str, Any], wanted: list[str]) -> list[dict[str, str]] | None:
    """The node's taints together with the wanted ones, or None if it has all of them already."""
    present = node.get("spec", {}).get("taints") or []
    asked = [_taint(text) for text in wanted]
    kept = [
        taint
        for taint in present
        if not any((taint["key"], taint["effect"]) == (other["key"], other["effect"]) for other in asked)
    ]
    plain = [{key: taint[key] for key in ("key", "value", "effect") if taint.get(key)} for taint in present]
    return None if all(taint in plain for taint in asked) else [*kept, *asked]


def _taint(text: str) -> dict[str, str]:
    match = _TAINT.fullmatch(text)
    if match is None:
        raise HostError(f"{text!r} is no taint: key=value:Effect or key:Effect is needed")
    return {key: value for key, value in match.groupdict().items() if value}


def _make(changes: Changes, api: Api, name: str, patch: dict[str, Any], sentence: str) -> None:
    changes.make(sentence, lambda: api.merge(f"/api/v1/nodes/{name}", patch))


def main() -> None:
    run_module({"nodes": {"type": "dict", "required": True}}, provide)


if __name__ == "__main__":
    main()
