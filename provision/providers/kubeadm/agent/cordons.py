"""Nodes that a drain of ours cordoned may get pods again. One that an administrator cordoned stays so."""

from __future__ import annotations

from provision.providers.kubeadm.agent.objects import Objects

_NODES = "/api/v1/nodes/"
_CORDONED = "provision/cordoned"  # written by the module node_drain


def uncordon(request: dict, root: str = "") -> dict[str, object]:  # type: ignore[type-arg]
    """Uncordon those of `request["nodes"]` that we cordoned, and tell which these were."""
    objects = Objects(root)
    done = []
    for name in request["nodes"]:
        if _CORDONED in (objects.get(_NODES + name).get("metadata", {}).get("annotations") or {}):
            patch = {"spec": {"unschedulable": None}, "metadata": {"annotations": {_CORDONED: None}}}
            objects.merge(_NODES + name, patch)
            done.append(name)
    return {"uncordoned": done}
