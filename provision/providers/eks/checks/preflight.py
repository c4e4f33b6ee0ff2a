"""Asks an account what it allows and offers, as far as something is still to be made. Changes nothing.

Every question is asked at the same time as the others. One that cannot be answered (most often because the credentials
may not ask) is told as such and stops nobody; credentials that AWS does not take stop at once.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
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
from provision.providers.eks.checks import quotas
from provision.providers.eks.checks.preflight_facts import (
    ADDRESSES,
    NATS,
    ON_DEMAND,
    QUOTAS,
    SPOT,
    VPCS,
    Kubectl,
    Machine,
    Preflight,
    Unasked,
    Zone,
)
from provision.providers.eks.checks.support import Calendar, Support
from provision.providers.eks.eksctl import program
from provision.providers.eks.facts import AddonOffer
from provision.providers.eks.iam.permissions import denied
from provision.providers.eks.iam.policy import policy
from provision.providers.eks.pending import Pending, pending

if TYPE_CHECKING:
    from provision.engine.events import Emit
    from provision.model.eks import EksCluster
    from provision.providers.eks.aws.account import Account
    from provision.providers.eks.facts import Observation

_KUBECTL_SECONDS = 10


@dataclass(frozen=True, slots=True)
class _Question:
    """`ask` returns the parts of Preflight that it answers; `what` is how it is called where it cannot be asked."""

    what: str
    ask: Callable[[], Mapping[str, object]]


_Answer = Mapping[str, object] | Unasked
_GROWING = frozenset({"limits", "used", "addons"})


def observe_preflight(
    cluster: EksCluster, account: Account, observation: Observation, emit: Emit
) -> Preflight:
    """Ask what the missing parts depend on; emits one Observed when it asked anything.

    Raises UnreachableError if AWS cannot be reached or does not take the credentials any more.
    """
    started = time.time()
    missing = pending(cluster, observation)
    nothing = Preflight(at=started, expires=_expiry(account), eksctl=_eksctl(cluster))
    if not missing.anything or not _ours_or_absent(observation):
        return nothing
    questions = tuple(_questions(cluster, account, observation, missing))
    found = nothing
    for answer in together([partial(_answer, question) for question in questions]):
        found = _with(found, answer)
    emit(Observed(host="account", seconds=time.time() - started))
    return found


def _with(found: Preflight, answer: _Answer) -> Preflight:
    """Mappings grow by what is answered, anything else is replaced."""
    if isinstance(answer, Unasked):
        return replace(found, unasked=(*found.unasked, answer))
    parts: dict[str, Any] = dict(answer)
    for name in _GROWING & parts.keys():
        parts[name] = {**getattr(found, name), **parts[name]}
    return replace(found, **parts)


def _ours_or_absent(observation: Observation) -> bool:
    return observation.cluster is None or observation.cluster.owned


def _questions(
    cluster: EksCluster, account: Account, observation: Observation, missing: Pending
) -> Iterator[_Question]:
    if (missing.cluster or missing.vpc) and cluster.backend == "boto3":
        yield _Question(
            "the permissions of these credentials", partial(_denied, cluster, account, observation)
        )
    codes = quotas.needed(cluster, missing)
    for code in codes:
        yield _Question(f'the quota "{QUOTAS[code][1]}"', partial(_limit, account, code))
    if ADDRESSES in codes:
        yield _Question("the elastic IPs of the region", partial(_addresses, account))
    if NATS in codes:
        yield _Question("the NAT gateways of the region", partial(_gateways, account, observation))
    if ON_DEMAND in codes or SPOT in codes:
        yield _Question("the running instances of the region", partial(_vcpus, account))
    if missing.cluster or missing.vpc:
        yield _Question("the availability zones", partial(_zones, account))
        yield _Question("the VPCs of the region", partial(_vpcs, account))
    if missing.cluster or missing.upgrade:
        yield _Question("the versions of Kubernetes", partial(_calendar, account))
        yield _Question("kubectl", _kubectl)
    if missing.new_groups:
        yield _Question("the instance types", partial(_machines, cluster, account))
    minor = cluster.kubernetes if observation.cluster is None else observation.cluster.version
    for addon in missing.addons:
        yield _Question(f"the versions of {addon.name}", partial(_offer, account, addon.name, minor))


def _answer(question: _Question) -> _Answer:
    try:
        return question.ask()
    except (ClientError, BotoCoreError) as error:
        if errors.code_of(error) in errors.EXPIRED | errors.UNKNOWN_KEYS:
            raise errors.as_error(error) from error
        told = errors.describe(error)
        return Unasked(question.what, told.cause or told.message)


def _expiry(account: Account) -> float | None:
    """When credentials of the environment end (AWS_CREDENTIAL_EXPIRATION); others are renewed by botocore itself."""
    credentials = account.session.get_credentials()
    if credentials is None or credentials.method != "env":
        return None
    end = getattr(credentials, "_expiry_time", None)
    return None if end is None else float(end.timestamp())


def _eksctl(cluster: EksCluster) -> CheckError | None:
    """Why the eksctl on PATH cannot be used, where the file asks for it."""
    if cluster.backend == "eksctl":
        try:
            program.find()
        except CheckError as error:
            return error
    return None


def _denied(cluster: EksCluster, account: Account, observation: Observation) -> Mapping[str, object]:
    identity = observation.identity
    document = policy(cluster, identity.partition)
    return {"denied": denied(document, account, identity, region=cluster.region)}


def _limit(account: Account, code: str) -> Mapping[str, object]:
    return {"limits": {code: quotas.limit(account, code)}}


def _addresses(account: Account) -> Mapping[str, object]:
    return {"used": {ADDRESSES: quotas.addresses(account)}}


def _gateways(account: Account, observation: Observation) -> Mapping[str, object]:
    return {"used": {NATS: quotas.gateways(account, observation)}}


def _vcpus(account: Account) -> Mapping[str, object]:
    return {"used": quotas.vcpus(account)}


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
    """Two calls: what the types are (a filter, since naming one that does not exist is an error), and where."""
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
    """What EKS offers of the add-on for the minor; an add-on that it does not know has no versions."""
    pages = (
        account.client("eks")
        .get_paginator("describe_addon_versions")
        .paginate(addonName=addon, kubernetesVersion=minor)
    )
    versions: list[str] = []
    default = ""
    for page in pages:
        for found in (version for one in page["addons"] for version in one["addonVersions"]):
            versions.append(found["addonVersion"])
            if any(fit.get("defaultVersion") for fit in found["compatibilities"]):
                default = found["addonVersion"]
    offer = AddonOffer(addon=addon, kubernetes=minor, versions=tuple(versions), default=default)
    return {"addons": {addon: offer}}


def _kubectl() -> Mapping[str, object]:
    """The client's version only; no cluster is asked, whatever the user's kubeconfig says."""
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
