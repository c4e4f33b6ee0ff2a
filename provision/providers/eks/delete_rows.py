"""The resources that reset deletes, one row each: why, and what its deletion must know. Pure.

Only what carries our tags; existing subnets and their VPC are never among them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from provision.providers.eks import names
from provision.providers.eks.leftovers import is_ours, vpcs_of

if TYPE_CHECKING:
    from provision.model.eks import EksCluster
    from provision.providers.eks.facts import Observation
    from provision.providers.eks.leftovers import Leftovers

_MADE = "provision made it"
_BY_CLUSTER = "the cluster made it"


@dataclass(frozen=True, slots=True)
class Row:
    """A resource: its row in the live table, what `deletions` calls its kind, and its parameters."""

    name: str
    kind: str
    why: str
    spec: Mapping[str, object]


def distinct(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """The rows with names of their own: two of a part, made by two killed runs, are told apart by their ids."""
    counts = Counter(row.name for row in rows)
    return tuple(
        row if counts[row.name] == 1 else replace(row, name=f"{row.name} {row.spec['id']}") for row in rows
    )


def load_balancers(leftovers: Leftovers) -> Iterator[Row]:
    for one in leftovers.load_balancers:
        kind = "load-balancer" if one.arn else "classic-load-balancer"
        yield Row(f"load-balancer {one.name}", kind, _BY_CLUSTER, {"id": one.arn or one.name})


def target_groups(leftovers: Leftovers) -> Iterator[Row]:
    for one in leftovers.target_groups:
        yield Row(f"target-group {one.name}", "target-group", _BY_CLUSTER, {"id": one.arn})


def pod_identities(observation: Observation) -> Iterator[Row]:
    for one in observation.pod_identities:
        if one.owned:
            name = names.pod_identity(one.namespace, one.service_account)
            yield Row(name, "pod-identity", _MADE, {"id": one.id})


def addons(observation: Observation) -> Iterator[Row]:
    for one in observation.addons:
        if one.owned:
            yield Row(names.addon(one.name), "addon", _MADE, {"id": one.name})


def fargate_profiles(observation: Observation) -> Iterator[Row]:
    for one in observation.fargate_profiles:
        if one.owned:
            yield Row(names.fargate_profile(one.name), "fargate-profile", _MADE, {"id": one.name})


def node_groups(observation: Observation) -> Iterator[Row]:
    for one in observation.node_groups:
        if one.owned:
            why = f"{_MADE} ({one.desired} nodes)"
            yield Row(names.node_group(one.name), "node-group", why, {"id": one.name})


def cluster(observation: Observation) -> Iterator[Row]:
    """With it go its access entries, and what else is in it."""
    if observation.cluster is not None and observation.cluster.owned:
        why = f"{_MADE} (version {observation.cluster.version})"
        yield Row("cluster", "cluster", why, {"id": observation.cluster.name})


def remains(wanted: EksCluster, observation: Observation) -> Iterator[Row]:
    """Looked for once the cluster is gone: what is there now may have been made anew, and more may have come."""
    vpcs = vpcs_of(observation)
    if vpcs and is_ours(observation):
        why = "load balancers, security groups and network interfaces of its own may be left"
        yield Row("leftovers", "leftovers", why, {"id": wanted.name, "vpcs": list(vpcs)})


def volumes(leftovers: Leftovers) -> Iterator[Row]:
    for one in leftovers.volumes:
        why = f"{one.size} GiB of claim {one.claim or 'unknown'}, with everything on it"
        yield Row(f"volume {one.id}", "volume", why, {"id": one.id})


def nats(observation: Observation) -> Iterator[Row]:
    for one in observation.network.nats:
        yield Row(one.part or f"nat {one.id}", "nat", f"{_MADE} ({one.id})", {"id": one.id})


def addresses(observation: Observation) -> Iterator[Row]:
    for one in observation.network.addresses:
        yield Row(one.part or f"address {one.id}", "address", f"{_MADE} ({one.ip})", {"id": one.id})


def network(observation: Observation) -> Iterator[Row]:
    """In the order in which AWS lets them go."""
    seen = observation.network
    for vpc in seen.vpcs:
        why = "network interfaces that nothing uses any more would hold on to the subnets"
        yield Row("network-interfaces", "network-interfaces", why, {"id": vpc.id})
    ours = {subnet.id for subnet in seen.subnets if subnet.part}
    for table in seen.route_tables:
        links = [link for subnet, link in table.associations.items() if subnet in ours]
        spec = {"id": table.id, "associations": links}
        yield Row(table.part or f"routes {table.id}", "route-table", f"{_MADE} ({table.id})", spec)
    for subnet in seen.subnets:
        if subnet.part:
            yield Row(subnet.part, "subnet", f"{_MADE} ({subnet.id})", {"id": subnet.id, "vpc": subnet.vpc})
    for gateway in seen.internet_gateways:
        spec = {"id": gateway.id, "vpc": gateway.attached_to}
        yield Row(names.INTERNET_GATEWAY, "internet-gateway", f"{_MADE} ({gateway.id})", spec)
    for vpc in seen.vpcs:
        yield Row(names.VPC, "vpc", f"{_MADE} ({vpc.id}, {vpc.cidr})", {"id": vpc.id})


def roles(observation: Observation) -> Iterator[Row]:
    for one in observation.roles:
        if one.owned:
            yield Row(one.part or f"role {one.name}", "role", f"{_MADE} ({one.name})", {"id": one.name})
