"""Ids of what earlier steps have made, looked up when they are needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.providers.eks import names
from provision.providers.eks.actions.network import seen_with

if TYPE_CHECKING:
    from provision.providers.eks.work import Work


def subnets_of(work: Work, resource: str, placement: str) -> dict[str, str]:
    """Subnet id to zone, for `placement`: private, public, or both ("all"). Waits until AWS shows all of ours."""
    private, public = placement in {"private", "all"}, placement in {"public", "all"}
    existing = work.cluster.vpc.subnets
    if existing is not None:
        ids = [*(existing.private if private else ()), *(existing.public if public else ())]
        return {one.id: one.zone for one in work.observation.network.subnets if one.id in ids}
    zones = work.observation.network.zones
    parts = [names.private_subnet(zone) for zone in zones] if private else []
    parts += [names.public_subnet(zone) for zone in zones] if public else []
    network = seen_with(work, resource, parts)
    found = [network.subnet(part) for part in parts]
    return {one.id: one.zone for one in found if one is not None}
