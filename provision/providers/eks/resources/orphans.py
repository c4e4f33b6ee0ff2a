"""Orphans: what a cluster makes in the account by itself and leaves: load balancers, security groups, volumes ...

They carry the cluster's name in tags of Kubernetes' own. A name alone is a weak proof: they are looked for only where
something that provision made is there, and but for volumes only in the VPC of the cluster.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from provision.model.plan import Finding
from provision.providers.eks import names
from provision.providers.eks.aws.calls import together
from provision.providers.eks.aws.errors import as_error
from provision.providers.eks.facts import (
    LoadBalancerFacts,
    Orphans,
    SecurityGroupFacts,
    TargetGroupFacts,
    VolumeFacts,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from provision.model.eks import EksCluster
    from provision.providers.eks.aws.account import Account
    from provision.providers.eks.facts import Observation

_OWNED_BY = "kubernetes.io/cluster/"  # + name; "owned", or "shared" for what outlives the cluster
_CONTROLLER = "elbv2.k8s.aws/cluster"  # of the AWS load balancer controller
_CNI = "cluster.k8s.amazonaws.com/name"
_CLAIM, _CLAIM_NAMESPACE = "kubernetes.io/created-for/pvc/name", "kubernetes.io/created-for/pvc/namespace"
_DRIVER = "CSIVolumeName"
# Tags that Kubernetes, EKS and provision set; an interface with any other was tagged by a person or another tool.
_KNOWN = ("aws:", "eks:", "kubernetes.io/", "k8s.io/", "provision/", "elbv2.k8s.aws/", "ebs.csi.aws.com/")
_KNOWN_DOMAIN = ".k8s.amazonaws.com/"
_TAGS_AT_ONCE = 20  # of load balancers and target groups, in one call


def observe_orphans(cluster: EksCluster, account: Account, observation: Observation) -> Orphans:
    """What the cluster made by itself; AWS is not asked where nothing that provision made is there.

    Raises UnreachableError or CheckError with what AWS said.
    """
    if not was_made_by_provision(observation):
        return Orphans()
    vpcs = cluster_vpcs(observation)
    try:
        found, volumes = together(
            [lambda: read_orphans(cluster.name, account, vpcs), lambda: _with_volumes(cluster.name, account)]
        )
    except (ClientError, BotoCoreError) as error:
        raise as_error(error) from error
    return replace(found, volumes=volumes.volumes)


def reset_findings(cluster: EksCluster, observation: Observation) -> tuple[Finding, ...]:
    """What keeps the cluster from being deleted, or will stay."""
    facts = observation.cluster
    if facts is None:
        return ()
    if not facts.owned:
        return (
            Finding.warning(
                "eks-foreign-cluster",
                cluster.name,
                f"the EKS cluster {cluster.name} of {cluster.region} was not made by provision; it stays",
                "nothing is to be done if that is meant",
            ),
        )
    others = [names.node_group(group.name) for group in observation.node_groups if not group.owned]
    others += [
        names.fargate_profile(profile.name) for profile in observation.fargate_profiles if not profile.owned
    ]
    return tuple(
        Finding.error(
            "eks-foreign-part",
            cluster.name,
            f"{name} is in the cluster, but provision did not make it; EKS deletes no cluster that has one",
            "delete it with what made it, then reset again",
        )
        for name in others
    )


def remaining(
    cluster: EksCluster, observation: Observation, orphans: Orphans, *, delete_volumes: bool
) -> tuple[str, ...]:
    """Sentences about what the cluster made and a reset leaves."""
    lines = []
    if not delete_volumes:
        lines += [
            f"volume {volume.id} ({volume.size} GiB, {volume.claim or 'of no known claim'}) stays, and is paid for; "
            f"--delete-volumes deletes it"
            for volume in orphans.volumes
        ]
    if observation.cluster is not None and observation.cluster.owned and observation.cluster.logs:
        lines.append(
            f"the log group /aws/eks/{cluster.name}/cluster stays; "
            f"`aws logs delete-log-group --region {cluster.region} --log-group-name /aws/eks/{cluster.name}/cluster` "
            "deletes it"
        )
    return tuple(lines)


def was_made_by_provision(observation: Observation) -> bool:
    """Whether the cluster of that name is, or was, made by provision: then what carries its name is its own."""
    if observation.cluster is not None:
        return observation.cluster.owned
    network = observation.network
    own = (
        *network.vpcs,
        *network.internet_gateways,
        *network.addresses,
        *network.nats,
        *network.route_tables,
    )
    return bool(own) or any(role.owned for role in observation.roles)


def cluster_vpcs(observation: Observation) -> tuple[str, ...]:
    """Ids of the VPCs that the cluster is or was in."""
    network = observation.network
    named = {vpc.id for vpc in network.vpcs} | {subnet.vpc for subnet in network.subnets}
    if observation.cluster is not None:
        named.add(observation.cluster.vpc)
    return tuple(sorted(named - {""}))


def read_orphans(name: str, account: Account, vpcs: Sequence[str]) -> Orphans:
    """Everything but the volumes, in these VPCs. Raises botocore's errors."""
    if not vpcs:
        return Orphans()

    def listed(read: Callable[[str, Account, Sequence[str]], Iterator[Any]]) -> tuple[Any, ...]:
        return tuple(read(name, account, vpcs))

    readers = (_classic, _second_generation, _target_groups, _security_groups, _interfaces)
    found = together([partial(listed, read) for read in readers])
    classic, second, target_groups, security_groups, interfaces = found
    return Orphans(
        load_balancers=(*classic, *second),
        target_groups=target_groups,
        security_groups=security_groups,
        interfaces=interfaces,
    )


