"""Resources that have the names of ours and were made by another tool or by hand: refused, never adopted. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from provision.model.plan import Finding
from provision.providers.eks import desired, names

if TYPE_CHECKING:
    from provision.model.eks import EksCluster
    from provision.providers.eks.facts import Observation


def foreign(cluster: EksCluster, seen: Observation) -> Iterator[Finding]:
    """Errors, all at once: what the file asks under a name that somebody else has taken."""
    if seen.cluster is not None and not seen.cluster.owned:
        yield _finding(
            "name",
            f"the account has an EKS cluster {cluster.name} in {cluster.region} that provision did not make",
            "write another `name`, or use the tool that made it",
        )
    for part in desired.role_parts(cluster):
        role = seen.role(names.role_name(cluster.region, cluster.name, part))
        if role is not None and not role.owned:
            yield _finding(
                "name",
                f"the account has a role {role.name} that provision did not make ({role.arn})",
                f"delete that role if nothing uses it, or write another `name` than {cluster.name}",
            )
    yield from _parts(cluster, seen)


def _parts(cluster: EksCluster, seen: Observation) -> Iterator[Finding]:
    wanted = [
        *(
            ("node_groups", names.node_group(one.name), seen.node_group(one.name))
            for one in cluster.node_groups
        ),
        *(
            ("fargate_profiles", names.fargate_profile(one.name), seen.fargate_profile(one.name))
            for one in cluster.fargate_profiles
        ),
        *(("addons", names.addon(one.name), seen.addon(one.name)) for one in cluster.addons),
        *(
            (
                "pod_identities",
                names.pod_identity(one.namespace, one.service_account),
                seen.pod_identity(one.namespace, one.service_account),
            )
            for one in cluster.pod_identities
        ),
    ]
    for key, resource, found in wanted:
        if found is not None and not found.owned:
            yield _finding(
                key,
                f"the cluster has {resource} already, and provision did not make it",
                "take it out of the file, or hand it over: "
                f"aws eks tag-resource --resource-arn {found.arn} --tags {names.handover(cluster.name, resource)}",
            )
    policy = desired.admin_policy(seen.identity.partition)
    for arn in cluster.access.admins:
        entry = seen.access_entry(arn)
        # An administrator whom somebody else let in is as good as one of ours.
        if entry is not None and not entry.owned and policy not in entry.policies:
            yield _finding(
                "access.admins",
                f"the cluster has an access entry of {arn} that provision did not make, and it is no administrator's",
                "take it out of the file, or hand it over: "
                f"aws eks tag-resource --resource-arn {entry.arn} "
                f"--tags {names.handover(cluster.name, 'access')}",
            )


def _finding(key: str, message: str, fix: str) -> Finding:
    return Finding(severity="error", check="not-ours", where="", key=key, message=message, fix=fix)
