"""An account in which nothing at all is missing of what a file asks, for tests of the plan."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from provision.providers.eks import names
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
from provision.providers.eks.resources.access import admin_policy
from provision.providers.eks.resources.roles import RoleChange, roles
from provision.providers.eks.resources.routes import ANYWHERE
from tests.unit.providers.eks.factories import IDENTITY, REGION, ZONES, running

if TYPE_CHECKING:
    from provision.model.eks import EksCluster
    from provision.providers.eks.steps.planning import EksStep


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
            routes={ANYWHERE: "igw-1"},
            associations=public,
            tags=tags,
        )
    ]
    tables += [
        RouteTableFacts(
            id=f"rtb-{zone}",
            part=names.private_routes(zone),
            routes={ANYWHERE: "nat-1"},
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
        roles=tuple(role(asked, wanted) for wanted in roles(asked, IDENTITY.partition)),
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
                policies=(admin_policy(IDENTITY.partition),),
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


def as_text(steps: tuple[EksStep, ...]) -> str:
    """A plan as a reviewer reads it: first what and why, then what each resource is changed to."""
    if not steps:
        return "nothing to do\n"
    lines = []
    for step in steps:
        lines.append(f"{step.name}: {step.summary}")
        lines.append(f"  hosts: {', '.join(step.hosts)}")
        lines += [f"  needs: {', '.join(step.needs)}"] if step.needs else []
        lines += [f"  - {reason.host}: {reason.what}" for reason in step.reasons]
    lines.append("")
    for step in steps:
        of_step: dict[str, object] = {"awaited": True} if step.awaited else {}
        of_step |= {"requires": sorted(step.requires)} if step.requires else {}
        lines += [step.name, json.dumps(of_step, indent=2)] if of_step else []
        for change in step.changes:
            fields = {
                one.name: value
                for one in dataclasses.fields(change)
                if one.name not in {"resource", "reasons"}
                and (value := getattr(change, one.name)) != one.default
            }
            lines += [f"{step.name} {change.resource}", json.dumps(fields, indent=2)] if fields else []
    return "\n".join(lines) + "\n"


def role(asked: EksCluster, wanted: RoleChange) -> RoleFacts:
    return RoleFacts(
        name=names.role_name(REGION, asked.name, wanted.resource),
        arn=role_arn(asked, wanted.resource),
        id="AROA1",
        part=wanted.resource,
        owned=True,
        policies=wanted.policies,
        tags=names.tags(asked.name, wanted.resource, asked.tags),
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
