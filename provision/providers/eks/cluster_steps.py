"""Roles, the control plane and its settings, who may enter. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from provision.providers.eks import desired, names
from provision.providers.eks.view import Row, View, going, step

if TYPE_CHECKING:
    from provision.model.plan import PlaybookStep
    from provision.providers.eks.facts import ClusterFacts, RoleFacts

CLUSTER = "cluster"


def role_steps(view: View) -> Iterator[PlaybookStep]:
    rows = []
    for wanted in desired.roles(view.cluster, view.seen.identity.partition):
        name = names.role_name(view.cluster.region, view.cluster.name, wanted.part)
        spec = {
            "name": name,
            "service": wanted.service,
            "policies": list(wanted.policies),
            "exact": wanted.exact,
        }
        rows.append(Row(wanted.part, tuple(_role_reasons(view.seen.role(name), wanted)), spec))
    yield from step("roles", "Make the roles of the cluster and its nodes", rows, awaited=True)


def _role_reasons(found: RoleFacts | None, wanted: desired.WantedRole) -> Iterator[str]:
    if found is None:
        yield "is missing"
        return
    for policy in wanted.policies:
        if policy not in found.policies:
            yield f"lacks the policy {policy.rpartition('/')[2]}"
    if wanted.exact:
        for policy in found.policies:
            if policy not in wanted.policies:
                yield f"has the policy {policy.rpartition('/')[2]}, which is not in the file"


def cluster_steps(view: View) -> Iterator[PlaybookStep]:
    """The control plane, or what differs in its settings."""
    found = view.seen.cluster
    if found is None or found.status in {"CREATING", "PENDING"}:
        reason = "is missing" if found is None else f"is {found.status}"
        required = [names.CLUSTER_ROLE]
        if view.cluster.vpc.subnets is None:
            required += [subnet.part for subnet in desired.subnets(view.cluster, view.zones)]
        yield from step(
            CLUSTER,
            f"Make the control plane with Kubernetes {view.cluster.kubernetes}",
            [Row(CLUSTER, (reason,), cluster_spec(view))],
            needs=("network", "roles"),
            requires=required,
            awaited=True,
        )
        return
    changes = settings(view, found)
    yield from step(
        "cluster-settings",
        "Change settings of the control plane",
        [
            Row(
                CLUSTER,
                tuple(reason for reason, _ in changes.values()),
                {key: to for key, (_, to) in changes.items()},
            )
        ],
        needs=("roles",),
        awaited=True,
    )


def cluster_spec(view: View) -> dict[str, object]:
    """The cluster as CreateCluster wants it, but for ids that are not known yet."""
    cluster = view.cluster
    spec: dict[str, object] = {
        "version": cluster.kubernetes,
        "accessConfig": {
            "authenticationMode": "API",
            "bootstrapClusterCreatorAdminPermissions": cluster.access.creator_admin,
        },
        "bootstrapSelfManagedAddons": False,
        "resourcesVpcConfig": _endpoint(view),
    }
    if cluster.logs:
        spec["logging"] = _logging(cluster.logs, ())
    if cluster.service_cidr:
        spec["kubernetesNetworkConfig"] = {"serviceIpv4Cidr": cluster.service_cidr}
    if cluster.encryption_key:
        spec["encryptionConfig"] = _encryption(cluster.encryption_key)
    return spec


def settings(view: View, found: ClusterFacts) -> dict[str, tuple[str, object]]:
    """What differs and can be changed: kind of the change to the reason and the API's arguments for it."""
    cluster, changes = view.cluster, dict[str, tuple[str, object]]()
    off = tuple(kind for kind in found.logs if kind not in cluster.logs)
    on = tuple(kind for kind in cluster.logs if kind not in found.logs)
    if off or on:
        words = [f"{', '.join(on)} on"] if on else []
        words += [f"{', '.join(off)} off"] if off else []
        changes["logging"] = (f"logs: {'; '.join(words)}", _logging(on, off))
    seen = (found.public, found.private)
    wanted = (cluster.endpoint.public, cluster.endpoint.private)
    if seen != wanted:
        changes["endpoint"] = (f"endpoint is {_reach(*seen)}, not {_reach(*wanted)}", _endpoint(view))
    elif cluster.endpoint.public and set(found.public_cidrs) != set(cluster.endpoint.public_cidrs):
        shown = ", ".join(found.public_cidrs)
        asked = ", ".join(cluster.endpoint.public_cidrs)
        changes["endpoint"] = (f"endpoint admits {shown}, not {asked}", _endpoint(view))
    if cluster.encryption_key and found.encryption_key is None:
        changes["encryption"] = (
            f"Secrets are not encrypted with {cluster.encryption_key}",
            _encryption(cluster.encryption_key),
        )
    status = going(found.status)
    if status:
        changes["wait"] = (status, {})
    return changes


def access_steps(view: View, needs: tuple[str, ...]) -> Iterator[PlaybookStep]:
    """Entries of the file's administrators, and those of ours that are not in the file any more."""
    policy = desired.admin_policy(view.seen.identity.partition)
    rows = []
    for arn in view.cluster.access.admins:
        entry = view.seen.access_entry(arn)
        reasons: tuple[str, ...] = ()
        if entry is None:
            reasons = ("is missing",)
        elif policy not in entry.policies:
            reasons = (f"lacks the policy {desired.ADMIN_POLICY}",)
        rows.append(Row(names.access_entry(arn), reasons, {"principal": arn, "policy": policy}))
    yield from step("access", "Let the administrators in", rows, needs=needs)
    old = [
        Row(
            names.access_entry(entry.principal_arn),
            ("is not in the file any more",),
            {"principal": entry.principal_arn},
        )
        for entry in view.seen.access_entries
        if entry.owned and entry.principal_arn not in view.cluster.access.admins
    ]
    yield from step("remove-access", "Take former administrators' access away", old, needs=(*needs, "access"))


def _reach(public: bool, private: bool) -> str:  # noqa: FBT001  (two facts, not switches)
    return {(True, True): "public and private", (True, False): "public", (False, True): "private"}.get(
        (public, private), "closed"
    )


def _endpoint(view: View) -> dict[str, object]:
    access = view.cluster.endpoint
    config: dict[str, object] = {
        "endpointPublicAccess": access.public,
        "endpointPrivateAccess": access.private,
    }
    if access.public:
        config["publicAccessCidrs"] = list(access.public_cidrs)
    return config


def _logging(on: tuple[str, ...], off: tuple[str, ...]) -> dict[str, object]:
    parts = [
        {"types": sorted(types), "enabled": value} for types, value in ((on, True), (off, False)) if types
    ]
    return {"clusterLogging": parts}


def _encryption(key: str) -> list[dict[str, object]]:
    return [{"resources": ["secrets"], "provider": {"keyArn": key}}]
