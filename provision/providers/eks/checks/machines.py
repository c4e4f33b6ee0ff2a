"""Can the nodes be had: the instance types, their architecture, and the zones that offer them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.providers.eks import names
from provision.providers.eks.checks.verdict import error
from provision.providers.eks.pending import pending

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provision.model.eks import EksCluster, NodeGroup
    from provision.model.plan import Finding
    from provision.providers.eks.checks.preflight_facts import Machine, Preflight
    from provision.providers.eks.facts import Observation


def types(cluster: EksCluster, seen: Observation, preflight: Preflight) -> Iterator[Finding]:
    """The instance types exist in the region, share one architecture, and can be had as spot where that is asked."""
    for group, found in _new(cluster, seen, preflight):
        where = names.node_group(group.name)
        unknown = [kind for kind in group.instance_types if kind not in found]
        if unknown:
            yield error(
                "instance-type",
                f"{', '.join(unknown)}: not to be had in {cluster.region}",
                "see what there is: aws ec2 describe-instance-type-offerings "
                f"--region {cluster.region} --filters Name=instance-type,Values='{_family(unknown[0])}.*'",
                where=where,
            )
        architectures = {machine.architecture: kind for kind, machine in found.items()}
        if len(architectures) > 1:
            mixed = ", ".join(f"{kind} is {machine.architecture}" for kind, machine in found.items())
            yield error(
                "architecture",
                f"its instance types have different architectures: {mixed}",
                "make a node group for each architecture: the nodes of one share one image",
                where=where,
            )
        if group.capacity == "spot" and (
            never := [kind for kind, machine in found.items() if not machine.spot]
        ):
            yield error(
                "no-spot",
                f"{', '.join(never)} cannot be had as spot",
                "write `capacity: on-demand`, or other instance types",
                where=where,
            )


def zones(cluster: EksCluster, seen: Observation, preflight: Preflight) -> Iterator[Finding]:
    """Every zone of the nodes offers one of their instance types."""
    for group, found in _new(cluster, seen, preflight):
        if not found:
            continue
        offered = {zone for machine in found.values() for zone in machine.zones}
        without = [zone for zone in _zones(cluster, seen, group) if zone not in offered]
        if not without:
            continue
        kinds = ", ".join(found)
        fix = (
            f"write `vpc.zones` with two or three of {', '.join(sorted(offered))}"
            if offered and cluster.vpc.subnets is None
            else f"use subnets in {', '.join(sorted(offered))}"
            if offered
            else "write other `instance_types`"
        )
        yield error(
            "not-offered",
            f"{', '.join(without)} {'does' if len(without) == 1 else 'do'} not offer {kinds}",
            f"{fix}, or other `instance_types`" if offered else fix,
            where=names.node_group(group.name),
        )


def _new(
    cluster: EksCluster, seen: Observation, preflight: Preflight
) -> Iterator[tuple[NodeGroup, dict[str, Machine]]]:
    """Node groups that are still to be made, each with those of its instance types that exist."""
    if preflight.machines is None:
        return
    for group in pending(cluster, seen).new_groups:
        yield (
            group,
            {kind: preflight.machines[kind] for kind in group.instance_types if kind in preflight.machines},
        )


def _zones(cluster: EksCluster, seen: Observation, group: NodeGroup) -> tuple[str, ...]:
    subnets = cluster.vpc.subnets
    if subnets is None:
        return seen.network.zones
    wanted = subnets.public if group.subnets == "public" else subnets.private
    return tuple(dict.fromkeys(one.zone for one in seen.network.subnets if one.id in wanted))


def _family(kind: str) -> str:
    return kind.partition(".")[0]
