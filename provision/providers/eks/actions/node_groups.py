"""Makes, changes and upgrades node groups, all at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from provision.providers.eks import names, node_groups
from provision.providers.eks.actions.ids import subnets_of
from provision.providers.eks.actions.roles import find_role
from provision.providers.eks.actions.settling import Settling, refuse_foreign, settle
from provision.providers.eks.actions.updates import until_updated
from provision.providers.eks.deletions.parts import delete_node_group
from provision.providers.eks.readers.parts import read_node_group

if TYPE_CHECKING:
    from provision.model.eks import NodeGroup
    from provision.providers.eks.facts import NodeGroupFacts
    from provision.providers.eks.work import Work

_LIMIT = 3600.0  # seconds
_USUALLY_CREATED, _USUALLY_UPGRADED = "usually 2 to 5 minutes", "usually 5 to 10 minutes a node"


def ensure_node_groups(work: Work) -> None:
    groups = {names.node_group(group.name): group for group in work.cluster.node_groups}
    work.attempt_all(
        [
            (host, f"bring in step ({_USUALLY_CREATED})", partial(_node_group, work, host, groups[host]))
            for host in work.step.hosts
        ]
    )


def upgrade_node_groups(work: Work) -> None:
    version = str(work.spec(work.step.hosts[0])["version"])
    task = f"upgrade to Kubernetes {version} ({_USUALLY_UPGRADED})"
    work.attempt_all([(host, task, partial(_upgrade, work, host, version)) for host in work.step.hosts])


def _read(work: Work, name: str) -> NodeGroupFacts | None:
    return read_node_group(work.cluster.name, name, work.account)


def _node_group(work: Work, resource: str, group: NodeGroup) -> Iterator[str]:
    spec = work.spec(resource)
    found = _read(work, group.name)
    refuse_foreign(resource, found)
    failed = ""
    if found is not None and (found.status == "DELETING" or (spec.get("recreate") and _failed(found))):
        failed = str(found.created)
        delete_node_group(work, resource, group.name)
        yield "deleted it, because it never worked" if _failed(found) else "saw its deletion end"
        found = None
    if found is None:
        yield from _create(work, resource, group, failed)
        if work.awaits:
            found = _settled(work, resource, group.name)
            yield f"runs {found.desired} nodes with Kubernetes {found.version}"
        return
    if found.status != "ACTIVE":
        found = _settled(work, resource, group.name)
    changes = node_groups.update(group, found)
    if not changes:
        return
    work.heed()
    update = work.account.client("eks").update_nodegroup_config(
        clusterName=work.cluster.name,
        nodegroupName=group.name,
        **changes,  # type: ignore[arg-type]
    )["update"]
    yield from node_groups.differences(group, found)
    if work.awaits:
        what = "change the node group"
        until_updated(work, resource, what, update["id"], limit=_LIMIT, nodegroupName=group.name)
        _settled(work, resource, group.name)


def _create(work: Work, resource: str, group: NodeGroup, failed: str) -> Iterator[str]:
    role = find_role(work, names.NODE_ROLE)
    spec: Any = work.spec(resource)["create"]
    request: dict[str, Any] = {
        **spec,
        "clusterName": work.cluster.name,
        "nodegroupName": group.name,
        "subnets": list(subnets_of(work, resource, group.subnets)),
        "nodeRole": role.arn,
        "tags": work.tags(resource),
    }
    # A group that failed, or was in the subnets' cluster before a reset, must not be answered with its old token.
    token = work.token({**request, "role": role.id, "failed": failed})
    work.once_known(
        resource,
        "create node group",
        lambda: work.account.client("eks").create_nodegroup(**request, clientRequestToken=token),
    )
    yield f"made {group.name}: {group.desired} x {', '.join(group.instance_types)}"


def _settled(work: Work, resource: str, name: str) -> NodeGroupFacts:
    return settle(
        work,
        Settling(
            resource,
            f"bring in step ({_USUALLY_CREATED})",
            lambda: _read(work, name),
            _LIMIT,
            "run the same command again: it deletes the node group, which never worked, and makes it anew",
        ),
    )


def _failed(found: NodeGroupFacts) -> bool:
    return found.status == "CREATE_FAILED"


def _upgrade(work: Work, resource: str, version: str) -> Iterator[str]:
    name = str(work.spec(resource)["name"])
    found = _settled(work, resource, name)
    refuse_foreign(resource, found)
    if found.version == version:
        return
    work.heed()
    update = work.account.client("eks").update_nodegroup_version(
        clusterName=work.cluster.name,
        nodegroupName=name,
        version=version,
        clientRequestToken=work.token({"to": version, "group": str(found.created), "release": found.release}),
    )["update"]
    what = f"upgrade to Kubernetes {version} ({_USUALLY_UPGRADED})"
    until_updated(work, resource, what, update["id"], limit=2 * _LIMIT, nodegroupName=name)
    _settled(work, resource, name)
    yield f"its nodes run Kubernetes {version}"
