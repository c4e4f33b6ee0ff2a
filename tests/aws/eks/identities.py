"""Pod identity associations: a role for the pods of a service account."""

from __future__ import annotations

import secrets
import string
from typing import Any

from tests.aws.eks import rules
from tests.aws.eks.resources import Cluster, Eks, Resource, found, in_use, now, page, repeated, split

_ID = string.ascii_lowercase + string.digits
_LISTED = ("clusterName", "namespace", "serviceAccount", "associationArn", "associationId", "ownerArn")


def create_pod_identity_association(eks: Eks, params: dict[str, Any]) -> dict[str, Any]:
    cluster = eks.cluster(params["clusterName"])
    there = _of(cluster, params["namespace"], params["serviceAccount"])
    if repeated(there, params):
        assert there is not None
        return {"association": there.shown()}
    if there is not None:
        raise in_use(f"Association already exists: {there.body['associationId']}")
    eks.ready_cluster(cluster.name)
    rules.require_role(eks, params["roleArn"], "pods.eks.amazonaws.com", "role")
    made = _make(eks, cluster, params)
    made.request, made.token = split(params)
    return {"association": made.shown()}


def _of(cluster: Cluster, namespace: str, account: str) -> Resource | None:
    for each in cluster.identities.values():
        if (each.body["namespace"], each.body["serviceAccount"]) == (namespace, account):
            return each
    return None


def _make(eks: Eks, cluster: Cluster, params: dict[str, Any]) -> Resource:
    own = "a-" + "".join(secrets.choice(_ID) for _ in range(17))
    made = Resource(
        {
            "clusterName": cluster.name,
            "namespace": params["namespace"],
            "serviceAccount": params["serviceAccount"],
            "roleArn": params["roleArn"],
            "associationArn": eks.arn("podidentityassociation", cluster.name, own),
            "associationId": own,
            "tags": dict(params.get("tags", {})),
            "createdAt": now(),
            "modifiedAt": now(),
        }
    )
    made.body |= {key: params[key] for key in ("targetRoleArn", "disableSessionTags") if key in params}
    cluster.identities[own] = made
    return made


def associate_for_addon(eks: Eks, cluster: Cluster, addon_arn: str, asked: list[dict[str, Any]]) -> list[str]:
    """Associations that belong to an add-on (`ownerArn`); returns their ARNs."""
    arns = []
    for each in asked:
        rules.require_role(eks, each["roleArn"], "pods.eks.amazonaws.com", "role")
        made = _make(eks, cluster, {**each, "namespace": "kube-system"})
        made.body["ownerArn"] = addon_arn
        arns.append(made.body["associationArn"])
    return arns


def drop_addon_associations(cluster: Cluster, addon_arn: str) -> None:
    for own, each in list(cluster.identities.items()):
        if each.body.get("ownerArn") == addon_arn:
            del cluster.identities[own]


def _found(eks: Eks, params: dict[str, Any]) -> tuple[Cluster, Resource]:
    cluster, own = eks.cluster(params["clusterName"]), params["associationId"]
    return cluster, found(cluster.identities, own, f"Association not found: {own}")


def describe_pod_identity_association(eks: Eks, params: dict[str, Any]) -> dict[str, Any]:
    return {"association": _found(eks, params)[1].shown()}


def list_pod_identity_associations(eks: Eks, params: dict[str, Any]) -> dict[str, Any]:
    cluster = eks.cluster(params["clusterName"])
    mine = {
        own: each.body
        for own, each in cluster.identities.items()
        if all(params.get(key, each.body[key]) == each.body[key] for key in ("namespace", "serviceAccount"))
    }
    one = page(mine, "ids", params)
    ids = one.pop("ids")
    return {"associations": [{k: mine[own][k] for k in _LISTED if k in mine[own]} for own in ids], **one}


def update_pod_identity_association(eks: Eks, params: dict[str, Any]) -> dict[str, Any]:
    _, made = _found(eks, params)
    if "roleArn" in params:
        rules.require_role(eks, params["roleArn"], "pods.eks.amazonaws.com", "role")
    made.body |= {k: params[k] for k in ("roleArn", "targetRoleArn", "disableSessionTags") if k in params}
    made.body["modifiedAt"] = now()
    return {"association": made.shown()}


def delete_pod_identity_association(eks: Eks, params: dict[str, Any]) -> dict[str, Any]:
    cluster, made = _found(eks, params)
    del cluster.identities[made.body["associationId"]]
    return {"association": made.shown()}
