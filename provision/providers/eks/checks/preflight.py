"""Read what the account allows and offers, as far as something is still to be created. Changes nothing.

All queries run in parallel. One that fails (most often for lack of permissions) is reported as not checked and does not
stop the run; credentials that AWS does not accept do.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from provision.engine.events import Observed
from provision.errors import CheckError
from provision.model.units import minor_of
from provision.providers.eks.aws import errors
from provision.providers.eks.aws.calls import together
from provision.providers.eks.checks.account import is_standard, limiting_quotas
from provision.providers.eks.checks.context import (
    ADDRESSES,
    NATS,
    ON_DEMAND,
    QUOTAS,
    SPOT,
    VPCS,
    Kubectl,
    Machine,
    Pending,
    Preflight,
    Unanswered,
    Zone,
    pending,
)
from provision.providers.eks.checks.support import Calendar, Support
from provision.providers.eks.eksctl.runner import find
from provision.providers.eks.iam.permissions import denied
from provision.providers.eks.iam.policy import policy
from provision.providers.eks.resources.addon_upgrades import read_offer

if TYPE_CHECKING:
    from provision.engine.events import Emit
    from provision.model.eks import EksCluster
    from provision.providers.eks.aws.account import Account
    from provision.providers.eks.facts import Observation

_KUBECTL_SECONDS = 10
# AWS's default of NAT gateways per zone, the least that an account has: fewer in the whole region need no closer look.
_FEWEST_GATEWAYS = 5


@dataclass(frozen=True, slots=True)
class _Query:
    """`read` returns fields of Preflight; `what` names them in the report where it fails."""

    what: str
    read: Callable[[], Mapping[str, object]]


_Answer = Mapping[str, object] | Unanswered
_MERGED = frozenset({"limits", "used", "addons"})


def observe_preflight(
    cluster: EksCluster, account: Account, observation: Observation, emit: Emit
) -> Preflight:
    """Read what the pending changes depend on; emits one Observed if anything was read.

    Raises UnreachableError if AWS cannot be reached or no longer accepts the credentials.
    """
    started = time.time()
    changes = pending(cluster, observation)
    found = Preflight(at=started, expires=_expiry(account), eksctl=_eksctl(cluster))
    has_other_owner = observation.cluster is not None and not observation.cluster.owned
    if not changes.anything or has_other_owner:
        return found
    queries = tuple(_queries(cluster, account, observation, changes))
    for answer in together([partial(_answer, query) for query in queries]):
        found = _merged(found, answer)
    emit(Observed(host="account", seconds=time.time() - started))
    return found


def _merged(found: Preflight, answer: _Answer) -> Preflight:
    """Add an answer: mappings are merged, other fields replaced."""
    if isinstance(answer, Unanswered):
        return replace(found, unanswered=(*found.unanswered, answer))
    parts: dict[str, Any] = dict(answer)
    for name in _MERGED & parts.keys():
        parts[name] = {**getattr(found, name), **parts[name]}
    return replace(found, **parts)


def _queries(
    cluster: EksCluster, account: Account, observation: Observation, changes: Pending
) -> Iterator[_Query]:
    if (changes.cluster or changes.vpc) and cluster.backend == "boto3":
        yield _Query("the permissions of these credentials", partial(_denied, cluster, account, observation))
    codes = limiting_quotas(cluster, changes)
    for code in codes:
        yield _Query(f'the quota "{QUOTAS[code][1]}"', partial(_limit, account, code))
    if ADDRESSES in codes:
        yield _Query("the elastic IPs of the region", partial(_addresses, account))
    if NATS in codes:
        yield _Query("the NAT gateways of the region", partial(_gateways, account, observation))
    if ON_DEMAND in codes or SPOT in codes:
        yield _Query("the running instances of the region", partial(_vcpus, account))
    if changes.cluster or changes.vpc:
        yield _Query("the availability zones", partial(_zones, account))
        yield _Query("the VPCs of the region", partial(_vpcs, account))
    if changes.cluster or changes.upgrade:
        yield _Query("the versions of Kubernetes", partial(_calendar, account))
        yield _Query("kubectl", _kubectl)
    if changes.new_groups:
        yield _Query("the instance types", partial(_machines, cluster, account))
    minor = cluster.kubernetes if observation.cluster is None else observation.cluster.version
    for addon in changes.addons:
        yield _Query(f"the versions of {addon.name}", partial(_offer, account, addon.name, minor))


def _answer(query: _Query) -> _Answer:
    try:
        return query.read()
    except (ClientError, BotoCoreError) as error:
        if errors.code_of(error) in errors.EXPIRED | errors.UNKNOWN_KEYS:
            raise errors.as_error(error) from error
        description = errors.describe(error)
        return Unanswered(query.what, description.cause or description.message)


def _expiry(account: Account) -> float | None:
    """When credentials of the environment expire (AWS_CREDENTIAL_EXPIRATION); botocore itself renews all others."""
    credentials = account.session.get_credentials()
    if credentials is None or credentials.method != "env":
        return None
    end = getattr(credentials, "_expiry_time", None)
    return None if end is None else float(end.timestamp())


def _eksctl(cluster: EksCluster) -> CheckError | None:
    """Why the eksctl on PATH cannot be used, None if it can or the file does not ask for it."""
    if cluster.backend == "eksctl":
        try:
            find()
        except CheckError as error:
            return error
    return None


def _denied(cluster: EksCluster, account: Account, observation: Observation) -> Mapping[str, object]:
    identity = observation.identity
    document = policy(cluster, identity.partition)
    return {"denied": denied(document, account, identity, region=cluster.region)}


def _limit(account: Account, code: str) -> Mapping[str, object]:
    found = account.client("service-quotas").get_service_quota(ServiceCode=QUOTAS[code][0], QuotaCode=code)
    return {"limits": {code: int(found["Quota"]["Value"])}}


def _addresses(account: Account) -> Mapping[str, object]:
    return {"used": {ADDRESSES: len(account.client("ec2").describe_addresses()["Addresses"])}}


def _gateways(account: Account, observation: Observation) -> Mapping[str, object]:
    """Count the NAT gateways of the zone with the most; of all zones together where these are few."""
    ec2 = account.client("ec2")
    pages = ec2.get_paginator("describe_nat_gateways").paginate(
        Filters=[{"Name": "state", "Values": ["pending", "available"]}]
    )
    subnets = [gateway["SubnetId"] for page in pages for gateway in page["NatGateways"]]
    if len(subnets) < _FEWEST_GATEWAYS:
        return {"used": {NATS: len(subnets)}}
    described = ec2.describe_subnets(SubnetIds=sorted(set(subnets)))["Subnets"]
    zones = {subnet["SubnetId"]: subnet["AvailabilityZone"] for subnet in described}
    count = Counter(zones[subnet] for subnet in subnets if subnet in zones)
    most = max((count[zone] for zone in observation.network.zones), default=0)
    return {"used": {NATS: most}}


def _vcpus(account: Account) -> Mapping[str, object]:
    """Count vCPUs of running standard instances, on demand and spot."""
    pages = (
        account.client("ec2")
        .get_paginator("describe_instances")
        .paginate(
            Filters=[{"Name": "instance-state-name", "Values": ["pending", "running"]}],
            PaginationConfig={"PageSize": 1000},
        )
    )
    used = {ON_DEMAND: 0, SPOT: 0}
    for one in (one for page in pages for group in page["Reservations"] for one in group["Instances"]):
        if is_standard(one["InstanceType"]):
            processor = one.get("CpuOptions", {})
            code = SPOT if one.get("InstanceLifecycle") == "spot" else ON_DEMAND
            used[code] += processor.get("CoreCount", 1) * processor.get("ThreadsPerCore", 1)
    return {"used": used}


def _calendar(account: Account) -> Mapping[str, object]:
    pages = account.client("eks").get_paginator("describe_cluster_versions").paginate()
    minors = {
        version["clusterVersion"]: Support(
            standard=version["endOfStandardSupportDate"].date(),
            extended=version["endOfExtendedSupportDate"].date(),
        )
        for page in pages
        for version in page["clusterVersions"]
    }
    return {"calendar": Calendar(minors=minors)}


def _zones(account: Account) -> Mapping[str, object]:
    answer = account.client("ec2").describe_availability_zones(
        Filters=[{"Name": "zone-type", "Values": ["availability-zone"]}]
    )
    zones = [
        Zone(zone["ZoneName"], zone.get("ZoneId", ""), zone.get("State", "available"))
        for zone in answer["AvailabilityZones"]
    ]
    return {"zones": tuple(sorted(zones, key=lambda zone: zone.name))}


def _vpcs(account: Account) -> Mapping[str, object]:
    pages = account.client("ec2").get_paginator("describe_vpcs").paginate()
    found = [vpc for page in pages for vpc in page["Vpcs"]]
    ranges = {
        vpc["VpcId"]: [part["CidrBlock"] for part in vpc.get("CidrBlockAssociationSet", [])] for vpc in found
    }
    return {"used": {VPCS: len(found)}, "vpcs": {name: tuple(parts) for name, parts in ranges.items()}}


def _machines(cluster: EksCluster, account: Account) -> Mapping[str, object]:
    """Describe the instance types (by a filter: naming one that does not exist is an error) and list their zones."""
    ec2, kinds = account.client("ec2"), list(cluster.instance_types)
    described = ec2.get_paginator("describe_instance_types").paginate(
        Filters=[{"Name": "instance-type", "Values": kinds}]
    )
    offered = ec2.get_paginator("describe_instance_type_offerings").paginate(
        LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": kinds}]
    )
    zones: dict[str, list[str]] = {}
    for page in offered:
        for offer in page["InstanceTypeOfferings"]:
            zones.setdefault(offer["InstanceType"], []).append(offer["Location"])
    machines = {}
    for types in described:
        for kind in types["InstanceTypes"]:
            architectures = kind.get("ProcessorInfo", {}).get("SupportedArchitectures", [])
            machines[str(kind["InstanceType"])] = Machine(
                vcpus=kind.get("VCpuInfo", {}).get("DefaultVCpus", 0),
                architecture="arm64" if "arm64" in architectures else "x86_64",
                spot="spot" in kind.get("SupportedUsageClasses", []),
                zones=tuple(sorted(zones.get(kind["InstanceType"], []))),
            )
    return {"machines": machines}


def _offer(account: Account, addon: str, minor: str) -> Mapping[str, object]:
    return {"addons": {addon: read_offer(account, addon, minor)}}


def _kubectl() -> Mapping[str, object]:
    """Version of the kubectl on PATH, without contacting a cluster."""
    path = shutil.which("kubectl")
    if path is None:
        return {}
    command = [path, "version", "--client", "--output", "json"]
    try:
        out = subprocess.run(command, capture_output=True, check=True, timeout=_KUBECTL_SECONDS).stdout
        version = str(json.loads(out)["clientVersion"]["gitVersion"])
    except (OSError, subprocess.SubprocessError, ValueError, KeyError):
        return {}
    return {"kubectl": Kubectl(path=path, version=minor_of(version.removeprefix("v")))}
