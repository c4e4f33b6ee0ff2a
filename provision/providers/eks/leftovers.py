"""What a cluster makes in the account by itself: load balancers, their groups, network interfaces and volumes.

They carry the cluster's name in tags of Kubernetes' own, not ours. A name alone is a weak proof: they are looked for
only where something of ours is there, and but for volumes only in the VPC of the cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from provision.providers.eks.aws.calls import together
from provision.providers.eks.aws.errors import as_error

if TYPE_CHECKING:
    from provision.model.eks import EksCluster
    from provision.providers.eks.aws.account import Account
    from provision.providers.eks.facts import Observation

_OWNED_BY = "kubernetes.io/cluster/"  # + name; "owned", or "shared" for what outlives the cluster
_CONTROLLER = "elbv2.k8s.aws/cluster"  # of the AWS load balancer controller
_CNI = "cluster.k8s.amazonaws.com/name"
_CLAIM, _CLAIM_NAMESPACE = "kubernetes.io/created-for/pvc/name", "kubernetes.io/created-for/pvc/namespace"
_DRIVER = "CSIVolumeName"
# Tags that Kubernetes, EKS and we set; an interface with any other was tagged by somebody.
_KNOWN = ("aws:", "eks:", "kubernetes.io/", "k8s.io/", "provision/", "elbv2.k8s.aws/", "ebs.csi.aws.com/")
_KNOWN_DOMAIN = ".k8s.amazonaws.com/"
_TAGS_AT_ONCE = 20  # of load balancers and target groups, in one call


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadBalancerFacts:
    """`arn` is "" for a classic one, which has none."""

    name: str
    arn: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetGroupFacts:
    name: str
    arn: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityGroupFacts:
    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeFacts:
    """A volume of a PersistentVolumeClaim. `claim` is "namespace/name", "" if its tags do not say."""

    id: str
    claim: str
    size: int  # GiB


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftovers:
    """What the cluster made by itself and is there now. `interfaces` are ids of unattached network interfaces."""

    load_balancers: tuple[LoadBalancerFacts, ...] = ()
    target_groups: tuple[TargetGroupFacts, ...] = ()
    security_groups: tuple[SecurityGroupFacts, ...] = ()
    interfaces: tuple[str, ...] = ()
    volumes: tuple[VolumeFacts, ...] = ()


def observe_leftovers(cluster: EksCluster, account: Account, observation: Observation) -> Leftovers:
    """Look for them; nothing is found, and nothing asked, where nothing of ours is there.

    Raises UnreachableError or CheckError with what AWS said.
    """
    if not is_ours(observation):
        return Leftovers()
    vpcs = vpcs_of(observation)
    try:
        found, volumes = together(
            [lambda: look(cluster.name, account, vpcs), lambda: _with_volumes(cluster.name, account)]
        )
    except (ClientError, BotoCoreError) as error:
        raise as_error(error) from error
    return replace(found, volumes=volumes.volumes)


def is_ours(observation: Observation) -> bool:
    """Whether the cluster of that name is, or was, made by us: then what carries its name is its own."""
    if observation.cluster is not None:
        return observation.cluster.owned
    network = observation.network
    ours = (
        *network.vpcs,
        *network.internet_gateways,
        *network.addresses,
        *network.nats,
        *network.route_tables,
    )
    return bool(ours) or any(role.owned for role in observation.roles)


def vpcs_of(observation: Observation) -> tuple[str, ...]:
    """Ids of the VPCs that the cluster is or was in."""
    network = observation.network
    named = {vpc.id for vpc in network.vpcs} | {subnet.vpc for subnet in network.subnets}
    if observation.cluster is not None:
        named.add(observation.cluster.vpc)
    return tuple(sorted(named - {""}))


def look(name: str, account: Account, vpcs: Sequence[str]) -> Leftovers:
    """Everything but the volumes, in these VPCs. Raises botocore's errors."""
    if not vpcs:
        return Leftovers()
    readers: tuple[Callable[[], Leftovers], ...] = (
        lambda: Leftovers(load_balancers=tuple(_classic(name, account, vpcs))),
        lambda: Leftovers(load_balancers=tuple(_second_generation(name, account, vpcs))),
        lambda: Leftovers(target_groups=tuple(_target_groups(name, account, vpcs))),
        lambda: Leftovers(security_groups=tuple(_security_groups(name, account, vpcs))),
        lambda: Leftovers(interfaces=tuple(_interfaces(name, account, vpcs))),
    )
    found = together(readers)
    return Leftovers(
        load_balancers=tuple(one for each in found for one in each.load_balancers),
        target_groups=tuple(one for each in found for one in each.target_groups),
        security_groups=tuple(one for each in found for one in each.security_groups),
        interfaces=tuple(one for each in found for one in each.interfaces),
    )


