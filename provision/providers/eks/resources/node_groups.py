"""Node groups: read, compare, create, change, upgrade and delete them, all at the same time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from provision.providers.eks import names
from provision.providers.eks.facts import NodeGroupFacts, health_issues
from provision.providers.eks.resources.network import subnet_zones
from provision.providers.eks.resources.node_group_spec import creation, differences, update
from provision.providers.eks.resources.roles import find_role
from provision.providers.eks.steps.planning import FAILED, Change, Deletion, in_transition, unusable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from provision.model.eks import NodeGroup
    from provision.providers.eks.aws.account import Account
    from provision.providers.eks.steps.execution import Work
    from provision.providers.eks.steps.planning import PlanContext

_LIMIT = 3600.0  # seconds
_USUALLY_CREATED, _USUALLY_UPGRADED = "usually 2 to 5 minutes", "usually 5 to 10 minutes a node"
_WORKING = {"ACTIVE", "UPDATING", "DEGRADED"}
_CAPACITY = {"ON_DEMAND": "on-demand", "SPOT": "spot"}
_EFFECT = {"NO_SCHEDULE": "NoSchedule", "NO_EXECUTE": "NoExecute", "PREFER_NO_SCHEDULE": "PreferNoSchedule"}


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeGroupChange(Change):
    """`subnets`: private or public; `create`: arguments of CreateNodegroup, but for ids that are not known yet.

    `recreate`: it never worked and is replaced.
    """

    name: str
    subnets: str
    create: Mapping[str, Any]
    recreate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeGroupUpgrade(Change):
    """To the minor `version` ("1.35")."""

    name: str
    version: str


def read_node_group(cluster: str, name: str, account: Account) -> NodeGroupFacts | None:
    eks = account.client("eks")
    try:
        found: Any = eks.describe_nodegroup(clusterName=cluster, nodegroupName=name)["nodegroup"]
    except eks.exceptions.ResourceNotFoundException:
        return None
    scaling, tags = found.get("scalingConfig", {}), found.get("tags", {})
    return NodeGroupFacts(
        name=name,
        arn=found["nodegroupArn"],
        status=found["status"],
        version=found.get("version", ""),
        release=found.get("releaseVersion", ""),
        created=found.get("createdAt"),
        owned=names.owned(cluster, tags),
        instance_types=tuple(found.get("instanceTypes") or ()),
        capacity=_CAPACITY.get(found.get("capacityType", ""), found.get("capacityType", "")),
        ami_type=found.get("amiType", ""),
        disk=found.get("diskSize") or 0,
        min=scaling.get("minSize", 0),
        desired=scaling.get("desiredSize", 0),
        max=scaling.get("maxSize", 0),
        labels=found.get("labels") or {},
        taints=tuple(sorted(map(_taint, found.get("taints") or ()))),
        subnets=tuple(found.get("subnets", ())),
        role_arn=found.get("nodeRole", ""),
        health=health_issues((found.get("health") or {}).get("issues", ())),
        tags=tags,
    )


def _taint(taint: Any) -> str:
    """As the file writes it."""
    value = f"={taint['value']}" if taint.get("value") else ""
    return f"{taint['key']}{value}:{_EFFECT[taint['effect']]}"


def changes(context: PlanContext) -> Iterator[NodeGroupChange]:
    for group in context.cluster.node_groups:
        found = context.observation.node_group(group.name)
        yield NodeGroupChange(
            names.node_group(group.name),
            _reasons(group, found),
            name=group.name,
            subnets=group.subnets,
            create=creation(group, context.cluster.kubernetes),
            recreate=found is not None and found.status == FAILED,
        )


def _reasons(group: NodeGroup, found: NodeGroupFacts | None) -> tuple[str, ...]:
    why = unusable(found)
    if found is None or why:
        return (why,)
    unwell = in_transition(found.status) or ("is DEGRADED" if found.status == "DEGRADED" else "")
    return (*((unwell,) if unwell else ()), *differences(group, found))


def upgrade_changes(context: PlanContext, version: str) -> Iterator[NodeGroupUpgrade]:
    """Node groups that must follow to the minor `version`, after those before it."""
    wanted = {group.name for group in context.cluster.node_groups}
    previous = f"1.{names.minor(version) - 1}"
    for found in context.observation.node_groups:
        if not (found.owned and found.status in _WORKING and found.name in wanted):
            continue
        if names.minor(found.version) < names.minor(version):
            running = found.version if version == context.running else previous
            reason = f"its nodes run Kubernetes {running}"
            yield NodeGroupUpgrade(names.node_group(found.name), (reason,), name=found.name, version=version)


def ensure(work: Work) -> None:
    work.attempt_each(NodeGroupChange, f"bring in step ({_USUALLY_CREATED})", _ensure)


def upgrade(work: Work) -> None:
    work.attempt_all(
        [
            (
                one.resource,
                f"upgrade to Kubernetes {one.version} ({_USUALLY_UPGRADED})",
                partial(_upgrade, work, one),
            )
            for one in work.changes(NodeGroupUpgrade)
        ]
    )


def delete(work: Work) -> None:
    work.delete_all(Deletion, lambda one: _delete(work, one.resource, one.id))


def _delete(work: Work, resource: str, name: str) -> bool:
    """AWS drains the nodes first, and gives up on disruption budgets after 15 minutes a node."""
    request = partial(
        work.account.client("eks").delete_nodegroup, clusterName=work.cluster.name, nodegroupName=name
    )
    return work.delete_and_wait(resource, read=partial(_read, work, name), delete=request, limit=_LIMIT)


def _read(work: Work, name: str) -> NodeGroupFacts | None:
    return read_node_group(work.cluster.name, name, work.account)


def _ensure(work: Work, change: NodeGroupChange) -> Iterator[str]:
    resource = change.resource
    group = next(one for one in work.cluster.node_groups if one.name == change.name)
    found = _read(work, group.name)
    work.refuse_not_owned(resource, found)
    failed = ""
    if found is not None and (found.status == "DELETING" or (change.recreate and found.status == FAILED)):
        failed = str(found.created)
        _delete(work, resource, group.name)
        yield "deleted it, because it never worked" if found.status == FAILED else "saw its deletion end"
        found = None
    if found is None:
        yield from _create(work, change, group, failed)
        if work.awaits:
            found = _settled(work, resource, group.name)
            yield f"runs {found.desired} nodes with Kubernetes {found.version}"
        return
    if found.status != "ACTIVE":
        found = _settled(work, resource, group.name)
    changes = update(group, found)
    if not changes:
        return
    work.check_cancelled()
    started = work.account.client("eks").update_nodegroup_config(
        clusterName=work.cluster.name,
        nodegroupName=group.name,
        **changes,  # type: ignore[arg-type]
    )["update"]
    yield from differences(group, found)
    if work.awaits:
        what = "change the node group"
        work.until_updated(resource, what, started["id"], limit=_LIMIT, nodegroupName=group.name)
        _settled(work, resource, group.name)


def _create(work: Work, change: NodeGroupChange, group: NodeGroup, failed: str) -> Iterator[str]:
    resource, role = change.resource, find_role(work, names.NODE_ROLE)
    request: dict[str, Any] = {
        **change.create,
        "clusterName": work.cluster.name,
        "nodegroupName": group.name,
        "subnets": list(subnet_zones(work, resource, change.subnets)),
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
    return work.until_settled(
        resource,
        f"bring in step ({_USUALLY_CREATED})",
        lambda: _read(work, name),
        limit=_LIMIT,
        fix="run the same command again: it deletes the node group, which never worked, and creates it again",
    )


def _upgrade(work: Work, change: NodeGroupUpgrade) -> Iterator[str]:
    resource, name, version = change.resource, change.name, change.version
    found = _settled(work, resource, name)
    work.refuse_not_owned(resource, found)
    if found.version == version:
        return
    work.check_cancelled()
    started = work.account.client("eks").update_nodegroup_version(
        clusterName=work.cluster.name,
        nodegroupName=name,
        version=version,
        clientRequestToken=work.token({"to": version, "group": str(found.created), "release": found.release}),
    )["update"]
    what = f"upgrade to Kubernetes {version} ({_USUALLY_UPGRADED})"
    work.until_updated(resource, what, started["id"], limit=2 * _LIMIT, nodegroupName=name)
    _settled(work, resource, name)
    yield f"its nodes run Kubernetes {version}"
