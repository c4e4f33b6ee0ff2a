"""Route tables of the cluster's own network: the table, its route out, the subnets that use it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from provision.providers.eks import names
from provision.providers.eks.steps.planning import Change
from provision.providers.eks.steps.waiting import unless_done

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provision.providers.eks.facts import Network, RouteTableFacts
    from provision.providers.eks.steps.execution import Work

ANYWHERE = "0.0.0.0/0"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutesChange(Change):
    """A route table of `subnets` (by part) with a route out through `target` (by part), None for no way out."""

    subnets: tuple[str, ...]
    target: str | None


def routes_change(
    network: Network, part: str, subnet_parts: tuple[str, ...], target: str | None, target_id: str
) -> RoutesChange:
    """What a route table lacks. `target_id` is "" while the target is not there."""
    reasons = tuple(_route_reasons(network, network.route_table(part), subnet_parts, target_id, target))
    return RoutesChange(part, reasons, subnets=subnet_parts, target=target)


def _route_reasons(
    network: Network,
    table: RouteTableFacts | None,
    parts: tuple[str, ...],
    target_id: str,
    target: str | None,
) -> Iterator[str]:
    if table is None:
        yield "are missing"
        return
    found = table.routes.get(ANYWHERE)
    if target is not None and found is None:
        yield f"have no route to {target}"
    elif (target is None and found is not None) or (target is not None and found != target_id):
        yield f"lead to {found} instead of {target or 'nowhere'}"
    for part in parts:
        subnet = network.subnet(part)
        if subnet is not None and subnet.id not in table.associations:
            yield f"are not those of {part}"


def ensure_routes(work: Work, network: Network, change: RoutesChange, target: str | None) -> Iterator[str]:
    """Make and finish a route table. `target` is the id of the gateway that leads out; None for no way out."""
    ec2, vpc, part = work.account.client("ec2"), network.vpc, change.resource
    assert vpc is not None  # noqa: S101  (the step before has made it)
    found = network.route_table(part)
    if found is None:
        tags = names.tag_list(work.tags(part))
        # botocore gives it a token of its own, which holds across its tries; by tags it is found after them.
        table = ec2.create_route_table(
            VpcId=vpc.id, TagSpecifications=[{"ResourceType": "route-table", "Tags": tags}]
        )["RouteTable"]["RouteTableId"]
        yield f"made {table}"
    else:
        table = found.id
    present = found.routes.get(ANYWHERE) if found else None
    if target != present:
        route = unless_done(lambda: _set_route(work, table, present, target))
        work.once_there(part, "set the route out", route)
        yield f"lead out through {target}" if target else "lead out no more"
    associations = found.associations if found else {}
    for name in change.subnets:
        subnet = network.subnet(name)
        assert subnet is not None  # noqa: S101  (the network was read until it showed them)
        if subnet.id not in associations:
            _associate(work, part, table, subnet.id, network)
            yield f"are those of {name}"


def _set_route(work: Work, table: str, present: str | None, target: str | None) -> None:
    ec2 = work.account.client("ec2")
    if target is None:
        ec2.delete_route(RouteTableId=table, DestinationCidrBlock=ANYWHERE)
        return
    gateway: Any = {"NatGatewayId": target} if target.startswith("nat-") else {"GatewayId": target}
    change = ec2.create_route if present is None else ec2.replace_route
    change(RouteTableId=table, DestinationCidrBlock=ANYWHERE, **gateway)


def _associate(work: Work, part: str, table: str, subnet: str, network: Network) -> None:
    """Give the subnet this table, in place of another one of the cluster's that it may have."""
    ec2 = work.account.client("ec2")
    others = [one.associations[subnet] for one in network.route_tables if subnet in one.associations]
    if others:
        work.check_cancelled()
        ec2.replace_route_table_association(AssociationId=others[0], RouteTableId=table)
        return
    associate = unless_done(lambda: ec2.associate_route_table(RouteTableId=table, SubnetId=subnet))
    work.once_there(part, "associate a subnet", associate)
