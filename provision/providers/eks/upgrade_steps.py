"""From a running minor of Kubernetes to the file's, one at a time: control plane, add-ons, node groups. Pure.

Nodes are brought to the control plane's minor before it goes on, so that the skew between them is never more than one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from provision.providers.eks import desired, names
from provision.providers.eks.cluster_steps import CLUSTER
from provision.providers.eks.view import Row, View, step

if TYPE_CHECKING:
    from provision.model.plan import PlaybookStep
    from provision.providers.eks.facts import AddonFacts

_WORKING = {"ACTIVE", "UPDATING", "DEGRADED"}
_LAST_ADDON = "kube-proxy"


def upgrade_steps(view: View, needs: tuple[str, ...]) -> Iterator[PlaybookStep]:
    """First what an upgrade that was cut off has left behind, then minor by minor."""
    if view.seen.cluster is None or view.seen.cluster.status in {"CREATING", "PENDING"}:
        return
    running, wanted = desired.minor(view.running), desired.minor(view.cluster.kubernetes)
    before = needs
    versions = {one.name: one.version for one in view.seen.addons if one.owned}
    groups = {one.name: one.version for one in view.seen.node_groups if one.owned and one.status in _WORKING}
    for number in range(running, wanted + 1):
        version = f"1.{number}"
        steps = [
            *(_control_plane(view, version, before) if number > running else ()),
            *_addons(view, version, versions, before),
            *_node_groups(view, version, groups, before),
        ]
        yield from steps
        before = (*before, *(one.name for one in steps))


def _control_plane(view: View, version: str, before: tuple[str, ...]) -> Iterator[PlaybookStep]:
    """Not while an add-on or a node group could not follow to the minor before."""
    previous = f"1.{desired.minor(version) - 1}"
    row = Row(CLUSTER, (f"runs Kubernetes {previous}",), {"version": version})
    yield from step(
        f"upgrade-control-plane-{version}",
        f"Upgrade the control plane to Kubernetes {version}",
        [row],
        action="upgrade-control-plane",
        needs=before,
        requires=[
            *(names.node_group(group.name) for group in view.cluster.node_groups),
            *(names.addon(addon.name) for addon in view.cluster.addons),
        ],
        awaited=True,
    )


def _addons(
    view: View, version: str, versions: dict[str, str], before: tuple[str, ...]
) -> Iterator[PlaybookStep]:
    """Add-ons whose version is not offered for the minor; `versions` is brought up to date."""
    rows = []
    for addon in view.cluster.addons:
        found, offer = view.seen.addon(addon.name), view.seen.offer(addon.name, version)
        running = versions.get(addon.name)
        if found is None or offer is None or running is None or not _works(found):
            continue
        target = running if running in offer.versions else offer.default
        if addon.version in offer.versions and version == view.cluster.kubernetes:
            target = addon.version
        if target and target != running:
            last = addon.name == _LAST_ADDON
            reason = f"{running} is not for Kubernetes {version}"
            if running in offer.versions:
                reason = f"is {running}, not {target}"
            rows.append(
                Row(names.addon(addon.name), (reason,), {"name": addon.name, "version": target, "last": last})
            )
            versions[addon.name] = target
    yield from step(
        f"upgrade-addons-{version}",
        f"Bring the add-ons to versions for Kubernetes {version}",
        rows,
        action="upgrade-addons",
        needs=(*before, f"upgrade-control-plane-{version}"),
        requires=[CLUSTER],
        awaited=True,
    )


def _node_groups(
    view: View, version: str, groups: dict[str, str], before: tuple[str, ...]
) -> Iterator[PlaybookStep]:
    rows = []
    wanted = {group.name for group in view.cluster.node_groups}
    for name, running in groups.items():
        if name in wanted and desired.minor(running) < desired.minor(version):
            reason = f"its nodes run Kubernetes {running}"
            rows.append(Row(names.node_group(name), (reason,), {"name": name, "version": version}))
            groups[name] = version
    yield from step(
        f"upgrade-node-groups-{version}",
        f"Upgrade the node groups to Kubernetes {version}",
        rows,
        action="upgrade-node-groups",
        needs=(*before, f"upgrade-control-plane-{version}", f"upgrade-addons-{version}"),
        requires=[CLUSTER, *(names.addon(name) for name in desired.FIRST_ADDONS)],
        awaited=True,
    )


def _works(found: AddonFacts) -> bool:
    return found.owned and found.status not in {"CREATE_FAILED", "DELETING", "DELETE_FAILED", "CREATING"}
