"""What the file asks and AWS cannot do to what is there, each with the way out. Pure.

Called before anything is changed: changes that AWS makes on no existing resource, resources that have a name of the
file's but were not made by provision, and states that no step leads out of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.model.plan import Finding
from provision.providers.eks import names
from provision.providers.eks.facts import AccessEntryFacts
from provision.providers.eks.facts.health import explain, sentence
from provision.providers.eks.resources.access import admin_policy
from provision.providers.eks.resources.node_group_spec import immutable_differences
from provision.providers.eks.resources.roles import role_parts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provision.model.eks import EksCluster
    from provision.providers.eks.facts import ClusterFacts, Observation

_SKEW = 3  # minors that a kubelet may be older than its API server


def refusals(cluster: EksCluster, observation: Observation) -> tuple[Finding, ...]:
    """Errors, all at once; () if every difference can be made good by steps."""
    found = [*_name_conflicts(cluster, observation), *_network(cluster, observation)]
    if observation.cluster is not None and observation.cluster.owned:
        found += _state(cluster, observation.cluster)
        found += _cluster(cluster, observation)
        found += _version(cluster, observation)
        found += _node_groups(cluster, observation)
        found += _fargate_profiles(cluster, observation)
    return tuple(found)


def _name_conflicts(cluster: EksCluster, seen: Observation) -> Iterator[Finding]:
    """Errors, all at once: what the file asks under a name that is taken."""
    if seen.cluster is not None and not seen.cluster.owned:
        yield _taken(
            "name",
            f"the account has an EKS cluster {cluster.name} in {cluster.region} that provision did not make",
            "write another `name`, or use the tool that made it",
        )
    for part in role_parts(cluster):
        role = seen.role(names.role_name(cluster.region, cluster.name, part))
        if role is not None and not role.owned:
            yield _taken(
                "name",
                f"the account has a role {role.name} that provision did not make ({role.arn})",
                f"delete that role if nothing uses it, or write another `name` than {cluster.name}",
            )
    yield from _child_conflicts(cluster, seen)


def _child_conflicts(cluster: EksCluster, seen: Observation) -> Iterator[Finding]:
    present = {resource: found for resource, _, found in seen.children}
    for key, resource in names.wanted_children(cluster):
        found = present.get(resource)
        if found is not None and not found.owned and not isinstance(found, AccessEntryFacts):
            yield _taken(
                key,
                f"the cluster has {resource} already, and provision did not make it",
                "take it out of the file, or hand it over: "
                f"aws eks tag-resource --resource-arn {found.arn} --tags {names.handover(cluster.name, resource)}",
            )
    policy = admin_policy(seen.identity.partition)
    for arn in cluster.access.admins:
        entry = seen.access_entry(arn)
        # An administrator whom another tool let in is good enough.
        if entry is not None and not entry.owned and policy not in entry.policies:
            yield _taken(
                "access.admins",
                f"the cluster has an access entry of {arn} that provision did not make, and it is no administrator's",
                "take it out of the file, or hand it over: "
                f"aws eks tag-resource --resource-arn {entry.arn} "
                f"--tags {names.handover(cluster.name, 'access')}",
            )


def _taken(key: str, message: str, fix: str) -> Finding:
    return _finding("not-ours", key, message, fix)


def _network(cluster: EksCluster, seen: Observation) -> Iterator[Finding]:
    vpc, network = seen.network.vpc, seen.network
    if len(network.vpcs) > 1:
        listed = ", ".join(one.id for one in network.vpcs)
        yield _finding(
            "two-networks",
            "vpc",
            f"more than one VPC has the tags of cluster {cluster.name}: {listed}",
            f"delete the one that is not used, or its tag {names.CLUSTER}",
        )
    if vpc is None:
        return
    if cluster.vpc.subnets is not None:
        message = f"the cluster has a VPC of its own ({vpc.id}); it cannot move into existing subnets"
        yield _in_place("vpc.subnets", message, "take `vpc.subnets` out of the file")
        return
    if vpc.cidr != cluster.vpc.cidr:
        yield _changed("vpc.cidr", vpc.cidr, cluster.vpc.cidr)
    if vpc.zones and cluster.vpc.zones and set(vpc.zones) != set(cluster.vpc.zones):
        yield _changed("vpc.zones", ", ".join(vpc.zones), ", ".join(cluster.vpc.zones))


def _state(cluster: EksCluster, found: ClusterFacts) -> Iterator[Finding]:
    if found.status == "DELETING":
        yield _finding(
            "cluster-state",
            "name",
            f"cluster {cluster.name} is being deleted",
            "wait until it is gone, then run the same command again",
        )
    if found.status == "FAILED":
        said = "; ".join(map(sentence, found.health)) or "AWS says no more"
        cause, fix = explain(found.health)
        yield _finding(
            "cluster-state",
            "name",
            f"cluster {cluster.name} has failed and never comes back: {said}{f' ({cause})' if cause else ''}",
            f"{fix + '; then ' if fix else ''}`provision reset`, then `provision apply`",
        )


def _cluster(cluster: EksCluster, seen: Observation) -> Iterator[Finding]:
    found = seen.cluster
    if found is None:
        return
    if cluster.service_cidr and found.service_cidr and cluster.service_cidr != found.service_cidr:
        yield _changed("service_cidr", found.service_cidr, cluster.service_cidr)
    if found.encryption_key and found.encryption_key != cluster.encryption_key:
        yield _changed("encryption_key", found.encryption_key, cluster.encryption_key or "none")
    if found.creator_admin is not None and found.creator_admin != cluster.access.creator_admin:
        yield _in_place(
            "access.creator_admin",
            f"creator_admin is {_word(found.creator_admin)}, not {_word(cluster.access.creator_admin)}",
            f"write `creator_admin: {_word(found.creator_admin)}`, and add or delete that access entry",
        )
    if cluster.vpc.subnets is not None and _moved(seen, found):
        ids = [*cluster.vpc.subnets.private, *cluster.vpc.subnets.public]
        yield _changed("vpc.subnets", ", ".join(found.subnets), ", ".join(ids))


def _moved(seen: Observation, found: ClusterFacts) -> bool:
    """Whether the file's subnets are others than the control plane's.

    A zone without room for control planes may have been left out when it was made.
    """
    zones = {one.id: one.zone for one in seen.network.subnets}
    used = {zones[one] for one in found.subnets if one in zones}
    asked = [one.id for one in seen.network.subnets if not one.part]
    return any(one not in asked for one in found.subnets) or any(
        one not in found.subnets and zones[one] in used for one in asked
    )


def _version(cluster: EksCluster, seen: Observation) -> Iterator[Finding]:
    if seen.cluster is None:
        return
    running, wanted = names.minor(seen.cluster.version), names.minor(cluster.kubernetes)
    if wanted < running:
        yield _in_place(
            "kubernetes",
            f"the control plane runs {seen.cluster.version} and cannot go back to {cluster.kubernetes}",
            f'write `kubernetes: "{seen.cluster.version}"`, or make another cluster',
        )
        return
    if wanted == running:
        return
    for group in seen.node_groups:
        if not group.owned and group.version and wanted - names.minor(group.version) > _SKEW:
            yield _finding(
                "version-skew",
                "kubernetes",
                f"{names.node_group(group.name)}, which provision did not make, runs {group.version}: too old for "
                f"a control plane of {cluster.kubernetes}",
                f"upgrade it first: aws eks update-nodegroup-version --cluster-name {cluster.name} "
                f"--nodegroup-name {group.name}",
            )
    for number, addon in enumerate(cluster.addons):
        offer = seen.offer(addon.name, cluster.kubernetes)
        if offer is not None and addon.version and addon.version not in offer.versions:
            yield _finding(
                "addon-version",
                f"addons[{number}].version",
                f"{addon.name} {addon.version} is not offered for Kubernetes {cluster.kubernetes}",
                f"write one of: {', '.join(offer.versions[:5])}; or none, and EKS's default is taken",
            )


def _node_groups(cluster: EksCluster, seen: Observation) -> Iterator[Finding]:
    for number, group in enumerate(cluster.node_groups):
        found = seen.node_group(group.name)
        if found is None or not found.owned or found.status in {"CREATE_FAILED", "DELETING"}:
            continue
        subnets = _subnet_ids(cluster, seen, group.subnets)
        whole = cluster.vpc.subnets is not None or len(subnets) == len(seen.network.zones)
        for key, is_, wanted in immutable_differences(group, found, subnets if whole else found.subnets):
            yield _in_place(
                f"node_groups[{number}].{key}",
                f"{key} of {names.node_group(group.name)} is {is_}, not {wanted}: it cannot be changed in place",
                f"add a node group under another name and take {group.name} away; its pods move over",
            )
        if found.version and names.minor(found.version) > names.minor(cluster.kubernetes):
            yield _in_place(
                "kubernetes",
                f"{names.node_group(group.name)} runs {found.version}, newer than {cluster.kubernetes}",
                f'write `kubernetes: "{found.version}"`',
            )


def _fargate_profiles(cluster: EksCluster, seen: Observation) -> Iterator[Finding]:
    for number, profile in enumerate(cluster.fargate_profiles):
        found = seen.fargate_profile(profile.name)
        if found is None or not found.owned or found.status in {"CREATE_FAILED", "DELETING"}:
            continue
        wanted = sorted((one.namespace, sorted(one.labels.items())) for one in profile.selectors)
        if sorted((space, sorted(labels.items())) for space, labels in found.selectors) != wanted:
            yield _in_place(
                f"fargate_profiles[{number}].selectors",
                f"the selectors of {names.fargate_profile(profile.name)} differ: they cannot be changed in place",
                f"add a profile under another name and take {profile.name} away",
            )


def _subnet_ids(cluster: EksCluster, seen: Observation, placement: str) -> tuple[str, ...]:
    """Ids of the subnets for `placement` ("private" or "public"), as far as they are there."""
    if cluster.vpc.subnets is not None:
        return cluster.vpc.subnets.private if placement == "private" else cluster.vpc.subnets.public
    part = names.private_subnet if placement == "private" else names.public_subnet
    found = (seen.network.subnet(part(zone)) for zone in seen.network.zones)
    return tuple(one.id for one in found if one is not None)


def _changed(key: str, seen: str, wanted: str) -> Finding:
    return _in_place(
        key,
        f"the cluster was made with {seen}, not {wanted}: it cannot be changed in place",
        f"write {seen} again, or make another cluster beside it and move over",
    )


def _in_place(key: str, message: str, fix: str) -> Finding:
    return _finding("in-place", key, message, fix)


def _finding(check: str, key: str, message: str, fix: str) -> Finding:
    return Finding.error(check, "", message, fix, key=key)


def _word(value: bool) -> str:  # noqa: FBT001  (a fact, not a switch)
    return "true" if value else "false"
