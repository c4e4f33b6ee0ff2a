"""Labels and taints that the cluster file gives to nodes, set in one round trip for all of them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from ansible.module_utils.provision_api import Api
from ansible.module_utils.provision_api_connection import credentials
from ansible.module_utils.provision_host import Changes, HostError
from ansible.module_utils.provision_module import run_module

if TYPE_CHECKING:
    from collections.abc import Sequence

DOCUMENTATION = r"""
module: node_labels
short_description: Set labels and taints of nodes
description:
  - Runs on a control plane. Adds what is missing and corrects values. What was asked for is remembered in an
    annotation of the node, so that what is no longer asked for is taken away; labels and taints of others stay.
options:
  nodes:
    description: "Per node C(labels), a mapping, and C(taints), a list of key=value:Effect or key:Effect"
    type: dict
    required: true
author: provision
"""

# Annotation: {"labels": [keys], "taints": ["key:Effect"]}, those that the cluster file gave to the node.
LABELS_AND_TAINTS = "provision/marks"
_TAINT = re.compile(
    r"(?P<key>[^=:]+)(?:=(?P<value>[^:]*))?:(?P<effect>NoSchedule|PreferNoSchedule|NoExecute)"
)


def provide(wanted: dict[str, Any], changes: Changes) -> None:
    api = Api(credentials())
    for name, given in sorted(wanted["nodes"].items()):
        node = api.get(f"/api/v1/nodes/{name}")
        if node is None:
            raise HostError(f"the cluster has no node {name}")
        sentences, patch = difference(name, node, given.get("labels") or {}, given.get("taints") or [])
        if patch:
            _make(changes, api, name, patch, "; ".join(sentences))


def difference(
    name: str, node: dict[str, Any], labels: dict[str, str], taints: list[str]
) -> tuple[list[str], dict[str, Any]]:
    """What has to be changed of a node, in sentences and as a merge patch; both empty if nothing has."""
    before, given = remembered(node), record(labels, taints)
    present = node["metadata"].get("labels") or {}
    new = missing_labels(node, labels)
    gone = [key for key in before["labels"] if key not in labels and key in present]
    kept = merged_taints(
        node, taints, gone=[mark for mark in before["taints"] if mark not in given["taints"]]
    )
    sentences = [f"labelled {name} {key}={value}" for key, value in new.items()]
    sentences += [f"took the label {key} off {name}" for key in gone]
    metadata: dict[str, Any] = {"labels": {**new, **dict.fromkeys(gone)}} if new or gone else {}
    if kept is not None:
        sentences.append(f"tainted {name} {', '.join(taints)}" if taints else f"took taints off {name}")
    if before != given:
        metadata["annotations"] = {LABELS_AND_TAINTS: json.dumps(given) if labels or taints else None}
        sentences = sentences or [f"remembered which labels and taints of {name} are the file's"]
    patch = {
        **({"metadata": metadata} if metadata else {}),
        **({} if kept is None else {"spec": {"taints": kept}}),
    }
    return sentences, patch


def record(labels: dict[str, str], taints: list[str]) -> dict[str, list[str]]:
    """What is remembered: names of labels, and of taints key and effect, which together are unique on a node."""
    parsed = [_taint(text) for text in taints]
    return {
        "labels": sorted(labels),
        "taints": sorted(f"{taint['key']}:{taint['effect']}" for taint in parsed),
    }


def remembered(node: dict[str, Any]) -> dict[str, list[str]]:
    """What an earlier run asked for; nothing, where the annotation is not there or not ours any more."""
    text = (node["metadata"].get("annotations") or {}).get(LABELS_AND_TAINTS, "")
    try:
        found = json.loads(text or "{}")
        return {kind: [str(entry) for entry in found.get(kind, [])] for kind in ("labels", "taints")}
    except (ValueError, AttributeError, TypeError):
        return {"labels": [], "taints": []}


def missing_labels(node: dict[str, Any], wanted: dict[str, str]) -> dict[str, str]:
    """Those of the wanted labels that the node does not have with that value."""
    present = node["metadata"].get("labels") or {}
    return {key: str(value) for key, value in wanted.items() if present.get(key) != str(value)}


def merged_taints(
    node: dict[str, Any], wanted: list[str], *, gone: Sequence[str] = ()
) -> list[dict[str, str]] | None:
    """The node's taints, with the wanted ones and without those `gone` ("key:Effect"); None if nothing changes."""
    present = node.get("spec", {}).get("taints") or []
    asked = [_taint(text) for text in dict.fromkeys(wanted)]
    kept = [
        taint
        for taint in present
        if f"{taint['key']}:{taint['effect']}" not in gone
        and not any((taint["key"], taint["effect"]) == (other["key"], other["effect"]) for other in asked)
    ]
    plain = [{key: taint[key] for key in ("key", "value", "effect") if taint.get(key)} for taint in present]
    complete = all(taint in plain for taint in asked) and len(kept) + len(asked) == len(present)
    return None if complete else [*kept, *asked]


def _taint(text: str) -> dict[str, str]:
    match = _TAINT.fullmatch(text)
    if match is None:
        raise HostError(f"{text!r} is no taint: key=value:Effect or key:Effect is needed")
    return {key: value for key, value in match.groupdict().items() if value}


def _make(changes: Changes, api: Api, name: str, patch: dict[str, Any], sentence: str) -> None:
    changes.make(sentence, lambda: api.merge(f"/api/v1/nodes/{name}", patch))


if __name__ == "__main__":
    run_module({"nodes": {"type": "dict", "required": True}}, provide)
