"""What values of a file of provider eks may be. All pure, all always run, like those of kubeadm.

What only AWS can say (is the type offered, is the version there, do the subnets exist) is asked by `provision check`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.config.rules import names, nodes
from provision.config.rules.eks import addons, arns, groups, machines, network, placement, region, tags
from provision.config.rules.rulebook import ANY, Rulebook

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from provision.config.problem import Problem


def problems_of_values(data: Mapping[str, object]) -> Iterator[Problem]:
    """Yield what every rule finds in plain data (dicts, tuples, scalars), single values first."""
    yield from _RULES.problems(data)


_RULES = Rulebook(
    texts={
        ("name",): names.cluster_name,
        ("region",): region.region,
        ("profile",): region.profile,
        ("kubernetes",): region.kubernetes_minor,
        ("vpc", "cidr"): network.vpc_range,
        ("vpc", "subnets", "private", ANY): network.subnet_id,
        ("vpc", "subnets", "public", ANY): network.subnet_id,
        ("service_cidr",): network.service_range,
        ("endpoint", "public_cidrs", ANY): network.public_range,
        ("node_groups", ANY, "name"): groups.group_name,
        ("node_groups", ANY, "instance_types", ANY): machines.instance_type,
        ("node_groups", ANY, "labels", ANY): groups.node_label,
        ("node_groups", ANY, "taints", ANY): nodes.taint,
        ("fargate_profiles", ANY, "name"): groups.group_name,
        ("fargate_profiles", ANY, "selectors", ANY, "namespace"): groups.namespace_pattern,
        ("fargate_profiles", ANY, "selectors", ANY, "labels", ANY): nodes.label,
        ("addons", ANY, "name"): addons.addon_name,
        ("addons", ANY, "version"): addons.addon_version,
        ("access", "admins", ANY): arns.principal,
        ("pod_identities", ANY, "namespace"): arns.namespace,
        ("pod_identities", ANY, "service_account"): arns.service_account,
        ("pod_identities", ANY, "role_arn"): arns.pod_role,
        ("pod_identities", ANY, "policy_arns", ANY): arns.pod_policy,
        ("tags", ANY): tags.tag,
    },
    numbers={("node_groups", ANY, "disk"): groups.disk},
    comparing=(
        placement.zones,
        placement.subnets,
        placement.placed,
        network.ranges_apart,
        network.endpoint_reached,
        groups.unique_names,
        groups.sizes,
        groups.selectors,
        groups.coredns_somewhere,
        groups.eksctl_names,
        machines.types_of_groups,
        addons.needed_addons,
        arns.admins,
        arns.pod_identities,
        arns.encryption_key,
        arns.same_partition,
        tags.tags,
        tags.log_types,
    ),
)
