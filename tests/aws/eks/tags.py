"""Tags of all EKS resources, by ARN."""

from __future__ import annotations

from typing import Any

from tests.aws.eks.resources import Eks, Resource
from tests.aws.failures import AwsError

_ARNS = ("arn", "nodegroupArn", "fargateProfileArn", "addonArn", "accessEntryArn", "associationArn")


def _resource(eks: Eks, arn: str) -> Resource:
    for cluster in eks.clusters.values():
        for resource in (cluster, *cluster.parts()):
            if arn in (resource.body.get(key) for key in _ARNS):
                return resource
    raise AwsError("NotFoundException", f"Resource was not found: {arn}", status=404)


def list_tags_for_resource(eks: Eks, params: dict[str, Any]) -> dict[str, Any]:
    return {"tags": dict(_resource(eks, params["resourceArn"]).body["tags"])}


def tag_resource(eks: Eks, params: dict[str, Any]) -> dict[str, Any]:
    tags = _resource(eks, params["resourceArn"]).body["tags"]
    if any(key.lower().startswith("aws:") for key in params["tags"]):
        raise AwsError("BadRequestException", "Tag keys starting with 'aws:' are reserved for system use")
    if len({**tags, **params["tags"]}) > 50:
        raise AwsError("BadRequestException", "Tags exceed maximum tag count: 50")
    tags.update(params["tags"])
    return {}


def untag_resource(eks: Eks, params: dict[str, Any]) -> dict[str, Any]:
    tags = _resource(eks, params["resourceArn"]).body["tags"]
    for key in params["tagKeys"]:
        tags.pop(key, None)
    return {}
