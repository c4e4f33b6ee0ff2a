"""What an account allows and offers, as far as the cluster still needs it: frozen data, no I/O.

Read by `preflight`, judged by `checks`. None, or a key that is missing, means that nobody asked, because nothing that
is still to be made depends on it; what was asked in vain is in `unasked`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provision.errors import CheckError
    from provision.providers.eks.checks.support import Calendar
    from provision.providers.eks.facts import AddonOffer

# Codes of Service Quotas.
VPCS, ADDRESSES, NATS, ON_DEMAND, SPOT = "L-F678F1CE", "L-0263D0A3", "L-FE5A380F", "L-1216C47A", "L-34B43A08"
QUOTAS: Mapping[str, tuple[str, str]] = {  # code: service and what AWS's console calls it
    VPCS: ("vpc", "VPCs per Region"),
    ADDRESSES: ("ec2", "EC2-VPC Elastic IPs"),
    NATS: ("vpc", "NAT gateways per Availability Zone"),
    ON_DEMAND: ("ec2", "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances"),
    SPOT: ("ec2", "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """An instance type that exists in the region; `zones` are those that offer it."""

    vcpus: int
    architecture: str  # x86_64 or arm64
    spot: bool
    zones: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Zone:
    """An availability zone; `id` is the same in every account, `name` is not. `state`: available, impaired ..."""

    name: str
    id: str
    state: str


@dataclass(frozen=True, slots=True)
class Denied:
    """An action that the credentials may not do. Not certain if a policy asks for what only a real call has."""

    action: str
    certain: bool


@dataclass(frozen=True, slots=True)
class Unasked:
    """What could not be asked, and why, in AWS's words."""

    what: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubectl:
    """The kubectl on PATH; `version` like "1.35"."""

    path: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """What was asked; `at` is seconds since the epoch, `expires` when the credentials end, if they say so."""

    at: float
    expires: float | None = None
    denied: tuple[Denied, ...] = ()
    limits: Mapping[str, int] = field(default_factory=dict)  # quota's code: a number, or vCPUs
    used: Mapping[str, int] = field(
        default_factory=dict
    )  # the same; of NAT gateways the most that a zone has
    machines: Mapping[str, Machine] | None = None
    zones: tuple[Zone, ...] | None = None
    vpcs: Mapping[str, tuple[str, ...]] | None = None  # id: its IPv4 ranges
    calendar: Calendar | None = None
    addons: Mapping[str, AddonOffer] = field(default_factory=dict)
    kubectl: Kubectl | None = None
    eksctl: CheckError | None = None  # why the backend eksctl cannot work
    unasked: tuple[Unasked, ...] = ()

    def left(self, code: str) -> int | None:
        """What may still be made of a quota; None if limit or use is not known."""
        if code not in self.limits or code not in self.used:
            return None
        return max(self.limits[code] - self.used[code], 0)
