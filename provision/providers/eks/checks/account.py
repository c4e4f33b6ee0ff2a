"""Do the credentials last, may they do what is needed, and does the account have room for it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from provision.providers.eks.checks import quotas
from provision.providers.eks.checks.preflight_facts import ADDRESSES, NATS, ON_DEMAND, QUOTAS, SPOT, VPCS
from provision.providers.eks.checks.verdict import error, warning
from provision.providers.eks.pending import pending

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from provision.model.eks import EksCluster
    from provision.model.plan import Finding
    from provision.providers.eks.checks.preflight_facts import Preflight
    from provision.providers.eks.facts import Observation
    from provision.providers.eks.pending import Pending

# Minutes: a new cluster with its node groups usually takes 15 to 25, a change of an existing one a few.
_CREATION, _CHANGE = 30, 10
# Verbs of actions that a creation can do without.
_TAKING_AWAY = ("Delete", "Detach", "Disassociate", "Release", "Revoke")
_POLICY = "`provision eks policy` prints a policy that allows everything provision does"


def credentials(cluster: EksCluster, seen: Observation, preflight: Preflight) -> Iterator[Finding]:
    """Credentials of the environment that end before the work is done."""
    missing = pending(cluster, seen)
    if preflight.expires is None or not missing.anything:
        return
    left = (preflight.expires - preflight.at) / 60
    wanted = _CREATION if missing.cluster else _CHANGE
    if left < wanted:
        end = time.strftime("%H:%M UTC", time.gmtime(preflight.expires))
        yield warning(
            "credentials-end",
            f"the credentials of {seen.identity.arn} end in {max(left, 0):.0f} minutes, at {end}; "
            f"this takes about {wanted}",
            "renew them first; if they end on the way, renew them and run the same command again",
        )


def permissions(cluster: EksCluster, seen: Observation, preflight: Preflight) -> Iterator[Finding]:  # noqa: ARG001 - all checks look alike
    """Every action that is needed is allowed, as far as IAM's policy simulator can tell."""
    who = seen.identity.arn
    now = [one for one in preflight.denied if not one.action.partition(":")[2].startswith(_TAKING_AWAY)]
    sure = ", ".join(one.action for one in now if one.certain)
    if sure:
        yield error("permissions", f"{who} may not do {sure}", _POLICY)
    unsure = ", ".join(one.action for one in now if not one.certain)
    if unsure:
        why = "its policies ask for more than a simulation knows"
        yield warning("permissions", f"{who} may perhaps not do {unsure}: {why}", _POLICY)
    later = ", ".join(one.action for one in preflight.denied if one not in now)
    if later:
        yield warning("permissions", f"{who} may not do {later}, which `provision reset` needs", _POLICY)


def room(cluster: EksCluster, seen: Observation, preflight: Preflight) -> Iterator[Finding]:
    """What is still to be made fits into the quotas."""
    for code, more in _wanted(cluster, pending(cluster, seen), preflight).items():
        left = preflight.left(code)
        if left is None or more <= left:
            continue
        service, name = QUOTAS[code]
        limit, used = preflight.limits[code], preflight.used[code]
        unit = " vCPUs" if code in {ON_DEMAND, SPOT} else ""
        yield error(
            "quota",
            f'the quota "{name}" ({code}) of {cluster.region} is {limit}{unit}: {used} are used, {more} more needed',
            f"free some, or ask for more: aws service-quotas request-service-quota-increase --region {cluster.region} "
            f"--service-code {service} --quota-code {code} --desired-value {used + more}",
        )


def unasked(cluster: EksCluster, seen: Observation, preflight: Preflight) -> Iterator[Finding]:  # noqa: ARG001 - all checks look alike
    """What could not be asked is not known to be right."""
    reasons: dict[str, list[str]] = {}
    for one in preflight.unasked:
        reasons.setdefault(one.why, []).append(one.what)
    for why, what in reasons.items():
        yield warning("not-checked", f"not checked: {', '.join(what)} ({why})", _POLICY)


def _wanted(cluster: EksCluster, missing: Pending, preflight: Preflight) -> Mapping[str, int]:
    """What is needed of each quota. vCPUs: the least that the node groups can begin with."""
    wanted = {VPCS: int(missing.vpc), ADDRESSES: missing.addresses, NATS: min(missing.gateways, 1)}
    machines = preflight.machines or {}
    for group in cluster.node_groups:
        sizes = [machines[kind].vcpus for kind in group.instance_types if kind in machines]
        if sizes and group.name in missing.growth and quotas.standard(group.instance_types):
            code = SPOT if group.capacity == "spot" else ON_DEMAND
            wanted[code] = wanted.get(code, 0) + missing.growth[group.name] * min(sizes)
    return wanted
