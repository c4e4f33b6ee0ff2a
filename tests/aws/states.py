"""Faults on demand: slow and failing resources, refused and lost calls, quotas, offerings.

Every public method is a state that a test switches on, in Python (`aws.states.throttle("CreateVpc", 2)`) or over the
control route (`POST /_control {"do": "throttle", "with": {"operation": "CreateVpc", "times": 2}}`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["cluster", "nodegroup", "fargate", "addon", "update", "delete", "nodes", "nat"]

# Code of the service quota: service, name and default of a new account.
QUOTAS: dict[str, tuple[str, str, float]] = {
    "L-F678F1CE": ("vpc", "VPCs per Region", 5.0),
    "L-A4707A72": ("vpc", "Internet gateways per Region", 5.0),
    "L-FE5A380F": ("vpc", "NAT gateways per Availability Zone", 5.0),
    "L-0263D0A3": ("ec2", "EC2-VPC Elastic IPs", 5.0),
    "L-1216C47A": ("ec2", "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", 64.0),
    "L-34B43A08": ("ec2", "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests", 64.0),
    "L-1194D53C": ("eks", "Clusters", 100.0),
}


@dataclass(frozen=True, slots=True)
class Failure:
    """Final state of a resource instead of ACTIVE."""

    status: str
    code: str
    message: str


@dataclass(slots=True)
class States:
    """All off at first, except that every resource is in transition for one describe call (`slow`)."""

    describes: dict[Kind, int] = field(default_factory=dict)
    nodegroup_failures: dict[str, Failure] = field(default_factory=dict)
    addon_failures: dict[str, Failure] = field(default_factory=dict)
    throttled: dict[str, int] = field(default_factory=dict)
    denied: set[str] = field(default_factory=set)
    lost: dict[str, int] = field(default_factory=dict)
    lost_after: dict[str, int] = field(default_factory=dict)
    calls_until_expiry: int | None = None
    zones_full: set[str] = field(default_factory=set)
    offers: dict[str, tuple[str, ...]] = field(default_factory=dict)
    quotas: dict[str, float] = field(default_factory=dict)
    role_refusals: int = 0
    kill_countdown: int | None = None

    def looks(self, kind: Kind) -> int:
        return self.describes.get(kind, 1)

    def slow(self, kind: Kind, describes: int) -> None:
        """A resource of the kind is in transition for so many describe calls; kind "nodes": nodes are NotReady."""
        self.describes[kind] = describes

    def fail_nodegroup(self, name: str, code: str, message: str = "", status: str = "CREATE_FAILED") -> None:
        """The node group ends in `status` (CREATE_FAILED or DEGRADED) with this health issue."""
        self.nodegroup_failures[name] = Failure(status, code, message or f"{code} in node group {name}")

    def fail_addon(self, name: str, code: str, message: str = "", status: str = "CREATE_FAILED") -> None:
        """The add-on ends in `status` (CREATE_FAILED or DEGRADED) with this health issue."""
        self.addon_failures[name] = Failure(status, code, message or f"{code} in add-on {name}")

    def throttle(self, operation: str, times: int) -> None:
        """The next calls of the operation ("*": of any) are refused with the service's throttling error."""
        self.throttled[operation] = times

    def deny(self, operation: str) -> None:
        """Calls of the operation are refused: the user's policy does not allow it."""
        self.denied.add(operation)

    def allow(self, operation: str) -> None:
        """Undo `deny`."""
        self.denied.discard(operation)

    def lose_requests(self, operation: str, times: int) -> None:
        """The next calls of the operation ("*": of any) get a reset connection; they are not executed."""
        self.lost[operation] = times

    def lose_replies(self, operation: str, times: int) -> None:
        """The next calls of the operation ("*": of any) are executed, then the connection is reset."""
        self.lost_after[operation] = times

    def expire_credentials(self, after: int) -> None:
        """The user's credentials expire after so many calls."""
        self.calls_until_expiry = after

    def renew_credentials(self) -> None:
        """Undo `expire_credentials`."""
        self.calls_until_expiry = None

    def fill_zone(self, zone: str) -> None:
        """EKS has no capacity for control planes in the zone: UnsupportedAvailabilityZoneException with validZones."""
        self.zones_full.add(zone)

    def offer(self, instance_type: str, zones: list[str]) -> None:
        """The instance type is offered in these zones only."""
        self.offers[instance_type] = tuple(zones)

    def quota(self, code: str, value: float) -> None:
        """Set the quota to `value`, for GetServiceQuota and for refused calls."""
        self.quotas[code] = value

    def quota_of(self, code: str) -> float:
        return self.quotas.get(code, QUOTAS[code][2])

    def propagate_roles_late(self, calls: int) -> None:
        """The next calls that pass a role to EKS are refused as if it had not propagated yet."""
        self.role_refusals = calls

    def kill_after(self, mutating_calls: int) -> None:
        """The process that makes the n-th mutating call from now on is killed after the call is executed."""
        self.kill_countdown = mutating_calls

    def spare(self) -> None:
        """Undo `kill_after`."""
        self.kill_countdown = None


def used_up(counts: dict[str, int], operation: str) -> bool:
    """Whether the state applies to this call; counts it."""
    for name in (operation, "*"):
        if counts.get(name, 0) > 0:
            counts[name] -= 1
            return True
    return False
