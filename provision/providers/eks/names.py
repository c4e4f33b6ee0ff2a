"""Names and tags of everything that is made for a cluster. Pure; the same input gives the same name on every run.

The tags are the state: provision made a resource that carries `provision/cluster` with the cluster's name and
`provision/managed-by`. `provision/role` says which part it is. Roles of IAM, which is global, also lie below a path of
their own, so that one call lists them.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from provision.model.eks import EksCluster

CLUSTER, ROLE, MANAGED_BY, ZONES = (
    "provision/cluster",
    "provision/role",
    "provision/managed-by",
    "provision/zones",
)
TOOL = "provision"

# Parts of the network that there is one of, and of the roles; the others have a zone or a name behind a dash.
VPC, INTERNET_GATEWAY, PUBLIC_ROUTES = "vpc", "internet-gateway", "routes-public"
CLUSTER_RESOURCE = "cluster"
CLUSTER_ROLE, NODE_ROLE, FARGATE_ROLE = "role-cluster", "role-nodes", "role-fargate"

_LONGEST_ROLE = 64  # characters, of IAM
_HASH = 8


def public_subnet(zone: str) -> str:
    return f"subnet-public-{zone}"


def private_subnet(zone: str) -> str:
    return f"subnet-private-{zone}"


def address(zone: str) -> str:
    """The elastic IP of the zone's NAT gateway."""
    return f"address-{zone}"


def nat(zone: str) -> str:
    return f"nat-{zone}"


def private_routes(zone: str) -> str:
    return f"routes-private-{zone}"


def pod_role(namespace: str, service_account: str) -> str:
    """A namespace holds no dot, so that the two cannot run into each other."""
    return f"role-pod-{namespace}.{service_account}"


def node_group(name: str) -> str:
    return f"node-group {name}"


def fargate_profile(name: str) -> str:
    return f"fargate-profile {name}"


def addon(name: str) -> str:
    return f"addon {name}"


def access_entry(principal_arn: str) -> str:
    return f"access {principal_arn}"


def pod_identity(namespace: str, service_account: str) -> str:
    return f"pod-identity {namespace}/{service_account}"


def wanted_children(cluster: EksCluster) -> Iterator[tuple[str, str]]:
    """What the file asks for inside of the cluster: the key of the file, the name in a plan."""
    yield from (("node_groups", node_group(one.name)) for one in cluster.node_groups)
    yield from (("fargate_profiles", fargate_profile(one.name)) for one in cluster.fargate_profiles)
    yield from (("addons", addon(one.name)) for one in cluster.addons)
    yield from (("access.admins", access_entry(arn)) for arn in cluster.access.admins)
    for one in cluster.pod_identities:
        yield "pod_identities", pod_identity(one.namespace, one.service_account)


def role_path(region: str, cluster: str) -> str:
    """IAM path of the cluster's roles: `/provision/eu-central-1/demo/`."""
    return f"/{TOOL}/{region}/{cluster}/"


def role_name(region: str, cluster: str, part: str) -> str:
    """IAM name of `part` ("role-nodes"): `provision-demo-eu-central-1-nodes`, cut and hashed beyond 64 characters."""
    name = f"{TOOL}-{cluster}-{region}-{part.removeprefix('role-')}"
    if len(name) <= _LONGEST_ROLE:
        return name
    return f"{name[: _LONGEST_ROLE - _HASH - 1]}-{hashlib.sha256(name.encode()).hexdigest()[:_HASH]}"


def tags(cluster: str, part: str, user: Mapping[str, str]) -> dict[str, str]:
    """All tags of a resource that is made; `user` are those of the file."""
    name = {} if " " in part else {"Name": f"{cluster}/{part}"}
    return {**name, **user, CLUSTER: cluster, ROLE: part, MANAGED_BY: TOOL}


def owned(cluster: str, found: Mapping[str, str]) -> bool:
    """Whether these are the tags of a resource that provision made for this cluster."""
    return found.get(CLUSTER) == cluster and found.get(MANAGED_BY) == TOOL


def tag_mapping(listed: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """`{"team": "platform"}` of `[{"Key": "team", "Value": "platform"}]`."""
    return {tag["Key"]: tag.get("Value", "") for tag in listed}


def tag_list(tags: Mapping[str, str]) -> list[Any]:
    """Tags as EC2 and IAM take them: the inverse of `tag_mapping`."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def handover(cluster: str, part: str) -> str:
    """The tags by which a user hands a resource over to provision, as `aws eks tag-resource` takes them."""
    return f"{CLUSTER}={cluster},{MANAGED_BY}={TOOL},{ROLE}={part.replace(' ', '-')}"


def client_token(account: str, region: str, cluster: str, step: str, spec: Mapping[str, object]) -> str:
    """Makes AWS answer a repeated request with what the first one made: 64 hex digits.

    `spec` must hold something that a later incarnation of the same resource does not share (the id of a subnet or a
    role, the time the cluster was made): AWS remembers tokens of what is deleted by now.
    """
    text = json.dumps([account, region, cluster, step, spec], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def minor(version: str) -> int:
    """35 of "1.35"."""
    return int(version.split(".")[1])
