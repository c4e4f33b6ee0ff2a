"""Every resource of the account in a comparable form.

Ids are replaced by names: the tag `provision/role`, `Name`, or another distinguishing value. Times, addresses and other
values that differ between runs are left out. A duplicate resource is listed twice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.aws.account import OperatorSession

_ID = re.compile(r"\b(?:vpc|subnet|sg|rtb|igw|nat|eipalloc|eni|vol|acl|dopt|lt|i)-[0-9a-f]{8,17}\b")
_MARKS = (
    (re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "UUID"),
    (re.compile(r"\ba-[a-z0-9]{17}\b"), "a-ID"),
    (re.compile(r"-\d{10}\b"), "-DIGITS"),
    (re.compile(r"/[0-9a-f]{16}\b"), "/ID"),
    (re.compile(r"oidc\.eks\.([\w-]+)\.amazonaws\.com/id/\w+"), r"oidc.eks.\1.amazonaws.com/id/ID"),
)
_VOLATILE = frozenset(
    {
        *("createdAt", "modifiedAt", "associatedAt", "endpoint", "certificateAuthority"),
        *(
            "CreateTime",
            "CreateDate",
            "CreatedTime",
            "CreationDate",
            "DeleteTime",
            "AttachTime",
            "RoleLastUsed",
        ),
        *(
            "PublicIp",
            "PrivateIp",
            "PrivateIpAddress",
            "PrivateIpAddresses",
            "PrivateDnsName",
            "PublicDnsName",
            "MacAddress",
            "CarrierIp",
            "DNSName",
        ),
        *(
            "AssociationId",
            "AttachmentId",
            "RouteTableAssociationId",
            "NetworkAclAssociationId",
            "SecurityGroupRuleId",
        ),
        *(
            "RoleId",
            "UserId",
            "OwnerId",
            "RequesterId",
            "NetworkInterfaceOwnerId",
            "InstanceProfileId",
            "PolicyId",
        ),
        *(
            "CanonicalHostedZoneId",
            "CanonicalHostedZoneNameID",
            "KeyId",
            "AvailableIpAddressCount",
            "UpdateDate",
        ),
        *("CidrBlockAssociationSet", "Ipv6CidrBlockAssociationSet", "SubnetArn", "SecurityGroupArn"),
        "ResponseMetadata",
    }
)

# EC2: name of the kind, operation, member of the answer, member with the id.
_EC2 = (
    ("vpc", "describe_vpcs", "Vpcs", "VpcId"),
    ("subnet", "describe_subnets", "Subnets", "SubnetId"),
    ("internet-gateway", "describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
    ("route-table", "describe_route_tables", "RouteTables", "RouteTableId"),
    ("address", "describe_addresses", "Addresses", "AllocationId"),
    ("nat-gateway", "describe_nat_gateways", "NatGateways", "NatGatewayId"),
    ("security-group", "describe_security_groups", "SecurityGroups", "GroupId"),
    ("network-interface", "describe_network_interfaces", "NetworkInterfaces", "NetworkInterfaceId"),
    ("volume", "describe_volumes", "Volumes", "VolumeId"),
    ("network-acl", "describe_network_acls", "NetworkAcls", "NetworkAclId"),
    ("launch-template", "describe_launch_templates", "LaunchTemplates", "LaunchTemplateId"),
)


def take_inventory(operator: OperatorSession) -> dict[str, list[Any]]:
    """Sorted resources by kind; kinds without resources are left out."""
    raw = {
        **_network(operator.client("ec2")),
        **_balancers(operator),
        **_identities(operator.client("iam")),
        **_clusters(operator.client("eks")),
        "kms-key": operator.client("kms").list_keys()["Keys"],
    }
    labels = _labels(raw)
    plain = {kind: [_normal(each, labels) for each in rows] for kind, rows in raw.items()}
    return {
        kind: sorted(rows, key=lambda row: json.dumps(row, sort_keys=True))
        for kind, rows in plain.items()
        if rows
    }


def _network(ec2: Any) -> dict[str, list[Any]]:
    raw = {kind: _all(getattr(ec2, operation), member) for kind, operation, member, _ in _EC2}
    raw["nat-gateway"] = [each for each in raw["nat-gateway"] if each["State"] != "deleted"]
    # Unlike AWS, moto keeps network ACLs of deleted VPCs and associations with deleted subnets.
    living = {each["SubnetId"] for each in raw["subnet"]} | {each["VpcId"] for each in raw["vpc"]}
    raw["network-acl"] = [each for each in raw["network-acl"] if each["VpcId"] in living]
    for each in raw["network-acl"]:
        each["Associations"] = [link for link in each["Associations"] if link["SubnetId"] in living]
    return raw


def _all(operation: Callable[..., dict[str, Any]], member: str, **given: Any) -> list[Any]:
    answer = operation(**given)
    rows = list(answer[member])
    while answer.get("nextToken") or answer.get("NextToken"):
        key = "nextToken" if answer.get("nextToken") else "NextToken"
        answer = operation(**given, **{key: answer[key]})
        rows += answer[member]
    return rows


def _balancers(operator: OperatorSession) -> dict[str, list[Any]]:
    elb, elbv2 = operator.client("elb"), operator.client("elbv2")
    return {
        "classic-load-balancer": elb.describe_load_balancers()["LoadBalancerDescriptions"],
        "load-balancer": elbv2.describe_load_balancers()["LoadBalancers"],
        "target-group": elbv2.describe_target_groups()["TargetGroups"],
    }


def _identities(iam: Any) -> dict[str, list[Any]]:
    roles = []
    for role in iam.get_paginator("list_roles").paginate().build_full_result()["Roles"]:
        name = role["RoleName"]
        attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
        inline = iam.list_role_policies(RoleName=name)["PolicyNames"]
        tags = iam.list_role_tags(RoleName=name)["Tags"]
        policies = sorted(each["PolicyArn"] for each in attached)
        roles.append({**role, "AttachedPolicies": policies, "Inline": sorted(inline), "Tags": tags})
    providers = iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    own = iam.list_policies(Scope="Local")["Policies"]
    return {
        "role": roles,
        "policy": own,
        "user": iam.list_users()["Users"],
        "instance-profile": iam.list_instance_profiles()["InstanceProfiles"],
        "oidc-provider": [
            iam.get_open_id_connect_provider(OpenIDConnectProviderArn=each["Arn"]) for each in providers
        ],
    }


def _clusters(eks: Any) -> dict[str, list[Any]]:
    raw: dict[str, list[Any]] = {}
    for name in _all(eks.list_clusters, "clusters"):
        raw.setdefault("cluster", []).append(eks.describe_cluster(name=name)["cluster"])
        for kind, row in _parts(eks, name):
            raw.setdefault(kind, []).append(row)
    return raw


def _parts(eks: Any, cluster: str) -> Iterator[tuple[str, Any]]:
    given = {"clusterName": cluster}
    for name in _all(eks.list_nodegroups, "nodegroups", **given):
        yield "node-group", eks.describe_nodegroup(nodegroupName=name, **given)["nodegroup"]
    for name in _all(eks.list_fargate_profiles, "fargateProfileNames", **given):
        yield (
            "fargate-profile",
            eks.describe_fargate_profile(fargateProfileName=name, **given)["fargateProfile"],
        )
    for name in _all(eks.list_addons, "addons", **given):
        yield "addon", eks.describe_addon(addonName=name, **given)["addon"]
    for each in _all(eks.list_pod_identity_associations, "associations", **given):
        own = eks.describe_pod_identity_association(associationId=each["associationId"], **given)
        yield "pod-identity", own["association"]
    mode = eks.describe_cluster(name=cluster)["cluster"]["accessConfig"]["authenticationMode"]
    for principal in _all(eks.list_access_entries, "accessEntries", **given) if mode != "CONFIG_MAP" else ():
        entry = eks.describe_access_entry(principalArn=principal, **given)["accessEntry"]
        policies = _all(
            eks.list_associated_access_policies, "associatedAccessPolicies", principalArn=principal, **given
        )
        yield "access-entry", {**entry, "policies": policies}


def _labels(raw: dict[str, list[Any]]) -> dict[str, str]:
    """Names of EC2 resources by id."""
    labels: dict[str, str] = {}
    for kind, _, _, key in _EC2:
        for row in raw[kind]:
            tags = {tag["Key"]: tag["Value"] for tag in row.get("Tags") or row.get("TagSet") or []}
            own = (
                tags.get("provision/role")
                or tags.get("Name")
                or row.get("GroupName")
                or _ID.sub("ID", row.get("Description", ""))
            )
            place = row.get("CidrBlock") or labels.get(row.get("VpcId", ""), "")
            owner = tags.get("provision/cluster", "")
            labels[row[key]] = "/".join(part for part in (kind, owner, own or place) if part)
    return labels


def _normal(value: Any, labels: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _normal(item, labels) for key, item in sorted(value.items()) if key not in _VOLATILE}
    if isinstance(value, list):
        rows = [_normal(item, labels) for item in value]
        return sorted(rows, key=lambda row: json.dumps(row, sort_keys=True, default=str))
    if isinstance(value, str):
        text = _ID.sub(lambda match: labels.get(match[0], "ID"), value)
        for pattern, mark in _MARKS:
            text = pattern.sub(mark, text)
        return text
    return value if isinstance(value, int | float | bool | type(None)) else str(value)