def owned_by(name: str, tags: Mapping[str, str]) -> bool:
    """Whether these are the tags of something that the cluster of that name made for itself."""
    return tags.get(_OWNED_BY + name) == "owned" or name in {tags.get(_CONTROLLER), tags.get(_CNI)}


def tagged_by_others(tags: Mapping[str, str]) -> bool:
    """Whether a person or another tool set one of the tags."""
    return not all(key.startswith(_KNOWN) or _KNOWN_DOMAIN in key for key in tags)


def _classic(name: str, account: Account, vpcs: Sequence[str]) -> Iterator[LoadBalancerFacts]:
    client = account.client("elb")
    pages = client.get_paginator("describe_load_balancers").paginate()
    listed = [
        one["LoadBalancerName"]
        for page in pages
        for one in page["LoadBalancerDescriptions"]
        if one.get("VPCId") in vpcs
    ]
    for some in _chunks(listed):
        for one in client.describe_tags(LoadBalancerNames=some)["TagDescriptions"]:
            if owned_by(name, names.tag_mapping(one.get("Tags", ()))):
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
            if owned_by(name, names.tag_mapping(one.get("Tags", ()))):
                yield one["ResourceArn"]


def _security_groups(name: str, account: Account, vpcs: Sequence[str]) -> Iterator[SecurityGroupFacts]:
    pages = account.client("ec2").get_paginator("describe_security_groups")
    for page in pages.paginate(Filters=[{"Name": "vpc-id", "Values": list(vpcs)}]):
        for one in page["SecurityGroups"]:
            if owned_by(name, names.tag_mapping(one.get("Tags", ()))):
                yield SecurityGroupFacts(id=one["GroupId"], name=one["GroupName"])


def _interfaces(name: str, account: Account, vpcs: Sequence[str]) -> Iterator[str]:
    pages = account.client("ec2").get_paginator("describe_network_interfaces")
    filters: Any = [{"Name": "vpc-id", "Values": list(vpcs)}, {"Name": "status", "Values": ["available"]}]
    for page in pages.paginate(Filters=filters):
        for one in page["NetworkInterfaces"]:
            if owned_by(name, names.tag_mapping(one.get("TagSet", ()))):
                yield one["NetworkInterfaceId"]


def _with_volumes(name: str, account: Account) -> Orphans:
    """Those of claims of this cluster. Without its name in the tags a volume may be any cluster's."""
    pages = account.client("ec2").get_paginator("describe_volumes")
    found = []
    for page in pages.paginate(Filters=[{"Name": f"tag:{_OWNED_BY}{name}", "Values": ["owned"]}]):
        for one in page["Volumes"]:
            tags = names.tag_mapping(one.get("Tags", ()))
            if _CLAIM in tags or _DRIVER in tags:
                claim = "/".join(tags[key] for key in (_CLAIM_NAMESPACE, _CLAIM) if key in tags)
                found.append(VolumeFacts(id=one["VolumeId"], claim=claim, size=one["Size"]))
    return Orphans(volumes=tuple(found))


def _chunks(items: Sequence[str]) -> Iterator[list[str]]:
    rest = iter(items)
    while some := list(islice(rest, _TAGS_AT_ONCE)):
        yield some
