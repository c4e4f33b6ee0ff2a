"""The control plane: read it, compare its settings with the file, create, change, upgrade and delete it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from provision.errors import StepFailedError
from provision.providers.eks import names
from provision.providers.eks.aws.errors import valid_zones
from provision.providers.eks.facts import ClusterFacts, health_issues
from provision.providers.eks.resources.cluster_settings import creation, settings
from provision.providers.eks.resources.network import subnet_zones, subnets
from provision.providers.eks.resources.roles import find_role
from provision.providers.eks.steps.planning import Change, Deletion
from provision.providers.eks.steps.waiting import UnhealthyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from provision.providers.eks.aws.account import Account
    from provision.providers.eks.steps.execution import Work
    from provision.providers.eks.steps.planning import PlanContext

CLUSTER = names.CLUSTER_RESOURCE
# Seconds: what AWS takes at most, and half as much again.
_CREATION, _UPDATE, _UPGRADE, _DELETION = 2700.0, 2700.0, 7200.0, 2700.0
_USUALLY_CREATED, _USUALLY_UPGRADED = "usually 8 to 12 minutes", "usually 10 to 30 minutes"
_FEWEST_ZONES = 2  # of a control plane


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterChange(Change):
    """`request`: the arguments of CreateCluster, but for ids that are not known yet."""

    request: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionChange(Change):
    """To the minor `version` ("1.35")."""

    version: str


def read_cluster(name: str, account: Account) -> ClusterFacts | None:
    """The cluster, whoever made it; None if there is none."""
    eks = account.client("eks")
    try:
        found: Any = eks.describe_cluster(name=name)["cluster"]
    except eks.exceptions.ResourceNotFoundException:
        return None
    return _facts(found)


def _facts(found: Any) -> ClusterFacts:
    vpc = found.get("resourcesVpcConfig", {})
    tags = found.get("tags", {})
    keys = [one.get("provider", {}).get("keyArn") for one in found.get("encryptionConfig") or ()]
    logs = [
        kind
        for one in found.get("logging", {}).get("clusterLogging", ())
        if one.get("enabled")
        for kind in one["types"]
    ]
    return ClusterFacts(
        name=found["name"],
        arn=found["arn"],
        status=found["status"],
        version=found["version"],
        created=found.get("createdAt"),
        owned=names.owned(found["name"], tags),
        role_arn=found.get("roleArn", ""),
        endpoint=found.get("endpoint") or "",
        authority=(found.get("certificateAuthority") or {}).get("data") or "",
        vpc=vpc.get("vpcId", ""),
        subnets=tuple(vpc.get("subnetIds", ())),
        public=bool(vpc.get("endpointPublicAccess")),
        private=bool(vpc.get("endpointPrivateAccess")),
        public_cidrs=tuple(sorted(vpc.get("publicAccessCidrs", ()))),
        service_cidr=(found.get("kubernetesNetworkConfig") or {}).get("serviceIpv4Cidr", ""),
        creator_admin=found.get("accessConfig", {}).get("bootstrapClusterCreatorAdminPermissions"),
        encryption_key=next(iter(keys), None),
        logs=tuple(sorted(logs)),
        health=health_issues(found.get("health", {}).get("issues", ())),
        tags=tags,
    )


def is_new(found: ClusterFacts | None) -> bool:
    return found is None or found.status in {"CREATING", "PENDING"}


def changes(context: PlanContext) -> Iterator[ClusterChange]:
    """The control plane, where it is missing or still being created."""
    found = context.observation.cluster
    if is_new(found):
        reason = "is missing" if found is None else f"is {found.status}"
        yield ClusterChange(CLUSTER, (reason,), request=creation(context.cluster))


def required(context: PlanContext) -> Iterator[str]:
    """Resources without which no control plane is made."""
    yield names.CLUSTER_ROLE
    if context.cluster.vpc.subnets is None:
        yield from (subnet.resource for subnet in subnets(context.cluster, context.zones))


def setting_changes(context: PlanContext) -> Iterator[Change]:
    """What differs in the settings of a control plane that is there."""
    found = context.observation.cluster
    if found is not None and not is_new(found):
        yield Change(CLUSTER, tuple(reason for reason, _ in settings(context.cluster, found).values()))


def upgrade_changes(version: str) -> Iterator[VersionChange]:
    """The control plane, one minor up to `version`."""
    reason = f"runs Kubernetes 1.{names.minor(version) - 1}"
    yield VersionChange(CLUSTER, (reason,), version=version)


def removals(context: PlanContext) -> Iterator[Deletion]:
    """With it go its access entries, and what else is in it."""
    found = context.observation.cluster
    if found is not None and found.owned:
        yield Deletion(CLUSTER, (f"provision made it (version {found.version})",), found.name)


def ensure(work: Work) -> None:
    for change in work.changes(ClusterChange):
        work.attempt(CLUSTER, f"create cluster ({_USUALLY_CREATED})", partial(_ensure, work, change))


def change_settings(work: Work) -> None:
    """One after the other: EKS takes one change of a cluster at a time."""
    work.attempt(CLUSTER, "change settings", partial(_change_settings, work))


def upgrade_control_plane(work: Work) -> None:
    for change in work.changes(VersionChange):
        task = f"upgrade to Kubernetes {change.version} ({_USUALLY_UPGRADED})"
        work.attempt(CLUSTER, task, partial(_upgrade, work, change.version))


def delete(work: Work) -> None:
    account = work.account

    def delete_one(deletion: Deletion) -> bool:
        read = partial(read_cluster, deletion.id, account)
        request = partial(account.client("eks").delete_cluster, name=deletion.id)
        return work.delete_and_wait(deletion.resource, read=read, delete=request, limit=_DELETION)

    work.delete_all(Deletion, delete_one)


def _until_active(work: Work, what: str, limit: float) -> ClusterFacts:
    """The cluster, once it is ACTIVE. Raises UnhealthyError if it fails."""

    def active() -> ClusterFacts | None:
        found = read_cluster(work.cluster.name, work.account)
        if found is None:
            return None
        work.note_health(CLUSTER, found.health)
        if found.status in {"FAILED", "DELETING"}:
            raise UnhealthyError(
                f"cluster {found.name} is {found.status}",
                found.health,
                fix="`provision reset` takes it away, then `provision apply`",
            )
        return found if found.status == "ACTIVE" else None

    return work.until(CLUSTER, what, active, limit=limit)


def _ensure(work: Work, change: ClusterChange) -> Iterator[str]:
    name = work.cluster.name
    found = read_cluster(name, work.account)
    if found is not None and not found.owned:
        raise StepFailedError(
            f"the account has an EKS cluster {name} that provision did not make", fix="write another `name`"
        )
    if found is None:
        role = find_role(work, names.CLUSTER_ROLE)
        zones = subnet_zones(work, CLUSTER, "all")
        yield from _create(work, change, (role.arn, role.id), zones)
    now = _until_active(work, f"create cluster ({_USUALLY_CREATED})", _CREATION)
    yield f"runs Kubernetes {now.version} at {now.endpoint}"


def _create(
    work: Work, change: ClusterChange, role: tuple[str, str], subnet_zones: Mapping[str, str]
) -> Iterator[str]:
    """Create it in all subnets; if a zone has no room, in those of the zones that EKS names."""
    network = change.request["resourcesVpcConfig"]

    def create(ids: list[str]) -> Callable[[], object]:
        request = {
            **change.request,
            "name": work.cluster.name,
            "roleArn": role[0],
            "resourcesVpcConfig": {**network, "subnetIds": ids},
            "tags": work.tags(CLUSTER),
        }
        # The id of the role is another after a reset; its name and, with existing subnets, all else are the same.
        token = work.token({**request, "role": role[1]})
        return lambda: work.account.client("eks").create_cluster(**request, clientRequestToken=token)

    try:
        work.once_known(CLUSTER, "create cluster", create(list(subnet_zones)))
    except work.account.client("eks").exceptions.ClientError as error:
        zones = valid_zones(error)
        left = [one for one, zone in subnet_zones.items() if zone in zones]
        if len({subnet_zones[one] for one in left}) < _FEWEST_ZONES:
            raise
        full = ", ".join(sorted({zone for zone in subnet_zones.values() if zone not in zones}))
        work.note(CLUSTER, f"EKS has no room for control planes in {full}: it runs in the other zones")
        work.once_known(CLUSTER, "create cluster", create(left))
    yield f"made {work.cluster.name} with Kubernetes {change.request['version']}"


def _change_settings(work: Work) -> Iterator[str]:
    eks, name = work.account.client("eks"), work.cluster.name
    calls: dict[str, Callable[[Any], Any]] = {
        "logging": lambda to: eks.update_cluster_config(name=name, logging=to),
        "endpoint": lambda to: eks.update_cluster_config(name=name, resourcesVpcConfig=to),
        "encryption": lambda to: eks.associate_encryption_config(clusterName=name, encryptionConfig=to),
    }
    for kind, call in calls.items():
        # What the plan saw may have changed meanwhile: a cluster that is UPDATING shows its old settings.
        found = _until_active(work, "wait for an earlier change", _UPDATE)
        reason, to = settings(work.cluster, found).get(kind, ("", None))
        if not reason:
            continue
        work.check_cancelled()
        update = call(to)["update"]
        work.until_updated(CLUSTER, f"change {kind}", update["id"], limit=_UPDATE)
        yield f"changed {reason}"
    _until_active(work, "wait for the last change", _UPDATE)


def _upgrade(work: Work, version: str) -> Iterator[str]:
    eks, name = work.account.client("eks"), work.cluster.name
    found = _until_active(work, "wait for an earlier change", _UPGRADE)
    if found.version == version:
        return
    token = work.token({"to": version, "cluster": str(found.created)})
    what = f"upgrade to Kubernetes {version} ({_USUALLY_UPGRADED})"
    update = cast(
        "dict[str, Any]", eks.update_cluster_version(name=name, version=version, clientRequestToken=token)
    )["update"]
    work.until_updated(CLUSTER, what, update["id"], limit=_UPGRADE)
    _until_active(work, what, _UPGRADE)
    yield f"runs Kubernetes {version}"
