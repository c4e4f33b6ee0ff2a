"""An account in which nothing at all is missing of what a file asks, for tests of the plan."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from provision.providers.eks import desired, names
from provision.providers.eks.facts import (
    AccessEntryFacts,
    AddonOffer,
    FargateFacts,
    InternetGatewayFacts,
    Observation,
    PodIdentityFacts,
    RoleFacts,
    RouteTableFacts,
)
from tests.unit.providers.eks.factories import IDENTITY, REGION, ZONES, running

if TYPE_CHECKING:
    from provision.model.eks import EksCluster


def whole(asked: EksCluster, **changes: Any) -> Observation:
    """`factories.running`, and what it leaves out; changed as named."""
    seen = running(asked)
    tags = names.tags(asked.name, "vpc", asked.tags)
    ids = {one.part: one.id for one in seen.network.subnets}
    public = {ids[names.public_subnet(zone)]: f"rtbassoc-{zone}" for zone in ZONES}
    tables = [
        RouteTableFacts(
            id="rtb-public",
            part=names.PUBLIC_ROUTES,
            routes={desired.ANYWHERE: "igw-1"},
            associations=public,
            tags=tags,
        )
    ]
    tables += [
        RouteTableFacts(
            id=f"rtb-{zone}",
            part=names.private_routes(zone),
            routes={desired.ANYWHERE: "nat-1"},
            associations={ids[names.private_subnet(zone)]: f"rtbassoc-{zone}"},
            tags=tags,
        )
        for zone in ZONES
    ]
    network = replace(
        seen.network,
        vpcs=tuple(replace(one, tags=tags) for one in seen.network.vpcs),
        subnets=tuple(replace(one, tags=tags) for one in seen.network.subnets),
        addresses=tuple(replace(one, tags=tags) for one in seen.network.addresses),
        nats=tuple(replace(one, tags=tags) for one in seen.network.nats),
        internet_gateways=(InternetGatewayFacts(id="igw-1", attached_to="vpc-ours", tags=tags),),
        route_tables=tuple(tables),
    )
    assert seen.cluster is not None
    found = replace(
        seen,
        network=network,
        roles=tuple(role(asked, wanted) for wanted in desired.roles(asked, IDENTITY.partition)),
        cluster=replace(
            seen.cluster, logs=tuple(sorted(asked.logs)), encryption_key=asked.encryption_key, tags=tags
        ),
        node_groups=tuple(replace(one, tags=tags) for one in seen.node_groups),
        addons=tuple(replace(one, tags=tags) for one in seen.addons),
        fargate_profiles=tuple(
            FargateFacts(
                name=one.name,
                arn=f"arn:fargate/{one.name}",
                status="ACTIVE",
                created=None,
                owned=True,
                role_arn="",
                subnets=(),
                selectors=tuple((select.namespace, select.labels) for select in one.selectors),
                health=(),
                tags=tags,
            )
            for one in asked.fargate_profiles
        ),
        access_entries=tuple(
            AccessEntryFacts(
                principal_arn=arn,
                arn=f"arn:access/{arn}",
                type="STANDARD",
                owned=True,
                policies=(desired.admin_policy(IDENTITY.partition),),
                tags=tags,
            )
            for arn in asked.access.admins
        ),
        pod_identities=tuple(
            PodIdentityFacts(
                id=f"a-{one.service_account}",
                arn=f"arn:identity/{one.service_account}",
                namespace=one.namespace,
                service_account=one.service_account,
                role_arn=one.role_arn or role_arn(asked, names.pod_role(one.namespace, one.service_account)),
                owned=True,
                tags=tags,
            )
            for one in asked.pod_identities
        ),
    )
    return replace(found, **changes)


def role(asked: EksCluster, wanted: desired.WantedRole) -> RoleFacts:
    return RoleFacts(
        name=names.role_name(REGION, asked.name, wanted.part),
        arn=role_arn(asked, wanted.part),
        id="AROA1",
        part=wanted.part,
        owned=True,
        policies=wanted.policies,
        tags=names.tags(asked.name, wanted.part, asked.tags),
    )


def role_arn(asked: EksCluster, part: str) -> str:
    path, name = names.role_path(REGION, asked.name), names.role_name(REGION, asked.name, part)
    return f"arn:aws:iam::{IDENTITY.account}:role{path}{name}"


def offers(asked: EksCluster, *minors: str) -> tuple[AddonOffer, ...]:
    """Every add-on goes with every minor, but for kube-proxy, which has a version of its own for each."""
    found = []
    for minor in minors:
        for one in asked.addons:
            versions = ("v1.3.0-eksbuild.1", "v1.2.0-eksbuild.1")
            if one.name == "kube-proxy":
                versions = (f"v{minor}.1-eksbuild.1", f"v{minor}.0-eksbuild.1")
            found.append(AddonOffer(addon=one.name, kubernetes=minor, versions=versions, default=versions[1]))
    return tuple(found)
