"""Makes, changes and upgrades add-ons."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from provision.providers.eks.actions.settling import Settling, refuse_foreign, settle
from provision.providers.eks.actions.updates import until_updated
from provision.providers.eks.deletions.parts import delete_addon
from provision.providers.eks.readers.cluster import read as read_cluster
from provision.providers.eks.readers.parts import read_addon

if TYPE_CHECKING:
    from provision.providers.eks.facts import AddonFacts
    from provision.providers.eks.work import Work

_LIMIT = 1800.0  # seconds
_USUAL = "usually 1 to 2 minutes"


def ensure_addons(work: Work) -> None:
    work.attempt_all(
        [(host, f"bring in step ({_USUAL})", partial(_addon, work, host)) for host in work.step.hosts]
    )


def upgrade_addons(work: Work) -> None:
    """kube-proxy last: its version tells a later run whether all of this was done."""
    for last in (False, True):
        hosts = [host for host in work.step.hosts if work.spec(host).get("last") is last]
        tasks = [(host, f"change version ({_USUAL})", partial(_upgrade, work, host)) for host in hosts]
        if tasks and not work.attempt_all(tasks):
            return


def _read(work: Work, name: str) -> AddonFacts | None:
    return read_addon(work.cluster.name, name, work.account)


def _addon(work: Work, resource: str) -> Iterator[str]:
    spec = work.spec(resource)
    name, version = str(spec["name"]), spec["version"]
    found = _read(work, name)
    refuse_foreign(resource, found)
    failed = ""
    never_worked = found is not None and found.status == "CREATE_FAILED"
    if found is not None and (found.status == "DELETING" or (spec.get("recreate") and never_worked)):
        failed = str(found.created)
        delete_addon(work, resource, name)
        yield "deleted it, because it never worked" if never_worked else "saw its deletion end"
        found = None
    if found is None:
        yield from _create(work, resource, failed)
        if _awaits(work):
            found = _settled(work, resource, name)
        return
    if found.status not in {"ACTIVE", "UPDATE_FAILED", "DEGRADED"}:
        found = _settled(work, resource, name)
    if version is not None and found.version != version:
        yield from _change(work, resource, found, str(version))
    elif _awaits(work):
        _settled(work, resource, name)


def _upgrade(work: Work, resource: str) -> Iterator[str]:
    found = _read(work, str(work.spec(resource)["name"]))
    refuse_foreign(resource, found)
    version = str(work.spec(resource)["version"])
    if found is None:
        return  # somebody deleted it since the plan: the next run makes it
    if found.status in {"CREATING", "UPDATING"}:
        found = _settled(work, resource, found.name)
    if found.version != version:
        yield from _change(work, resource, found, version)


def _create(work: Work, resource: str, failed: str) -> Iterator[str]:
    spec, eks = work.spec(resource), work.account.client("eks")
    request: dict[str, Any] = {
        "clusterName": work.cluster.name,
        "addonName": spec["name"],
        "resolveConflicts": "OVERWRITE",
        "tags": work.tags(resource),
    }
    if spec["version"] is not None:
        request["addonVersion"] = spec["version"]
    if "configuration" in spec:
        request["configurationValues"] = spec["configuration"]
    token = work.token({**request, "cluster": _incarnation(work), "failed": failed})
    made: Any = work.free(
        resource, "create add-on", lambda: eks.create_addon(**request, clientRequestToken=token)
    )["addon"]
    yield f"made {spec['name']} {made.get('addonVersion', '')}".rstrip()


def _change(work: Work, resource: str, found: AddonFacts, version: str) -> Iterator[str]:
    """To another version; what users changed in the cluster is kept."""
    eks = work.account.client("eks")
    update: Any = work.free(
        resource,
        "change version",
        lambda: eks.update_addon(
            clusterName=work.cluster.name,
            addonName=found.name,
            addonVersion=version,
            resolveConflicts="PRESERVE",
            clientRequestToken=work.token({"from": found.version, "to": version, "made": str(found.created)}),
        ),
    )["update"]
    yield f"went from {found.version} to {version}"
    if work.awaits:
        what = f"change to {version}"
        until_updated(work, resource, what, update["id"], limit=_LIMIT, addonName=found.name)
        if _awaits(work):
            _settled(work, resource, found.name)


def _incarnation(work: Work) -> str:
    """What tells this cluster from an earlier one of the same name."""
    found = read_cluster(work.cluster.name, work.account)
    return str(found.created) if found else ""


def _awaits(work: Work) -> bool:
    """Where pods have no place to run, an add-on never becomes ACTIVE."""
    return work.awaits and bool(work.step.variables.get("pods_have_a_place", True))


def _settled(work: Work, resource: str, name: str) -> AddonFacts:
    return settle(
        work,
        Settling(
            resource,
            f"bring in step ({_USUAL})",
            lambda: _read(work, name),
            _LIMIT,
            "look at `kubectl get pods -n kube-system`; then run the same command again",
            degraded_will_do=not work.step.variables.get("pods_have_a_place", True),
        ),
    )
