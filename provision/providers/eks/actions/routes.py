"""Makes and finishes a route table: itself, its route out, the subnets that use it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from provision.providers.eks import desired
from provision.providers.eks.actions.making import link
from provision.providers.eks.readers.tags import listing

if TYPE_CHECKING:
    from provision.providers.eks.facts import Network
    from provision.providers.eks.work import Work


def ensure_routes(work: Work, network: Network, part: str, target: str | None) -> Iterator[str]:
    """`target` is the id of the internet or NAT gateway that leads out; None for no way out."""
    ec2, vpc = work.account.client("ec2"), network.vpc
    assert vpc is not None  # noqa: S101  (the step before has made it)
    found = network.route_table(part)
    if found is None:
        tags = listing(work.tags(part))
        # botocore gives it a token of its own, which holds across its tries; by tags it is found after them.
        table = ec2.create_route_table(
            VpcId=vpc.id, TagSpecifications=[{"ResourceType": "route-table", "Tags": tags}]
        )["RouteTable"]["RouteTableId"]
        yield f"made {table}"
    else:
        table = found.id
    present = found.routes.get(desired.ANYWHERE) if found else None
    if target != present:
        work.once_there(part, "set the route out", link(lambda: _route(work, table, present, target)))
        yield f"lead out through {target}" if target else "lead out no more"
    associations = found.associations if found else {}
    for name in cast("list[str]", work.spec(part)["subnets"]):
        subnet = network.subnet(name)
        assert subnet is not None  # noqa: S101  (the network was read until it showed them)
        if subnet.id in associations:
            continue
        _associate(work, part, table, subnet.id, network)
        yield f"are those of {name}"


def _route(work: Work, table: str, present: str | None, target: str | None) -> None:
    ec2 = work.account.client("ec2")
    if target is None:
        ec2.delete_route(RouteTableId=table, DestinationCidrBlock=desired.ANYWHERE)
        return
    gateway: Any = {"NatGatewayId": target} if target.startswith("nat-") else {"GatewayId": target}
    change = ec2.create_route if present is None else ec2.replace_route
    change(RouteTableId=table, DestinationCidrBlock=desired.ANYWHERE, **gateway)


def _associate(work: Work, part: str, table: str, subnet: str, network: Network) -> None:
    """Give the subnet this table, in place of another of ours that it may have."""
    ec2 = work.account.client("ec2")
    others = [one.associations[subnet] for one in network.route_tables if subnet in one.associations]
    if others:
        work.heed()
        ec2.replace_route_table_association(AssociationId=others[0], RouteTableId=table)
        return
    work.once_there(
        part,
        "associate a subnet",
        link(lambda: ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)),
    )
