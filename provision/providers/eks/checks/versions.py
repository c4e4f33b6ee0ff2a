"""Does EKS have that Kubernetes, for how long and for how much, and the add-ons for it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from provision.providers.eks import names
from provision.providers.eks.checks import support
from provision.providers.eks.checks.verdict import error, warning
from provision.providers.eks.pricing.prices import extended_support_monthly

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provision.model.eks import EksCluster
    from provision.model.plan import Finding
    from provision.providers.eks.checks.preflight_facts import Preflight
    from provision.providers.eks.facts import Observation

_SOON = 60  # days
_SHOWN = 5  # versions of an add-on


def kubernetes(cluster: EksCluster, seen: Observation, preflight: Preflight) -> Iterator[Finding]:
    """The minor is supported; extended support costs more, and so do clusters that soon get there."""
    calendar, minor = preflight.calendar or support.bundled(), cluster.kubernetes
    there, today = calendar.minors.get(minor), _day(preflight.at)
    usable = [one for one, days in calendar.minors.items() if days.extended >= today]
    newest = max(usable, key=_number, default=minor)
    if there is None:
        if not calendar.source:
            offered = ", ".join(sorted(usable, key=_number, reverse=True))
            yield error(
                "kubernetes-version",
                f"EKS does not offer Kubernetes {minor}; it offers {offered}",
                f'write kubernetes: "{newest}"',
            )
        elif _number(minor) < min(map(_number, calendar.minors)):
            yield error(
                "kubernetes-version",
                f"EKS does not support Kubernetes {minor} any more",
                f'write kubernetes: "{newest}"',
            )
        return
    more = f"${extended_support_monthly():,.0f} a month more"
    upgrade = (
        f'write kubernetes: "{newest}"' if seen.cluster is None else "upgrade, one minor after the other"
    )
    if there.extended < today:
        yield error(
            "kubernetes-version", f"EKS ended all support of Kubernetes {minor} on {there.extended}", upgrade
        )
    elif there.standard < today:
        yield warning(
            "extended-support",
            f"Kubernetes {minor} is in extended support, which costs {more}; that ends on {there.extended}",
            upgrade,
        )
    elif (there.standard - today).days < _SOON:
        yield warning(
            "extended-support",
            f"standard support of Kubernetes {minor} ends on {there.standard}; extended support costs {more}",
            upgrade,
        )


def addons(cluster: EksCluster, seen: Observation, preflight: Preflight) -> Iterator[Finding]:
    """The add-ons exist, in that version, for the minor that the cluster has or gets."""
    minor = cluster.kubernetes if seen.cluster is None else seen.cluster.version
    for addon in cluster.addons:
        offer = preflight.addons.get(addon.name)
        if offer is None:
            continue
        where = names.addon(addon.name)
        if not offer.versions:
            yield error(
                "addon",
                f"EKS has no add-on of that name for Kubernetes {minor}",
                f"see which there are: aws eks describe-addon-versions --region {cluster.region} "
                f"--kubernetes-version {minor} --query 'addons[].addonName'",
                where=where,
            )
        elif addon.version is not None and addon.version not in offer.versions:
            some = ", ".join(offer.versions[:_SHOWN])
            yield error(
                "addon-version",
                f"version {addon.version} is not offered for Kubernetes {minor}; there are {some}"
                f"{' and older ones' if len(offer.versions) > _SHOWN else ''}",
                f"write one of them, or `version: null` for EKS's default ({offer.default or offer.versions[0]})",
                where=where,
            )


def kubectl(cluster: EksCluster, seen: Observation, preflight: Preflight) -> Iterator[Finding]:  # noqa: ARG001 - all checks look alike
    """A kubectl more than one minor away from the API server is not supported by Kubernetes."""
    client = preflight.kubectl
    if client is None or client.version.split(".")[0] != cluster.kubernetes.split(".")[0]:
        return
    minor = _number(cluster.kubernetes)[1]
    if abs(_number(client.version)[1] - minor) > 1:
        yield warning(
            "kubectl",
            f"{client.path} is {client.version}; with Kubernetes {cluster.kubernetes} only 1.{minor - 1} to "
            f"1.{minor + 1} work reliably",
            f"install kubectl {cluster.kubernetes}",
        )


def endpoint(cluster: EksCluster, seen: Observation, preflight: Preflight) -> Iterator[Finding]:  # noqa: ARG001 - all checks look alike
    """Who runs provision outside of the VPC cannot see the nodes of a private endpoint."""
    if not cluster.endpoint.public and seen.cluster is None:
        yield warning(
            "private-endpoint",
            "the API server will be reachable inside of the VPC only: provision sees node groups, but no nodes, from "
            "anywhere else",
            "run it inside of the VPC (or a VPN to it), or write `endpoint.public: true` with `public_cidrs`",
        )


def _day(seconds: float) -> date:
    return datetime.fromtimestamp(seconds, UTC).date()


def _number(minor: str) -> tuple[int, ...]:
    return tuple(int(part) for part in minor.split("."))
