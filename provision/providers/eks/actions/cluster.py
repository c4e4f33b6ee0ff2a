"""Makes the control plane, changes its settings, upgrades it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from provision.errors import StepFailedError
from provision.providers.eks import names
from provision.providers.eks.actions.ids import subnets_of
from provision.providers.eks.actions.roles import find_role
from provision.providers.eks.actions.updates import until_updated
from provision.providers.eks.aws.errors import valid_zones
from provision.providers.eks.cluster_steps import CLUSTER, settings
from provision.providers.eks.readers import cluster as clusters
from provision.providers.eks.view import View
from provision.providers.eks.work import UnhealthyError

if TYPE_CHECKING:
    from provision.providers.eks.facts import ClusterFacts
    from provision.providers.eks.work import Work

# Seconds: what AWS takes at most, and half as much again.
_CREATION, _UPDATE, _UPGRADE = 2700.0, 2700.0, 7200.0
_USUALLY_CREATED, _USUALLY_UPGRADED = "usually 8 to 12 minutes", "usually 10 to 30 minutes"
_FEWEST_ZONES = 2  # of a control plane


def ensure_cluster(work: Work) -> None:
    work.attempt(CLUSTER, f"create cluster ({_USUALLY_CREATED})", lambda: _cluster(work))


def change_settings(work: Work) -> None:
    """One after the other: EKS takes one change of a cluster at a time."""
    work.attempt(CLUSTER, "change settings", lambda: _settings(work))


def upgrade_control_plane(work: Work) -> None:
    version = str(work.spec(CLUSTER)["version"])
    task = f"upgrade to Kubernetes {version} ({_USUALLY_UPGRADED})"
    work.attempt(CLUSTER, task, lambda: _upgrade(work, version))


def until_active(work: Work, what: str, limit: float) -> ClusterFacts:
    """The cluster, once it is ACTIVE. Raises UnhealthyError if it fails."""

    def look() -> ClusterFacts | None:
        found = clusters.read(work.cluster.name, work.account)
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

    return work.until(CLUSTER, what, look, limit=limit)


def _cluster(work: Work) -> Iterator[str]:
    name = work.cluster.name
    found = clusters.read(name, work.account)
    if found is not None and not found.owned:
        raise StepFailedError(
            f"the account has an EKS cluster {name} that provision did not make", fix="write another `name`"
        )
    if found is None:
        role = find_role(work, names.CLUSTER_ROLE)
        subnets = subnets_of(work, CLUSTER, "all")
        yield from _create(work, role.arn, role.id, subnets)
    now = until_active(work, f"create cluster ({_USUALLY_CREATED})", _CREATION)
    yield f"runs Kubernetes {now.version} at {now.endpoint}"


def _create(work: Work, role: str, role_id: str, subnets: Mapping[str, str]) -> Iterator[str]:
    """Create it in all subnets; if a zone has no room, in those of the zones that EKS names."""
    spec: dict[str, Any] = dict(work.spec(CLUSTER))
    network: Any = spec.pop("resourcesVpcConfig")

    def create(ids: list[str]) -> Callable[[], object]:
        request = {
            **spec,
            "name": work.cluster.name,
            "roleArn": role,
            "resourcesVpcConfig": {**network, "subnetIds": ids},
            "tags": work.tags(CLUSTER),
        }
        # The id of the role is another after a reset; its name and, with existing subnets, all else are the same.
        token = work.token({**request, "role": role_id})
        return lambda: work.account.client("eks").create_cluster(**request, clientRequestToken=token)

    try:
        work.once_known(CLUSTER, "create cluster", create(list(subnets)))
    except work.account.client("eks").exceptions.ClientError as error:
        zones = valid_zones(error)
        left = [one for one, zone in subnets.items() if zone in zones]
        if len({subnets[one] for one in left}) < _FEWEST_ZONES:
            raise
        full = ", ".join(sorted({zone for zone in subnets.values() if zone not in zones}))
        work.note(CLUSTER, f"EKS has no room for control planes in {full}: it runs in the other zones")
        work.once_known(CLUSTER, "create cluster", create(left))
    yield f"made {work.cluster.name} with Kubernetes {spec['version']}"


def _settings(work: Work) -> Iterator[str]:
    eks, name = work.account.client("eks"), work.cluster.name
    calls: dict[str, Callable[[Any], Any]] = {
        "logging": lambda to: eks.update_cluster_config(name=name, logging=to),
        "endpoint": lambda to: eks.update_cluster_config(name=name, resourcesVpcConfig=to),
        "encryption": lambda to: eks.associate_encryption_config(clusterName=name, encryptionConfig=to),
    }
    view = View(work.cluster, work.observation)
    for kind, call in calls.items():
        # What the plan saw may have changed meanwhile: a cluster that is UPDATING shows its old settings.
        found = until_active(work, "wait for an earlier change", _UPDATE)
        reason, to = settings(view, found).get(kind, ("", None))
        if not reason:
            continue
        work.heed()
        update = call(to)["update"]
        until_updated(work, CLUSTER, f"change {kind}", update["id"], limit=_UPDATE)
        yield f"changed {reason}"
    until_active(work, "wait for the last change", _UPDATE)


def _upgrade(work: Work, version: str) -> Iterator[str]:
    eks, name = work.account.client("eks"), work.cluster.name
    found = until_active(work, "wait for an earlier change", _UPGRADE)
    if found.version == version:
        return
    token = work.token({"to": version, "cluster": str(found.created)})
    what = f"upgrade to Kubernetes {version} ({_USUALLY_UPGRADED})"
    update = cast(
        "dict[str, Any]", eks.update_cluster_version(name=name, version=version, clientRequestToken=token)
    )["update"]
    until_updated(work, CLUSTER, what, update["id"], limit=_UPGRADE)
    until_active(work, what, _UPGRADE)
    yield f"runs Kubernetes {version}"
