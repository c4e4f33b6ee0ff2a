"""Write a new cluster file of provider eks from arguments: set values, and comments for what could be set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from provision.config.rules.eks import validate_values
from provision.config.scaffold import write_new
from provision.config.yaml.problem import Key, Problem, key_text, to_findings
from provision.config.yaml.syntax import flow_list, flow_mapping, scalar
from provision.errors import FileError
from provision.model.eks import EksCluster, NodeGroup, Vpc
from provision.versions import versions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from provision.model.eks import Addon, EndpointAccess, FargateProfile, PodIdentity

GROUP = "workers"  # the name of the node group that is written
_SPARE = 1  # nodes that the group may grow by without a change of the file
_HEAD = """\
# What the EKS cluster {name} should be. Yours to edit, and to keep under version control.
#   provision check   every mistake in here, and everything in the account that is in the way; changes nothing
#   provision plan    what would be done, and why
#   provision apply   does it; again later, it does only what is missing
"""
_BACKEND = "# Who talks to AWS: provision itself (boto3), or eksctl found on PATH.\n"
_VPC = """\
# The network that is made, over two or three zones. nat: single, per-zone (survives the loss of a zone, costs more)
# or none (then node groups need `subnets: public`). Existing subnets instead of all this:
#   subnets: {private: [subnet-0a1b2c3d, subnet-0e4f5a6b], public: []}
# None of it can be changed once the cluster is there.
"""
_ENDPOINT = """\
# Who reaches the API server. 0.0.0.0/0 is the whole internet: better list the ranges that you come from.
"""
_NODE_GROUPS = """\
# Machines that AWS keeps running as nodes, in private subnets with Amazon Linux 2023 unless it says otherwise
# (`subnets: public`, `ami: Bottlerocket`). A node group may also have `labels: {disk: ssd}` and
# `taints: ["key=value:NoSchedule"]`. capacity: on-demand, or spot (cheaper, can be taken away).
"""
_FARGATE = "# Pods that run without nodes: those of a namespace, with all of the labels.\n"
_ADDONS = """\
# Parts of the cluster that EKS looks after; what is not in the list is not installed. `version:` pins one,
# without it EKS's default is installed and then left alone.
"""
_ACCESS = "# Administrators: the creator of the cluster, and IAM users and roles.\n"
_IDENTITIES = """\
# AWS permissions for the pods of a service account, without keys: policies of a role that is made for it, or
# `role_arn:` of one that is there.
"""
_ENCRYPTION = "# The KMS key that encrypts Secrets; it cannot be taken away again.\n"
_LOGS = "# Logs of the control plane that go to CloudWatch, which costs.\n"
_TAGS = "# Tags of everything that is made.\n"
_FARGATE_EXAMPLE = """\
# fargate_profiles:
#   - name: batch
#     selectors:
#       - namespace: batch
"""
_IDENTITY_EXAMPLE = """\
# pod_identities:
#   - namespace: kube-system
#     service_account: ebs-csi-controller-sa
#     policy_arns: [arn:aws:iam::aws:policy/service-role/AmazonEBSCSIDriverPolicy]
"""


def eks_cluster_from_arguments(
    *,
    name: str,
    region: str | None,
    nodes: int = 2,
    instance_types: Sequence[str] = (),
    zones: Sequence[str] = (),
    kubernetes: str | None = None,
    name_flag: str = "--name",
) -> EksCluster:
    """Return the cluster that flags describe: one node group of `nodes` nodes, defaults for everything else.

    `kubernetes` None is this release's default minor; without `zones` they are chosen later; `region` is required.
    `name_flag` is the flag of the name in findings. Raises FileError with a finding per argument that is wrong.
    """
    size = max(nodes, 0)
    group = NodeGroup(name=GROUP, min=min(size, 1), desired=size, max=size + _SPARE)
    if instance_types:
        group = group.model_copy(update={"instance_types": tuple(instance_types)})
    cluster = EksCluster(
        name=name,
        provider="eks",
        region=region or "",
        kubernetes=kubernetes or versions().eks.default,
        vpc=Vpc(zones=tuple(zones)),
        node_groups=(group,),
    )
    problems = [*_invalid_flags(region, nodes), *validate_values(cluster.model_dump())]
    problems = [each for each in problems if each.severity == "error"]
    if problems:
        findings = to_findings(problems, _ArgumentLocator(name_flag, tuple(instance_types), tuple(zones)))
        raise FileError("the arguments do not describe a cluster", findings=findings)
    return cluster


def write_eks_file(path: Path, cluster: EksCluster) -> None:
    """Write a commented file for a cluster. Raises FileError, and changes nothing, if `path` exists."""
    write_new(path, eks_cluster_text(cluster))


def _invalid_flags(region: str | None, nodes: int) -> Iterator[Problem]:
    if not region:
        fix = "add --region, for example --region eu-central-1, or set AWS_REGION"
        yield Problem(("region",), "missing-key", "no region is given", fix)
    if nodes < 0:
        fix = "write 0 or more"
        yield Problem(("node_groups", 0, "desired"), "size", f"{nodes} is less than 0", fix)


@dataclass(frozen=True, slots=True)
class _ArgumentLocator:
    """Locates a value by its flag and argument."""

    name_flag: str
    instance_types: tuple[str, ...]
    zones: tuple[str, ...]

    def line(self, _problem: Problem) -> int:
        return 0

    def locate(self, problem: Problem) -> tuple[str, str]:
        return self._flag(problem.key), ""

    def _flag(self, key: Key) -> str:
        match key:
            case ("name" | "region" | "kubernetes" as part,):
                return self.name_flag if part == "name" else f"--{part}"
            case ("vpc", "zones", int() as index):
                return f"--zone {self.zones[index]}"
            case ("vpc", "zones"):
                return "--zone"
            case ("node_groups", _, "instance_types", int() as index) if self.instance_types:
                return f"--instance-type {self.instance_types[index]}"
            case ("node_groups", _, "min" | "desired" | "max"):
                return "--nodes"
        return key_text(key)


def eks_cluster_text(cluster: EksCluster) -> str:
    """Return the file's text; loading it gives the same cluster."""
    access = cluster.access
    admins = "admins: [arn:aws:iam::123456789012:role/platform]"
    return "\n".join(
        (
            _HEAD.format(name=cluster.name) + _top(cluster),
            f"{_BACKEND}backend: {cluster.backend}\n",
            _VPC
            + _vpc(cluster.vpc, cluster.region)
            + _or("service_cidr", cluster.service_cidr, "10.100.0.0/16"),
            _ENDPOINT + _endpoint(cluster.endpoint),
            _NODE_GROUPS + _items("node_groups", (_node_group(group) for group in cluster.node_groups)),
            _FARGATE
            + (
                _items("fargate_profiles", (_profile(each) for each in cluster.fargate_profiles))
                if cluster.fargate_profiles
                else _FARGATE_EXAMPLE
            ),
            _ADDONS + _items("addons", (_addon(addon) for addon in cluster.addons)),
            f"{_ACCESS}access:\n  creator_admin: {_bool(access.creator_admin)}\n"
            + (f"  admins: {flow_list(access.admins)}\n" if access.admins else f"  # {admins}\n"),
            _IDENTITIES
            + (
                _items("pod_identities", (_identity(each) for each in cluster.pod_identities))
                if cluster.pod_identities
                else _IDENTITY_EXAMPLE
            ),
            _ENCRYPTION
            + _or(
                "encryption_key",
                cluster.encryption_key,
                f"arn:aws:kms:{cluster.region}:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            ),
            _LOGS
            + (f"logs: {flow_list(cluster.logs)}\n" if cluster.logs else "# logs: [audit, authenticator]\n"),
            _TAGS
            + (f"tags: {flow_mapping(cluster.tags)}\n" if cluster.tags else "# tags: {team: platform}\n"),
        )
    )


def _top(cluster: EksCluster) -> str:
    return (
        f"name: {scalar(cluster.name)}\nprovider: eks\nregion: {scalar(cluster.region)}\n"
        + _or("profile", cluster.profile, "production")
        + f'kubernetes: "{cluster.kubernetes}"\n'
    )


def _vpc(vpc: Vpc, region: str) -> str:
    if vpc.subnets:
        kinds = (("private", vpc.subnets.private), ("public", vpc.subnets.public))
        return "vpc:\n  subnets:\n" + "".join(f"    {kind}: {flow_list(ids)}\n" for kind, ids in kinds)
    zones = f"zones: {flow_list(vpc.zones)}" if vpc.zones else f"# zones: [{region}a, {region}b]"
    return f"vpc:\n  cidr: {vpc.cidr}\n  {zones}\n  nat: {vpc.nat}\n"


def _endpoint(endpoint: EndpointAccess) -> str:
    return (
        f"endpoint:\n  public: {_bool(endpoint.public)}\n  private: {_bool(endpoint.private)}\n"
        f"  public_cidrs: {flow_list(endpoint.public_cidrs)}\n"
    )


def _node_group(group: NodeGroup) -> Iterable[str]:
    yield f"name: {scalar(group.name)}"
    yield f"instance_types: {flow_list(group.instance_types)}"
    yield f"capacity: {group.capacity}"
    yield from (f"min: {group.min}", f"desired: {group.desired}", f"max: {group.max}")
    yield f"disk: {group.disk}"
    if group.labels:
        yield f"labels: {flow_mapping(group.labels)}"
    if group.taints:
        yield f"taints: {flow_list(group.taints)}"
    for name, value in (("ami", group.ami), ("subnets", group.subnets)):
        if value != NodeGroup.model_fields[name].default:
            yield f"{name}: {value}"


def _profile(profile: FargateProfile) -> Iterable[str]:
    yield f"name: {scalar(profile.name)}"
    yield "selectors:"
    for selector in profile.selectors:
        yield f"  - namespace: {scalar(selector.namespace)}"
        if selector.labels:
            yield f"    labels: {flow_mapping(selector.labels)}"


def _addon(addon: Addon) -> Iterable[str]:
    yield f"name: {scalar(addon.name)}"
    if addon.version is not None:
        yield f"version: {scalar(addon.version)}"


def _identity(identity: PodIdentity) -> Iterable[str]:
    yield f"namespace: {scalar(identity.namespace)}"
    yield f"service_account: {scalar(identity.service_account)}"
    if identity.role_arn is not None:
        yield f"role_arn: {scalar(identity.role_arn)}"
    if identity.policy_arns:
        yield f"policy_arns: {flow_list(identity.policy_arns)}"


def _items(name: str, items: Iterable[Iterable[str]]) -> str:
    written = "".join("  - " + "\n    ".join(lines) + "\n" for lines in items)
    return f"{name}:\n{written}" if written else f"{name}: []\n"


def _or(name: str, value: str | None, example: str) -> str:
    return f"# {name}: {example}\n" if value is None else f"{name}: {scalar(value)}\n"


def _bool(value: bool) -> str:  # noqa: FBT001 a value, not a switch
    return "true" if value else "false"