def owned_by(name: str, tags: Mapping[str, str]) -> bool:
    """Whether these are the tags of something that the cluster of that name made for itself."""
    return tags.get(_OWNED_BY + name) == "owned" or name in {tags.get(_CONTROLLER), tags.get(_CNI)}


def tagged_by_somebody(tags: Mapping[str, str]) -> bool:
    """Whether a person or another tool set one of the tags."""
    return not all(key.startswith(_KNOWN) or _KNOWN_DOMAIN in key for key in tags)


def as_mapping(tags: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    return {tag["Key"]: tag.get("Value", "") for tag in tags}


def _classic(name: str, account: Account, vpcs: Sequence[str]) -> Iterator[LoadBalancerFacts]:
    client = account.client("elb")
    pages = client.get_paginator("describe_load_balancers").paginate()
    names = [
        one["LoadBalancerName"]
        for page in pages
        for one in page["LoadBalancerDescriptions"]
        if one.get("VPCId") in vpcs
    ]
    for some in _chunks(names):
        for one in client.describe_tags(LoadBalancerNames=some)["TagDescriptions"]:
            if owned_by(name, as_mapping(one.get("Tags", ()))):
                yield LoadBalancerFacts(name=one["LoadBalancerName"], arn="")


def _second_generation(name: str, account: Account, vpcs: Sequence[str]) -> Iterator[LoadBalancerFacts]:
    pages = account.client("elbv2").get_paginator("describe_load_balancers").paginate()
    found = {
        one["LoadBalancerArn"]: one["LoadBalancerName"]
        for page in pages
        for one in page["LoadBalancers"]
        if one.get("VpcId") in vpcs
    }
    for arn in _owned_arns(name, account, list(found)):
        yield LoadBalancerFacts(name=found[arn], arn=arn)


def _target_groups(name: str, account: Account, vpcs: Sequence[str]) -> Iterator[TargetGroupFacts]:
    pages = account.client("elbv2").get_paginator("describe_target_groups").paginate()
    found = {
        one["TargetGroupArn"]: one["TargetGroupName"]
        for page in pages
        for one in page["TargetGroups"]
        if one.get("VpcId") in vpcs
    }
    for arn in _owned_arns(name, account, list(found)):
        yield TargetGroupFacts(name=found[arn], arn=arn)


def _owned_arns(name: str, account: Account, arns: Sequence[str]) -> Iterator[str]:
    for some in _chunks(arns):
        for one in account.client("elbv2").describe_tags(ResourceArns=some)["TagDescriptions"]:
            if owned_by(name, as_mapping(one.get("Tags", ()))):
                yield one["ResourceArn"]


def _security_groups(name: str, account: Account, vpcs: Sequence[str]) -> Iterator[SecurityGroupFacts]:
    pages = account.client("ec2").get_paginator("describe_security_groups")
    for page in pages.paginate(Filters=[{"Name": "vpc-id", "Values": list(vpcs)}]):
        for one in page["SecurityGroups"]:
            if owned_by(name, as_mapping(one.get("Tags", ()))):
                yield SecurityGroupFacts(id=one["GroupId"], name=one["GroupName"])


def _interfaces(name: str, account: Account, vpcs: Sequence[str]) -> Iterator[str]:
    pages = account.client("ec2").get_paginator("describe_network_interfaces")
    filters: Any = [{"Name": "vpc-id", "Values": list(vpcs)}, {"Name": "status", "Values": ["available"]}]
    for page in pages.paginate(Filters=filters):
        for one in page["NetworkInterfaces"]:
            if owned_by(name, as_mapping(one.get("TagSet", ()))):
                yield one["NetworkInterfaceId"]


def _with_volumes(name: str, account: Account) -> Leftovers:
    """Those of claims of this cluster. Without its name in the tags a volume may be any cluster's: it is not ours."""
    pages = account.client("ec2").get_paginator("describe_volumes")
    found = []
    for page in pages.paginate(Filters=[{"Name": f"tag:{_OWNED_BY}{name}", "Values": ["owned"]}]):
        for one in page["Volumes"]:
            tags = as_mapping(one.get("Tags", ()))
            if _CLAIM in tags or _DRIVER in tags:
                claim = "/".join(tags[key] for key in (_CLAIM_NAMESPACE, _CLAIM) if key in tags)
                found.append(VolumeFacts(id=one["VolumeId"], claim=claim, size=one["Size"]))
    return Leftovers(volumes=tuple(found))


def _chunks(items: Sequence[str]) -> Iterator[list[str]]:
    rest = iter(items)
    while some := list(islice(rest, _TAGS_AT_ONCE)):
        yield some
