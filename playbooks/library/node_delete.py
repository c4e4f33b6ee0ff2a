"""Nodes that have left: the cluster forgets them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.provision_api import Api
from ansible.module_utils.provision_api_connection import credentials
from ansible.module_utils.provision_module import run_module

if TYPE_CHECKING:
    from ansible.module_utils.provision_host import Changes

DOCUMENTATION = r"""
module: node_delete
short_description: Delete Node objects
description:
  - Runs on a control plane. Pods that were still on a node are deleted by the cluster soon after.
  - A node that is not there is no change.
options:
  nodes: {description: Names of the nodes, type: list, elements: str, required: true}
author: provision
"""


def provide(wanted: dict[str, Any], changes: Changes, *, api: Api | None = None) -> None:
    api = api or Api(credentials())
    for name in wanted["nodes"]:
        path = f"/api/v1/nodes/{name}"
        if api.get(path) is not None:
            changes.make(f"deleted the node {name}", lambda path=path: api.delete(path))


if __name__ == "__main__":
    run_module({"nodes": {"type": "list", "elements": "str", "required": True}}, provide)
