"""Plan the commands of eksctl that bring the cluster to what the file asks for. Pure.

An interrupted creation is continued: commands of their own create the missing parts, which eksctl itself does not do
(eksctl-io/eksctl#188).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from provision.model.plan import Reason, Step
from provision.providers.eks import names
from provision.providers.eks.eksctl.cluster_config import cluster_config
from provision.providers.eks.resources.addons import FIRST_ADDONS

if TYPE_CHECKING:
    from provision.model.eks import Addon, EksCluster, NodeGroup
    from provision.providers.eks.facts import Observation

CLUSTER = "cluster"
# eksctl's own limit is 25 minutes for any wait (eksctl-io/eksctl#3771).
TIMEOUT = "--timeout=60m"


@dataclass(frozen=True, slots=True, kw_only=True)
class EksctlStep(Step):
    """Runs of eksctl, one after the other, given their arguments; `config` is their ClusterConfig, if they need one."""

    commands: tuple[tuple[str, ...], ...]
    config: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class _Command:
    """One run of eksctl, for a resource and a reason; resources with equal arguments share it."""

    resource: str
    reason: str
    arguments: tuple[str, ...]


def plan(cluster: EksCluster, observation: Observation) -> tuple[EksctlStep, ...]:
    """The steps in order; () if there is nothing to do."""
    if observation.cluster is None:
        return (_create(cluster, observation),)
    steps: list[EksctlStep] = []
    for step in _changes(cluster, observation):
        steps.append(step if not steps else _after(step, steps[-1].name))
    return tuple(steps)


def delete_plan(cluster: EksCluster, observation: Observation) -> tuple[EksctlStep, ...]:
    """The one step that deletes the cluster; () if there is none that eksctl created for provision."""
    there = observation.cluster
    if there is None or not there.owned:
        return ()
    # Without it a PodDisruptionBudget blocks the deletion (eksctl-io/eksctl#4416).
    flags = (f"--name={cluster.name}", *_region(cluster), "--wait", "--disable-nodegroup-eviction", TIMEOUT)
    command = _Command(CLUSTER, "is there", ("delete", "cluster", *flags))
    return (_step("eksctl-delete", "Delete the cluster and all that eksctl created for it", [command]),)


def _create(cluster: EksCluster, seen: Observation) -> EksctlStep:
    hosts = (
        CLUSTER,
        *(names.node_group(group.name) for group in cluster.node_groups),
        *(names.fargate_profile(profile.name) for profile in cluster.fargate_profiles),
        *(names.addon(addon.name) for addon in cluster.addons),
    )
    return EksctlStep(
        name="eksctl-create",
        summary=f"Create the cluster with eksctl and Kubernetes {cluster.kubernetes}",
        hosts=hosts,
        reasons=tuple(Reason(host, "is missing") for host in hosts),
        commands=(("create", "cluster", "--config-file=-", "--write-kubeconfig=false", TIMEOUT),),
        config=cluster_config(cluster, seen.network.zones),
    )


def _changes(cluster: EksCluster, seen: Observation) -> Iterator[EksctlStep]:
    yield from _upgrades(cluster, seen)
    yield from _missing(cluster, seen)
    yield from _addon_versions(cluster, seen)
    yield from _sizes(cluster, seen)
    yield from _surplus(cluster, seen)


def _upgrades(cluster: EksCluster, seen: Observation) -> Iterator[EksctlStep]:
    """Upgrade minor by minor: the control plane, then the node groups."""
    there = seen.cluster
    if there is None:
        return
    now, goal = names.minor(there.version), names.minor(cluster.kubernetes)
    groups = [group for group in cluster.node_groups if seen.node_group(group.name) is not None]
    for minor in range(now, goal + 1):
        version = f"1.{minor}"
        if minor > now:
            flags = (
                f"--name={cluster.name}",
                *_region(cluster),
                f"--version={version}",
                "--approve",
                TIMEOUT,
            )
            reason = f"runs Kubernetes 1.{minor - 1}"
            command = _Command(CLUSTER, reason, ("upgrade", "cluster", *flags))
            yield _step(f"eksctl-upgrade-{version}", f"Upgrade the control plane to {version}", [command])
        behind = [group for group in groups if _version(seen, group) < minor]
        commands = [
            _Command(
                names.node_group(group.name),
                f"runs Kubernetes 1.{max(_version(seen, group), minor - 1)}",
                (
                    "upgrade",
                    "nodegroup",
                    *_of(cluster, group.name),
                    f"--kubernetes-version={version}",
                    TIMEOUT,
                ),
            )
            for group in behind
        ]
        yield from _if_any(f"eksctl-upgrade-nodes-{version}", f"Upgrade node groups to {version}", commands)


def _version(seen: Observation, group: NodeGroup) -> int:
    there = seen.node_group(group.name)
    return names.minor(there.version) if there and there.version else 0


def _missing(cluster: EksCluster, seen: Observation) -> Iterator[EksctlStep]:
    """Create parts of the file that do not exist; each command gets a ClusterConfig with these parts only."""
    groups = [one for one in cluster.node_groups if seen.node_group(one.name) is None]
    profiles = [one for one in cluster.fargate_profiles if seen.fargate_profile(one.name) is None]
    addons = [one for one in cluster.addons if seen.addon(one.name) is None]
    first = [one for one in addons if one.name in FIRST_ADDONS]
    rest = [one for one in addons if one.name not in FIRST_ADDONS]
    admins = [arn for arn in cluster.access.admins if seen.access_entry(arn) is None]
    identities = [
        one for one in cluster.pod_identities if seen.pod_identity(one.namespace, one.service_account) is None
    ]
    access = cluster.access.model_copy(update={"admins": tuple(admins)})
    parts: tuple[tuple[str, str, list[str], dict[str, Any]], ...] = (
        (
            "accessentry",
            "Create the access entries of administrators",
            [names.access_entry(arn) for arn in admins],
            {"access": access},
        ),
        ("addon", "Install add-ons", [names.addon(one.name) for one in first], {"addons": tuple(first)}),
        (
            "nodegroup",
            "Create node groups",
            [names.node_group(one.name) for one in groups],
            {"node_groups": tuple(groups)},
        ),
        (
            "fargateprofile",
            "Create Fargate profiles",
            [names.fargate_profile(one.name) for one in profiles],
            {"fargate_profiles": tuple(profiles)},
        ),
        (
            "podidentityassociation",
            "Create pod identity associations",
            [names.pod_identity(one.namespace, one.service_account) for one in identities],
            {"pod_identities": tuple(identities)},
        ),
        (
            "addon",
            "Install add-ons that need nodes",
            [names.addon(one.name) for one in rest],
            {"addons": tuple(rest)},
        ),
    )
    taken: set[str] = set()
    for noun, summary, resources, only in parts:
        name = f"eksctl-create-{noun}{'s-more' if f'eksctl-create-{noun}s' in taken else 's'}"
        if resources:
            taken.add(name)
            config = _partial_config(cluster, seen, only)
            commands = [
                _Command(resource, "is missing", ("create", noun, "--config-file=-", TIMEOUT))
                for resource in resources
            ]
            yield _step(name, summary, commands, config=config)


def _partial_config(cluster: EksCluster, seen: Observation, only: Mapping[str, Any]) -> dict[str, Any]:
    """The ClusterConfig of a cluster with these parts only."""
    nothing: dict[str, Any] = {"node_groups": (), "fargate_profiles": (), "addons": (), "pod_identities": ()}
    nothing["access"] = cluster.access.model_copy(update={"admins": ()})
    version = seen.cluster.version if seen.cluster else None
    if seen.cluster and names.minor(cluster.kubernetes) > names.minor(seen.cluster.version):
        version = cluster.kubernetes  # of the control plane by then
    return cluster_config(cluster.model_copy(update={**nothing, **only}), seen.network.zones, version=version)


def _addon_versions(cluster: EksCluster, seen: Observation) -> Iterator[EksctlStep]:
    commands = [
        _Command(
            names.addon(addon.name),
            f"is {there.version}, not {target}",
            ("update", "addon", *_of(cluster, addon.name), f"--version={target}", "--wait", TIMEOUT),
        )
        for addon in cluster.addons
        if (there := seen.addon(addon.name)) is not None
        and (target := _addon_version(cluster, seen, addon, there.version)) != there.version
    ]
    yield from _if_any("eksctl-update-addons", "Update add-ons", commands)


def _addon_version(cluster: EksCluster, seen: Observation, addon: Addon, running: str) -> str:
    """The file's version, else the running one; EKS's default where that does not fit the minor of the file."""
    offer = seen.offer(addon.name, cluster.kubernetes)
    unfit = offer is not None and running not in offer.versions
    return addon.version or (offer.default if offer and unfit else running)


def _sizes(cluster: EksCluster, seen: Observation) -> Iterator[EksctlStep]:
    commands = []
    for group in cluster.node_groups:
        there = seen.node_group(group.name)
        if there is None or (there.min, there.desired, there.max) == (group.min, group.desired, group.max):
            continue
        size = (f"--nodes={group.desired}", f"--nodes-min={group.min}", f"--nodes-max={group.max}")
        now, then = (f"{one.desired} nodes ({one.min} to {one.max})" for one in (there, group))
        reason = f"has {now}, not {then}"
        arguments = ("scale", "nodegroup", *_of(cluster, group.name), *size, "--wait", TIMEOUT)
        commands.append(_Command(names.node_group(group.name), reason, arguments))
    yield from _if_any("eksctl-scale", "Change the sizes of node groups", commands)


def _surplus(cluster: EksCluster, seen: Observation) -> Iterator[EksctlStep]:
    """Delete node groups that eksctl created for provision and that are no longer in the file."""
    asked = {group.name for group in cluster.node_groups}
    commands = [
        _Command(
            names.node_group(group.name),
            "is not in the file any more",
            ("delete", "nodegroup", *_of(cluster, group.name), "--wait", TIMEOUT),
        )
        for group in seen.node_groups
        if group.name not in asked and group.owned
    ]
    yield from _if_any("eksctl-delete-nodegroups", "Delete node groups", commands)


def _if_any(name: str, summary: str, commands: Sequence[_Command]) -> Iterator[EksctlStep]:
    if commands:
        yield _step(name, summary, commands)


def _step(
    name: str, summary: str, commands: Sequence[_Command], *, config: Mapping[str, Any] | None = None
) -> EksctlStep:
    return EksctlStep(
        name=name,
        summary=summary,
        hosts=tuple(command.resource for command in commands),
        reasons=tuple(Reason(command.resource, command.reason) for command in commands),
        commands=tuple(dict.fromkeys(command.arguments for command in commands)),
        config=config,
    )


def _after(step: EksctlStep, before: str) -> EksctlStep:
    """CloudFormation makes one change of a cluster at a time, so every step needs the one before."""
    return replace(step, needs=(before,))


def _of(cluster: EksCluster, group: str) -> tuple[str, ...]:
    return (f"--cluster={cluster.name}", *_region(cluster), f"--name={group}")


def _region(cluster: EksCluster) -> tuple[str, ...]:
    return (f"--region={cluster.region}",)
