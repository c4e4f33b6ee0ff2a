"""Check that EKS supports the Kubernetes minor and offers the add-ons for it, and warn of what support costs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from provision.model.plan import Finding
from provision.providers.eks import names
from provision.providers.eks.checks import support
from provision.providers.eks.pricing.prices import extended_support_monthly

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provision.providers.eks.checks.context import Context

_SOON = 60  # days
_SHOWN = 5  # versions of an add-on


def kubernetes(context: Context) -> Iterator[Finding]:
    """The minor is supported; warn of extended support, which costs more, and shortly before it begins."""
    calendar, minor = context.preflight.calendar or support.bundled(), context.cluster.kubernetes
    supported = calendar.minors.get(minor)
    today = datetime.fromtimestamp(context.preflight.at, UTC).date()
    usable = [one for one, days in calendar.minors.items() if days.extended >= today]
    newest = max(usable, key=_number, default=minor)
    if supported is None:
        if not calendar.source:
            offered = ", ".join(sorted(usable, key=_number, reverse=True))
            yield Finding.error(
                "kubernetes-version",
                "",
                f"EKS does not offer Kubernetes {minor}; it offers {offered}",
                f'write kubernetes: "{newest}"',
            )
        elif _number(minor) < min(map(_number, calendar.minors)):
            yield Finding.error(
                "kubernetes-version",
                "",
                f"EKS no longer supports Kubernetes {minor}",
                f'write kubernetes: "{newest}"',
            )
        return
    more = f"${extended_support_monthly():,.0f} a month more"
    upgrade = (
        f'write kubernetes: "{newest}"'
        if context.observation.cluster is None
        else "upgrade, one minor after the other"
    )
    if supported.extended < today:
        yield Finding.error(
            "kubernetes-version",
            "",
            f"EKS ended all support of Kubernetes {minor} on {supported.extended}",
            upgrade,
        )
    elif supported.standard < today:
        yield Finding.warning(
            "extended-support",
            "",
            f"Kubernetes {minor} is in extended support, which costs {more}; that ends on {supported.extended}",
            upgrade,
        )
    elif (supported.standard - today).days < _SOON:
        yield Finding.warning(
            "extended-support",
            "",
            f"standard support of Kubernetes {minor} ends on {supported.standard}; extended support costs {more}",
            upgrade,
        )


def addons(context: Context) -> Iterator[Finding]:
    """The add-ons exist, in the version of the file, for the minor that the cluster has or gets."""
    cluster, found = context.cluster, context.observation.cluster
    minor = cluster.kubernetes if found is None else found.version
    for addon in cluster.addons:
        offer = context.preflight.addons.get(addon.name)
        if offer is None:
            continue
        where = names.addon(addon.name)
        if not offer.versions:
            yield Finding.error(
                "addon",
                where,
                f"EKS has no add-on of that name for Kubernetes {minor}",
                f"list the existing ones: aws eks describe-addon-versions --region {cluster.region} "
                f"--kubernetes-version {minor} --query 'addons[].addonName'",
            )
        elif addon.version is not None and addon.version not in offer.versions:
            some = ", ".join(offer.versions[:_SHOWN])
            yield Finding.error(
                "addon-version",
                where,
                f"version {addon.version} is not offered for Kubernetes {minor}; there are {some}"
                f"{' and older ones' if len(offer.versions) > _SHOWN else ''}",
                f"write one of them, or `version: null` for EKS's default ({offer.default})",
            )


def kubectl(context: Context) -> Iterator[Finding]:
    """Warn of a kubectl more than one minor away from the API server, which Kubernetes does not support."""
    client, wanted = context.preflight.kubectl, context.cluster.kubernetes
    if client is None or client.version.split(".")[0] != wanted.split(".")[0]:
        return
    minor = _number(wanted)[1]
    if abs(_number(client.version)[1] - minor) > 1:
        yield Finding.warning(
            "kubectl",
            "",
            f"{client.path} is {client.version}; Kubernetes {wanted} supports 1.{minor - 1} to 1.{minor + 1}",
            f"install kubectl {wanted}",
        )


def endpoint(context: Context) -> Iterator[Finding]:
    """Warn that a private endpoint hides the nodes from runs outside of the VPC."""
    if not context.cluster.endpoint.public and context.observation.cluster is None:
        yield Finding.warning(
            "private-endpoint",
            "",
            "the API server will be reachable inside of the VPC only: outside of it provision sees node groups, but no "
            "nodes",
            "run provision inside of the VPC (or a VPN to it), or write `endpoint.public: true` with `public_cidrs`",
        )


def _number(minor: str) -> tuple[int, ...]:
    return tuple(int(part) for part in minor.split("."))
