"""Rules for values of provider eks's file. All are pure and all always run, like those of kubeadm.

What only AWS knows (offered instance types, versions, existing subnets) is checked by `provision check`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.config.rules import names
from provision.config.rules.eks import cluster, iam, network, node_groups
from provision.config.rules.rulebook import ANY, Rulebook

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from provision.config.yaml.problem import Problem


def validate_values(data: Mapping[str, object]) -> Iterator[Problem]:
    """Yield the problems of plain data (dicts, tuples, scalars), those of single values first."""
    yield from _RULES.validate(data)


_RULES = Rulebook(
    texts={
        ("name",): names.cluster_name,
        ("region",): cluster.region,
        ("profile",): cluster.profile,
        ("kubernetes",): cluster.kubernetes_minor,
        ("vpc", "cidr"): network.vpc_range,
        ("vpc", "subnets", "private", ANY): network.subnet_id,
        ("vpc", "subnets", "public", ANY): network.subnet_id,
        ("service_cidr",): network.service_range,
        ("endpoint", "public_cidrs", ANY): network.public_range,
        ("node_groups", ANY, "name"): node_groups.group_name,
        ("node_groups", ANY, "instance_types", ANY): node_groups.instance_type,
        ("node_groups", ANY, "labels", ANY): node_groups.node_label,
        ("node_groups", ANY, "taints", ANY): names.taint,
        ("fargate_profiles", ANY, "name"): node_groups.group_name,
        ("fargate_profiles", ANY, "selectors", ANY, "namespace"): node_groups.namespace_pattern,
        ("fargate_profiles", ANY, "selectors", ANY, "labels", ANY): names.label,
        ("addons", ANY, "name"): cluster.addon_name,
        ("addons", ANY, "version"): cluster.addon_version,
        ("access", "admins", ANY): iam.principal,
        ("pod_identities", ANY, "namespace"): iam.namespace,
        ("pod_identities", ANY, "service_account"): iam.service_account,
        ("pod_identities", ANY, "role_arn"): iam.pod_role,
        ("pod_identities", ANY, "policy_arns", ANY): iam.pod_policy,
        ("tags", ANY): cluster.tag,
    },
    numbers={("node_groups", ANY, "disk"): node_groups.disk},
    comparing=(
        network.zones,
        network.subnets,
        network.placement,
        network.overlapping_ranges,
        network.endpoint_access,
        node_groups.duplicate_names,
        node_groups.sizes,
        node_groups.selectors,
        node_groups.coredns_capacity,
        node_groups.eksctl_group_names,
        node_groups.group_architectures,
        cluster.missing_addons,
        iam.admins,
        iam.pod_identities,
        iam.encryption_key,
        iam.same_partition,
        cluster.tags,
        cluster.log_types,
    ),
)
