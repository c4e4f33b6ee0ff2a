"""Check that the credentials last and suffice, and that the quotas of the account do."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from provision.model.plan import Finding
from provision.providers.eks.checks.context import ADDRESSES, NATS, ON_DEMAND, QUOTAS, SPOT, VPCS

if TYPE_CHECKING:
    from provision.model.eks import EksCluster
    from provision.providers.eks.checks.context import Context, Pending

# Minutes: a new cluster with its node groups usually takes 15 to 25, a change of an existing one a few.
_CREATION, _CHANGE = 30, 10
# Verbs of actions that only a deletion needs.
_DELETING = ("Delete", "Detach", "Disassociate", "Release", "Revoke")
_POLICY = "`provision eks policy` prints a policy that allows everything provision does"
# First letters of the instance types that share the two quotas of standard instances; GPUs and others have their own.
_STANDARD = frozenset({"a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z"})


def credentials(context: Context) -> Iterator[Finding]:
    """Warn of credentials of the environment that expire before the run ends."""
    preflight, pending = context.preflight, context.pending
    if preflight.expires is None or not pending.anything:
        return
    left = (preflight.expires - preflight.at) / 60
    needed = _CREATION if pending.cluster else _CHANGE
    if left < needed:
        end = time.strftime("%H:%M UTC", time.gmtime(preflight.expires))
        yield Finding.warning(
            "credentials-end",
            "",
            f"the credentials of {context.observation.identity.arn} expire in {max(left, 0):.0f} minutes, at {end}; "
            f"this takes about {needed}",
            "renew them first; if they expire during the run, renew them and run the same command again",
        )


def permissions(context: Context) -> Iterator[Finding]:
    """Every action that is needed is allowed, as far as IAM's policy simulator can say."""
    arn, denied = context.observation.identity.arn, context.preflight.denied
    now = [one for one in denied if not one.action.partition(":")[2].startswith(_DELETING)]
    certain = ", ".join(one.action for one in now if one.certain)
    if certain:
        yield Finding.error("permissions", "", f"{arn} may not do {certain}", _POLICY)
    uncertain = ", ".join(one.action for one in now if not one.certain)
    if uncertain:
        why = "its policies have conditions that a simulation cannot evaluate"
        yield Finding.warning("permissions", "", f"{arn} may perhaps not do {uncertain}: {why}", _POLICY)
    later = ", ".join(one.action for one in denied if one not in now)
    if later:
        yield Finding.warning(
            "permissions", "", f"{arn} may not do {later}, which `provision reset` needs", _POLICY
        )


def quotas(context: Context) -> Iterator[Finding]:
    """What is to be created fits into the quotas."""
    preflight, region = context.preflight, context.cluster.region
    for code, more in _demand(context).items():
        left = preflight.left(code)
        if left is None or more <= left:
            continue
        service, name = QUOTAS[code]
        limit, used = preflight.limits[code], preflight.used[code]
        unit = " vCPUs" if code in {ON_DEMAND, SPOT} else ""
        yield Finding.error(
            "quota",
            "",
            f'the quota "{name}" ({code}) of {region} is {limit}{unit}: {used} are used, {more} more needed',
            f"free some, or ask for more: aws service-quotas request-service-quota-increase --region {region} "
            f"--service-code {service} --quota-code {code} --desired-value {used + more}",
        )


def unanswered(context: Context) -> Iterator[Finding]:
    """Warn of what could not be read and is therefore not checked."""
    reasons: dict[str, list[str]] = {}
    for one in context.preflight.unanswered:
        reasons.setdefault(one.why, []).append(one.what)
    for why, what in reasons.items():
        yield Finding.warning("not-checked", "", f"not checked: {', '.join(what)} ({why})", _POLICY)


def limiting_quotas(cluster: EksCluster, pending: Pending) -> tuple[str, ...]:
    """Codes of the quotas that what is still to be created depends on."""
    growing = [group for group in cluster.node_groups if group.name in pending.growth]
    capacities = {group.capacity for group in growing if all(map(is_standard, group.instance_types))}
    needed = {
        VPCS: pending.vpc,
        ADDRESSES: pending.addresses > 0,
        NATS: pending.gateways > 0,
        ON_DEMAND: "on-demand" in capacities,
        SPOT: "spot" in capacities,
    }
    return tuple(code for code, is_needed in needed.items() if is_needed)


def is_standard(instance_type: str) -> bool:
    """Whether the type counts towards the quotas of standard instances (`m7i.large` does, `g5.xlarge` does not)."""
    found = re.match(r"[a-z]+", instance_type)
    return found is not None and found[0] in _STANDARD


def _demand(context: Context) -> Mapping[str, int]:
    """Amount needed of each quota. vCPUs: the fewest that the node groups can start with."""
    pending, machines = context.pending, context.preflight.machines or {}
    demand = {VPCS: int(pending.vpc), ADDRESSES: pending.addresses, NATS: min(pending.gateways, 1)}
    for group in context.cluster.node_groups:
        sizes = [machines[kind].vcpus for kind in group.instance_types if kind in machines]
        if sizes and group.name in pending.growth and all(map(is_standard, group.instance_types)):
            code = SPOT if group.capacity == "spot" else ON_DEMAND
            demand[code] = demand.get(code, 0) + pending.growth[group.name] * min(sizes)
    return demand
