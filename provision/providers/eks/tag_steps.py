"""Tags of the file that resources of ours lack. Pure.

A tag that was taken out of the file stays where it is: others may have come to rely on it, and nothing tells our tags
of yesterday from theirs of today.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

from provision.providers.eks import names
from provision.providers.eks.cluster_steps import CLUSTER
from provision.providers.eks.view import Row, View, step

if TYPE_CHECKING:
    from provision.model.plan import PlaybookStep


class _OfEc2(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def tags(self) -> Mapping[str, str]: ...


class _OfEks(Protocol):
    @property
    def arn(self) -> str: ...
    @property
    def owned(self) -> bool: ...
    @property
    def tags(self) -> Mapping[str, str]: ...


def tag_steps(view: View, needs: tuple[str, ...], leaving: frozenset[str]) -> Iterator[PlaybookStep]:
    """`leaving` are resources that other steps take away: they need no tags any more."""
    rows = []
    for resource, kind, key, tags in _tagged(view):
        if resource in leaving:
            continue
        lacking = {name: value for name, value in view.cluster.tags.items() if tags.get(name) != value}
        reasons = tuple(f"lacks the tag {name}={value}" for name, value in lacking.items())
        rows.append(Row(resource, reasons, {"kind": kind, "id": key}))
    yield from step(
        "tags", "Bring the tags in step", rows, needs=needs, variables={"tags": dict(view.cluster.tags)}
    )


def _tagged(view: View) -> Iterator[tuple[str, str, str, Mapping[str, str]]]:
    """Every resource of ours: its name in the plan, the service, its id there, its tags."""
    seen, network = view.seen, view.seen.network
    ec2: list[_OfEc2] = [
        *network.vpcs,
        *(one for one in network.subnets if one.part),
        *network.internet_gateways,
        *network.addresses,
        *network.nats,
        *network.route_tables,
    ]
    for one in ec2:
        yield one.tags.get(names.ROLE, one.id), "ec2", one.id, one.tags
    for role in seen.roles:
        if role.owned:
            yield role.part, "iam", role.name, role.tags
    if seen.cluster is None or not seen.cluster.owned:
        return
    yield CLUSTER, "eks", seen.cluster.arn, seen.cluster.tags
    inside: list[tuple[str, _OfEks]] = [
        *((names.node_group(one.name), one) for one in seen.node_groups),
        *((names.fargate_profile(one.name), one) for one in seen.fargate_profiles),
        *((names.addon(one.name), one) for one in seen.addons),
        *((names.access_entry(one.principal_arn), one) for one in seen.access_entries),
        *((names.pod_identity(one.namespace, one.service_account), one) for one in seen.pod_identities),
    ]
    for resource, part in inside:
        if part.owned:
            yield resource, "eks", part.arn, part.tags
