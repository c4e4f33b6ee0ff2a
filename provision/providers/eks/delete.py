"""From what was seen of the account to the steps that take the cluster away, in an order in which AWS lets it go. Pure.

Only what carries our tags, and what the cluster made by itself. Its own load balancers and groups are looked for again
once the cluster is gone, since until then its controllers may make new ones. Roles go last: as long as one is there,
an interrupted reset knows that the leftovers of that cluster are ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from provision.model.plan import Finding, OnFailure, PlaybookStep, Reason
from provision.providers.eks import delete_rows as rows
from provision.providers.eks import names

if TYPE_CHECKING:
    from provision.model.eks import EksCluster
    from provision.providers.eks.delete_rows import Row
    from provision.providers.eks.facts import Observation
    from provision.providers.eks.leftovers import Leftovers

ACTION = "eks-delete"  # what `provision.providers.eks.deletions` gives effect to


def reset_plan(
    cluster: EksCluster, observation: Observation, leftovers: Leftovers, *, delete_volumes: bool
) -> tuple[PlaybookStep, ...]:
    """The steps, each needing all of the stages before its own; () if nothing of ours is there."""
    steps: list[PlaybookStep] = []
    for stage in _stages(cluster, observation, leftovers, delete_volumes=delete_volumes):
        needs = tuple(step.name for step in steps)
        steps += [replace(step, needs=needs) for step in stage if step is not None]
    return tuple(steps)


def _stages(
    cluster: EksCluster, observation: Observation, leftovers: Leftovers, *, delete_volumes: bool
) -> Iterator[tuple[PlaybookStep | None, ...]]:
    """The steps of a stage know nothing of each other."""
    yield (
        _step("delete-load-balancers", "Delete the cluster's load balancers", rows.load_balancers(leftovers)),
    )
    yield (_step("delete-target-groups", "Delete their target groups", rows.target_groups(leftovers)),)
    yield (_step("delete-pod-identities", "Delete pod identities", rows.pod_identities(observation)),)
    yield (_step("delete-add-ons", "Delete add-ons", rows.addons(observation)),)
    fargate = "Delete Fargate profiles, one after the other"
    yield (
        _step("delete-fargate-profiles", fargate, rows.fargate_profiles(observation), in_order=True),
        _step("delete-node-groups", "Delete node groups", rows.node_groups(observation)),
    )
    yield (_step("delete-cluster", "Delete the cluster", rows.cluster(observation)),)
    volumes = rows.volumes(leftovers) if delete_volumes else ()
    yield (
        _step("delete-leftovers", "Delete what the cluster left", rows.remains(cluster, observation)),
        _step("delete-volumes", "Delete the volumes of claims", volumes),
        _step("delete-nat-gateways", "Delete NAT gateways", rows.nats(observation)),
    )
    yield (_step("delete-addresses", "Release addresses", rows.addresses(observation)),)
    yield (_step("delete-network", "Delete the network", rows.network(observation), in_order=True),)
    yield (_step("delete-roles", "Delete roles", rows.roles(observation)),)


def reset_findings(cluster: EksCluster, observation: Observation) -> tuple[Finding, ...]:
    """What keeps the cluster from being deleted, or will stay."""
    facts = observation.cluster
    if facts is None:
        return ()
    if not facts.owned:
        return (
            Finding(
                severity="warning",
                check="eks-foreign-cluster",
                where=cluster.name,
                message=f"the EKS cluster {cluster.name} of {cluster.region} was not made by provision; it stays",
                fix="nothing is to be done if that is meant",
            ),
        )
    foreign = [names.node_group(group.name) for group in observation.node_groups if not group.owned]
    foreign += [
        names.fargate_profile(profile.name) for profile in observation.fargate_profiles if not profile.owned
    ]
    return tuple(
        Finding(
            severity="error",
            check="eks-foreign-part",
            where=cluster.name,
            message=f"{name} is in the cluster, but provision did not make it; EKS deletes no cluster that has one",
            fix="delete it with what made it, then reset again",
        )
        for name in foreign
    )


def staying(
    cluster: EksCluster, observation: Observation, leftovers: Leftovers, *, delete_volumes: bool
) -> tuple[str, ...]:
    """Sentences about what the cluster made and reset leaves."""
    told = []
    if not delete_volumes:
        told += [
            f"volume {volume.id} ({volume.size} GiB, {volume.claim or 'of no known claim'}) stays, and is paid for; "
            f"--delete-volumes deletes it"
            for volume in leftovers.volumes
        ]
    if observation.cluster is not None and observation.cluster.owned and observation.cluster.logs:
        told.append(
            f"the log group /aws/eks/{cluster.name}/cluster stays; "
            f"`aws logs delete-log-group --region {cluster.region} --log-group-name /aws/eks/{cluster.name}/cluster` "
            "deletes it"
        )
    return tuple(told)


def _step(name: str, summary: str, doomed: Iterable[Row], *, in_order: bool = False) -> PlaybookStep | None:
    resources = rows.distinct(tuple(doomed))
    if not resources:
        return None
    return PlaybookStep(
        name=name,
        summary=summary,
        playbook=ACTION,
        on_failure=OnFailure.STOP_ALL,  # what depends on one resource would keep those behind it, too
        hosts=tuple(row.name for row in resources),
        reasons=tuple(Reason(row.name, row.why) for row in resources),
        variables={"in_order": in_order},
        host_variables={row.name: {"kind": row.kind, **row.spec} for row in resources},
    )
