"""Updates of clusters, node groups and add-ons, which take time and can be described."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.aws.eks.resources import Cluster, Eks, Resource, found, new_id, now, page


def start_update(
    eks: Eks,
    cluster: Cluster,
    target: Resource,
    kind: str,
    values: dict[str, Any],
    *,
    change: Callable[[], None],
) -> dict[str, Any]:
    """Make the target UPDATING for some describe calls; then apply `change` and make the update Successful."""
    body: dict[str, Any] = {
        "id": new_id(),
        "status": "InProgress",
        "type": kind,
        "params": [{"type": name, "value": _text(value)} for name, value in values.items()],
        "createdAt": now(),
        "errors": [],
    }
    update = Resource(body, {"part": part_of(target)})
    before = target.status

    def end() -> None:
        # Enough describe calls of either one end both.
        target.after = update.after = None
        change()
        target.body["status"] = "ACTIVE" if before == "UPDATING" else before
        if "modifiedAt" in target.body:
            target.body["modifiedAt"] = now()
        body["status"] = "Successful"

    target.pass_through("UPDATING", eks.states.looks("update"), end)
    update.looks, update.after = target.looks, end
    cluster.updates[body["id"]] = update
    return {"update": update.shown()}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def part_of(target: Resource) -> str:
    """The listing that contains a resource's updates: "nodegroup/NAME", "addon/NAME", or "" of the cluster itself."""
    if "nodegroupName" in target.body:
        return f"nodegroup/{target.body['nodegroupName']}"
    return f"addon/{target.body['addonName']}" if "addonName" in target.body else ""


def _asked_part(params: dict[str, Any]) -> str:
    if "nodegroupName" in params:
        return f"nodegroup/{params['nodegroupName']}"
    return f"addon/{params['addonName']}" if "addonName" in params else ""


def describe_update(eks: Eks, params: dict[str, Any]) -> dict[str, Any]:
    cluster, part = eks.cluster(params["name"]), _asked_part(params)
    mine = {each: update for each, update in cluster.updates.items() if update.request["part"] == part}
    update = found(mine, params["updateId"], f"No update found for ID: {params['updateId']}")
    eks.look(update)
    return {"update": update.shown()}


def list_updates(eks: Eks, params: dict[str, Any]) -> dict[str, Any]:
    cluster, part = eks.cluster(params["name"]), _asked_part(params)
    mine = [each for each, update in cluster.updates.items() if update.request["part"] == part]
    return page(mine, "updateIds", params)
