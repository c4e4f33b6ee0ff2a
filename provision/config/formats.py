"""What differs between cluster files of the two providers: types, rules, and the words of other tools."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from provision.config.rules import eks, validate_values
from provision.config.rules.kubernetes import full_version
from provision.config.schema import ClusterFile
from provision.config.yaml.problem import Key, Problem, closest
from provision.model.eks import EksCluster
from provision.versions import versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pydantic import BaseModel


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFormat:
    """The cluster file of one provider.

    `words` and `choices` map keys and values of other tools to those of this file. `quoted` returns the version to
    write, in quotes, for one that was not text. `needs` finds missing keys that the types alone cannot demand,
    `values` whatever else is wrong with values.
    """

    name: str
    model: type[BaseModel]
    words: Mapping[str, str]
    choices: Mapping[str, str]
    quoted: Callable[[str], str]
    needs: Callable[[Mapping[str, object]], Iterator[Problem]]
    values: Callable[[Mapping[str, object]], Iterator[Problem]]


def format_of(data: Mapping[str, object]) -> FileFormat:
    """Return the format of a file: by `provider`, or by its keys where that is missing or unknown."""
    said = data.get("provider", KUBEADM.name)
    for known in (KUBEADM, EKS):
        if said == known.name and "provider" in data:
            return known
    only_eks = set(EksCluster.model_fields) - set(ClusterFile.model_fields)
    if only_eks & set(data) and not {"hosts", "inventory"} & set(data):
        return EKS
    wanted = (
        _CHOICES_EKS.get(said.lower()) or closest(said, ("eks", "kubeadm")) if isinstance(said, str) else ""
    )
    return EKS if wanted == EKS.name else KUBEADM


def _hosts_from_one_place(data: Mapping[str, object]) -> Iterator[Problem]:
    if "hosts" in data and "inventory" in data:
        message = "hosts come from `hosts` and from `inventory`; one place is needed"
        yield Problem(("inventory",), "hosts", message, "take one of the two out")
    elif "hosts" not in data and "inventory" not in data:
        fix = "list the machines below `hosts:`, or name an Ansible inventory with `inventory:`"
        yield Problem(("hosts",), "missing-key", "no hosts are given", fix)


def _has_room_for_pods(data: Mapping[str, object]) -> Iterator[Problem]:
    if not data.get("node_groups") and not data.get("fargate_profiles"):
        written: Key = (
            ("fargate_profiles",) if "node_groups" not in data and "fargate_profiles" in data else ()
        )
        yield Problem(
            written or ("node_groups",),
            "missing-key" if "node_groups" not in data else "node-groups",
            "neither node groups nor Fargate profiles are given: no pod could run",
            "add `node_groups: [{name: workers}]`",
        )


def _minor(raw: str) -> str:
    """`1.35` -> `"1.35"`; anything but a minor version -> the default."""
    return f'"{raw if re.fullmatch(r"1[.][0-9]{2}", raw) else versions().eks.default}"'


_CHOICES_EKS = {
    "aws": "eks",
    "amazon": "eks",
    "ondemand": "on-demand",
    "on_demand": "on-demand",
    "al2": "AL2023",
    "amazonlinux2023": "AL2023",
    "amazonlinux2": "AL2023",
    "highlyavailable": "per-zone",
    "per_zone": "per-zone",
    "disable": "none",
    "one": "single",
}

KUBEADM = FileFormat(
    name="kubeadm",
    model=ClusterFile,
    words={
        "version": "kubernetes",
        "kubernetes_version": "kubernetes",
        "nodes": "hosts",
        "machines": "hosts",
        "ip": "address",
        "hostname": "name",
        "cri": "runtime",
        "container_runtime": "runtime",
        "containerd_version": "runtime_version",
        "calico_version": "network.version",
        "cni": "network.plugin",
        "pod_subnet": "network.pod_cidr",
        "service_subnet": "network.service_cidr",
        "control_plane_endpoint": "endpoint",
    },
    choices={"master": "control-plane", "controller": "control-plane", "node": "worker", "cri-o": "crio"},
    quoted=full_version,
    needs=_hosts_from_one_place,
    values=validate_values,
)
EKS = FileFormat(
    name="eks",
    model=EksCluster,
    words={
        "version": "kubernetes",
        "kubernetes_version": "kubernetes",
        "nodes": "node_groups",
        "hosts": "node_groups",
        "nodegroups": "node_groups",
        "managed_node_groups": "node_groups",
        "workers": "node_groups",
        "fargate": "fargate_profiles",
        "instance_type": "instance_types",
        "capacity_type": "capacity",
        "spot": "capacity",
        "min_size": "min",
        "min_nodes": "min",
        "desired_size": "desired",
        "desired_capacity": "desired",
        "count": "desired",
        "max_size": "max",
        "max_nodes": "max",
        "disk_size": "disk",
        "volume_size": "disk",
        "ami_family": "ami",
        "ami_type": "ami",
        "network": "vpc",
        "vpc_cidr": "vpc.cidr",
        "azs": "vpc.zones",
        "availability_zones": "vpc.zones",
        "nat_gateway": "vpc.nat",
        "subnet_ids": "vpc.subnets",
        "service_ipv4_cidr": "service_cidr",
        "cluster_endpoints": "endpoint",
        "endpoint_access": "endpoint",
        "public_access": "endpoint.public",
        "endpoint_public_access": "endpoint.public",
        "private_access": "endpoint.private",
        "endpoint_private_access": "endpoint.private",
        "public_access_cidrs": "endpoint.public_cidrs",
        "access_entries": "access.admins",
        "admin_arns": "access.admins",
        "add_ons": "addons",
        "pod_identity_associations": "pod_identities",
        "kms_key": "encryption_key",
        "secrets_encryption": "encryption_key",
        "logging": "logs",
        "cloud_watch": "logs",
        "aws_profile": "profile",
    },
    choices=_CHOICES_EKS,
    quoted=_minor,
    needs=_has_room_for_pods,
    values=eks.validate_values,
)
