"""Rules for values of provider kubeadm's file: one per key, and some that compare several keys. All are pure.

They read plain data, not the model, and all of them always run, so that a wrong type in one place hides no problem
in another. The rules of provider eks are in `rules.eks`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.config.rules import addresses, hosts, kubernetes, names, networks, ssh
from provision.config.rules.rulebook import ANY, Rulebook

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from provision.config.yaml.problem import Problem


def validate_values(data: Mapping[str, object]) -> Iterator[Problem]:
    """Yield the problems of plain data (dicts, tuples, scalars), those of single values first."""
    yield from _RULES.validate(data)


def _compare_hosts_and_ranges(data: Mapping[str, object]) -> Iterator[Problem]:
    draft = hosts.read_draft(data)
    for rule in (
        hosts.duplicate_hosts,
        hosts.control_plane_count,
        hosts.endpoint_choice,
        hosts.virtual_address_conflict,
        networks.overlapping_ranges,
        networks.pod_range_size,
    ):
        yield from rule(draft)


_RULES = Rulebook(
    texts={
        ("name",): names.cluster_name,
        ("network", "version"): kubernetes.network_version,
        ("network", "pod_cidr"): networks.pod_range,
        ("network", "service_cidr"): networks.service_range,
        ("firewall", "api_from", ANY): networks.source,
        ("firewall", "node_ports_from", ANY): networks.source,
        ("kubernetes",): kubernetes.kubernetes_version,
        ("endpoint",): addresses.endpoint,
        ("endpoint", "vip"): addresses.virtual_address,
        ("ssh", "user"): names.user_name,
        ("ssh", "key"): ssh.key_file,
        ("ssh", "bastion"): addresses.bastion,
        ("hosts", ANY, "name"): names.host_name,
        ("hosts", ANY, "address"): addresses.host_address,
        ("hosts", ANY, "user"): names.user_name,
        ("hosts", ANY, "host_key"): ssh.host_key,
        ("hosts", ANY, "labels", ANY): names.label,
        ("hosts", ANY, "taints", ANY): names.taint,
        ("kubeadm", "ignore_preflight_errors", ANY): kubernetes.preflight_check,
        ("mirror", "packages"): addresses.base_url,
        ("mirror", "packages_key"): addresses.packages_key,
        ("mirror", "images"): addresses.base_url,
        ("mirror", "manifests"): addresses.base_url,
        ("mirror", "digests", ANY): kubernetes.archive_digest,
    },
    numbers={("hosts", ANY, "port"): addresses.port},
    comparing=(
        addresses.key_without_packages,
        kubernetes.runtime_version,
        kubernetes.docker_support,
        kubernetes.docker_dataplane,
        kubernetes.mirror_path,
        kubernetes.one_archive_version,
        _compare_hosts_and_ranges,
    ),
)
