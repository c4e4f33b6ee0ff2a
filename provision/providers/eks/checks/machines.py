"""Check that the instance types exist, share an architecture, and are offered in the zones of the nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.model.plan import Finding
from provision.providers.eks import names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provision.model.eks import NodeGroup
    from provision.providers.eks.checks.context import Context, Machine


def types(context: Context) -> Iterator[Finding]:
    """The instance types exist in the region, share an architecture, and are available as spot where needed."""
    region = context.cluster.region
    for group, found in _new_groups(context):
        where = names.node_group(group.name)
        unknown = [kind for kind in group.instance_types if kind not in found]
        if unknown:
            yield Finding.error(
                "instance-type",
                where,
                f"{', '.join(unknown)}: not available in {region}",
                "list the available ones: aws ec2 describe-instance-type-offerings "
                f"--region {region} --filters Name=instance-type,Values='{unknown[0].partition('.')[0]}.*'",
            )
        architectures = {machine.architecture: kind for kind, machine in found.items()}
        if len(architectures) > 1:
            mixed = ", ".join(f"{kind} is {machine.architecture}" for kind, machine in found.items())
            yield Finding.error(
                "architecture",
                where,
                f"its instance types have different architectures: {mixed}",
                "write a node group per architecture: the nodes of a group share one image",
            )
        if group.capacity == "spot" and (
            never := [kind for kind, machine in found.items() if not machine.spot]
        ):
            yield Finding.error(
                "no-spot",
                where,
                f"{', '.join(never)} cannot be ordered as spot",
                "write `capacity: on-demand`, or other instance types",
            )


def zones(context: Context) -> Iterator[Finding]:
    """Every zone of the nodes offers one of their instance types."""
    for group, found in _new_groups(context):
        if not found:
            continue
        offered = {zone for machine in found.values() for zone in machine.zones}
        without = [zone for zone in _zones(context, group) if zone not in offered]
        if not without:
            continue
        kinds = ", ".join(found)
        fix = (
            f"write `vpc.zones` with two or three of {', '.join(sorted(offered))}"
            if offered and context.cluster.vpc.subnets is None
            else f"use subnets in {', '.join(sorted(offered))}"
            if offered
            else "write other `instance_types`"
        )
        yield Finding.error(
            "not-offered",
            names.node_group(group.name),
            f"{', '.join(without)} {'does' if len(without) == 1 else 'do'} not offer {kinds}",
            f"{fix}, or other `instance_types`" if offered else fix,
        )


def _new_groups(context: Context) -> Iterator[tuple[NodeGroup, dict[str, Machine]]]:
    """Node groups that are to be created, each with those of its instance types that exist."""
    machines = context.preflight.machines
    if machines is not None:
        for group in context.pending.new_groups:
            yield group, {kind: machines[kind] for kind in group.instance_types if kind in machines}


def _zones(context: Context, group: NodeGroup) -> tuple[str, ...]:
    subnets, network = context.cluster.vpc.subnets, context.observation.network
    if subnets is None:
        return network.zones
    wanted = subnets.public if group.subnets == "public" else subnets.private
    return tuple(dict.fromkeys(one.zone for one in network.subnets if one.id in wanted))
