"""Clusters, observations and preflights for tests of what is pure: a whole one, to be changed where a test needs it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from provision.model.eks import EksCluster, NodeGroup
from provision.providers.eks import names
from provision.providers.eks.checks.context import (
    ADDRESSES,
    NATS,
    ON_DEMAND,
    SPOT,
    VPCS,
    Kubectl,
    Machine,
    Preflight,
    Zone,
)
from provision.providers.eks.checks.support import Calendar, Support
from provision.providers.eks.eksctl import ownership as eksctl
from provision.providers.eks.facts import (
    AddonFacts,
    AddonOffer,
    AddressFacts,
    ClusterFacts,
    Identity,
    NatFacts,
    Network,
    NodeGroupFacts,
    Observation,
    SubnetFacts,
    VpcFacts,
)

ACCOUNT, REGION = "123456789012", "eu-central-1"
ZONES = ("eu-central-1a", "eu-central-1b", "eu-central-1c")
AT = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()
IDENTITY = Identity(account=ACCOUNT, arn=f"arn:aws:iam::{ACCOUNT}:user/ada")


def cluster(**changes: Any) -> EksCluster:
    """A cluster with one node group, changed as named."""
    document: dict[str, Any] = {
        "name": "demo",
        "provider": "eks",
        "region": REGION,
        "kubernetes": "1.35",
        "node_groups": (NodeGroup(name="workers"),),
    }
    return EksCluster.model_validate({**document, **changes})


def nothing(**changes: Any) -> Observation:
    """An account in which the cluster is still to be made."""
    empty = Observation(at=AT, identity=IDENTITY, network=Network(zones=ZONES))
    return replace(empty, **changes)


def fit(**changes: Any) -> Preflight:
    """What an account says that has room for everything."""
    versions = ("v1.3.0-eksbuild.1", "v1.2.0-eksbuild.1")
    whole = Preflight(
        at=AT,
        limits={VPCS: 5, ADDRESSES: 5, NATS: 5, ON_DEMAND: 64, SPOT: 64},
        used={VPCS: 1, ADDRESSES: 0, NATS: 0, ON_DEMAND: 0, SPOT: 0},
        machines={"m7i.large": Machine(vcpus=2, architecture="x86_64", spot=True, zones=ZONES)},
        zones=tuple(
            Zone(name, f"euc1-az{number}", "available") for number, name in enumerate(ZONES, start=1)
        ),
        vpcs={"vpc-default": ("172.31.0.0/16",)},
        calendar=Calendar(
            minors={
                "1.33": Support(standard=date(2026, 7, 29), extended=date(2027, 7, 29)),
                "1.34": Support(standard=date(2026, 12, 2), extended=date(2027, 12, 2)),
                "1.35": Support(standard=date(2027, 3, 27), extended=date(2028, 3, 27)),
            }
        ),
        addons={
            addon.name: AddonOffer(
                addon=addon.name, kubernetes="1.35", versions=versions, default=versions[0]
            )
            for addon in cluster().addons
        },
        kubectl=Kubectl(path="/usr/bin/kubectl", version="1.35"),
    )
    return replace(whole, **changes)


def running(asked: EksCluster | None = None) -> Observation:
    """An account in which all that the file asks is there."""
    asked = asked or cluster()
    found = control_plane(asked)
    subnets = tuple(
        SubnetFacts(
            id=f"subnet-{kind}-{number}",
            part=part(zone),
            vpc="vpc-ours",
            zone=zone,
            cidr=f"192.168.{number}.0/24",
            free_addresses=200,
            public_addresses=kind == "public",
            tags={},
        )
        for kind, part in (("public", names.public_subnet), ("private", names.private_subnet))
        for number, zone in enumerate(ZONES)
    )
    network = Network(
        zones=ZONES,
        vpcs=(
            VpcFacts(
                id="vpc-ours", cidr=asked.vpc.cidr, zones=ZONES, dns_support=True, dns_hostnames=True, tags={}
            ),
        ),
        subnets=subnets,
        addresses=(
            AddressFacts(
                id="eipalloc-1", part=names.address(ZONES[0]), ip="3.3.3.3", associated=True, tags={}
            ),
        ),
        nats=(
            NatFacts(
                id="nat-1",
                part=names.nat(ZONES[0]),
                subnet="subnet-public-0",
                address="eipalloc-1",
                state="available",
                failure="",
                tags={},
            ),
        ),
    )
    return replace(
        nothing(network=network),
        cluster=found,
        node_groups=tuple(node_group(group, asked) for group in asked.node_groups),
        addons=tuple(
            AddonFacts(
                name=addon.name,
                arn=f"arn:addon/{addon.name}",
                status="ACTIVE",
                version=addon.version or "v1.3.0-eksbuild.1",
                created=None,
                owned=True,
                health=(),
                tags={},
            )
            for addon in asked.addons
        ),
    )


def control_plane(asked: EksCluster, **changes: Any) -> ClusterFacts:
    """The control plane that the file's backend made."""
    tags = {eksctl.CLUSTER_TAG: asked.name, **eksctl.tags({})}
    if asked.backend == "boto3":
        tags = names.tags(asked.name, "cluster", {})
    found = ClusterFacts(
        name=asked.name,
        arn=f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/{asked.name}",
        status="ACTIVE",
        version=asked.kubernetes,
        created=None,
        owned=True,
        role_arn="",
        endpoint="https://example.com",
        authority="",
        vpc="vpc-ours",
        subnets=(),
        public=True,
        private=True,
        public_cidrs=("0.0.0.0/0",),
        service_cidr="10.100.0.0/16",
        creator_admin=True,
        encryption_key=None,
        logs=(),
        health=(),
        tags=tags,
    )
    return replace(found, **changes)


def node_group(group: NodeGroup, asked: EksCluster, **changes: Any) -> NodeGroupFacts:
    """The node group as it was asked for."""
    found = NodeGroupFacts(
        name=group.name,
        arn=f"arn:node-group/{group.name}",
        status="ACTIVE",
        version=asked.kubernetes,
        release="",
        created=None,
        owned=True,
        instance_types=group.instance_types,
        capacity=group.capacity,
        ami_type="AL2023_x86_64_STANDARD",
        disk=group.disk,
        min=group.min,
        desired=group.desired,
        max=group.max,
        labels=group.labels,
        taints=group.taints,
        subnets=tuple(f"subnet-{group.subnets}-{number}" for number in range(3)),
        role_arn="",
        health=(),
        tags={},
    )
    return replace(found, **changes)
