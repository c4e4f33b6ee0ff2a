"""ARNs of IAM principals, roles and policies, and of the KMS key that encrypts Secrets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from provision.config.rules.eks.cluster import is_region
from provision.config.rules.eks.node_groups import is_namespace
from provision.config.rules.names import SUBDOMAIN
from provision.config.rules.rulebook import entries, find_duplicates, is_set, section, text, texts
from provision.config.yaml.problem import Key, Problem, quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PARTITION = r"arn:aws[a-z-]*"
_PATH = r"[A-Za-z0-9_+=,.@/-]+"
_ACCOUNT = r"[0-9]{12}"
_PRINCIPAL = re.compile(rf"{_PARTITION}:iam::{_ACCOUNT}:(user|role)/{_PATH}")
_ROLE = re.compile(rf"{_PARTITION}:iam::{_ACCOUNT}:role/{_PATH}")
_POLICY = re.compile(rf"{_PARTITION}:iam::(aws|{_ACCOUNT}):policy/{_PATH}")
_SESSION = re.compile(rf"({_PARTITION}):sts::({_ACCOUNT}):assumed-role/([A-Za-z0-9_+=,.@-]+)/.+")
_KEY = re.compile(
    rf"{_PARTITION}:kms:([a-z0-9-]+):{_ACCOUNT}:key/(mrk-[0-9a-f]{{32}}|[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}})"
)
_MOST_POLICIES = 20  # of a role: the most that IAM grants on request


def principal(key: Key, value: str) -> Iterator[Problem]:
    """Demand an IAM user or role, the principals of access entries."""
    if _PRINCIPAL.fullmatch(value):
        return
    session = _SESSION.fullmatch(value)
    message, fix = f"{quote(value)} is not the ARN of an IAM user or role", _example("role/platform")
    if session:
        message = f"{quote(value)} is a session of a role"
        fix = (
            f"write the role: {session[1]}:iam::{session[2]}:role/{session[3]} (with its path, if it has one)"
        )
    elif re.fullmatch(rf"{_PARTITION}:iam::{_ACCOUNT}:group/.+", value):
        message, fix = f"{quote(value)} is a group, which EKS does not take", "list its users, or a role"
    elif re.fullmatch(rf"{_PARTITION}:iam::{_ACCOUNT}:root", value):
        message, fix = f"{quote(value)} is a whole account", "list users or roles of it"
    elif re.fullmatch(rf"{_PARTITION}:iam::[0-9]+:.+", value):
        message = f"the account in {quote(value)} has no 12 digits"
    yield _refused(key, message, fix)


def pod_role(key: Key, value: str) -> Iterator[Problem]:
    if not _ROLE.fullmatch(value):
        yield _refused(key, f"{quote(value)} is not the ARN of an IAM role", _example("role/ebs-csi"))


def pod_policy(key: Key, value: str) -> Iterator[Problem]:
    """Demand the ARN of a policy, AWS's own or one of an account."""
    if not _POLICY.fullmatch(value):
        fix = "for example arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
        yield _refused(key, f"{quote(value)} is not the ARN of an IAM policy", fix)


def namespace(key: Key, value: str) -> Iterator[Problem]:
    if not is_namespace(value):
        message = f"{quote(value)} is not a namespace"
        yield Problem(key, "namespace", message, "for example kube-system")


def service_account(key: Key, value: str) -> Iterator[Problem]:
    if not SUBDOMAIN.fullmatch(value) or len(value) > 253:  # noqa: PLR2004 RFC 1035
        message = f"{quote(value)} is not the name of a service account"
        yield Problem(key, "service-account", message, "for example ebs-csi-controller-sa")


def admins(data: Mapping[str, object]) -> Iterator[Problem]:
    """Refuse duplicate administrators, and a cluster without any."""
    access = section(data, "access")
    found = texts(access, "admins")
    yield from find_duplicates(((("access", "admins", index), each) for index, each in found), "arn")
    if access.get("creator_admin", True) is False and access.get("admins", ()) == ():
        message = "the creator is not an administrator and admins is empty: no one could use the cluster"
        fix = "list users or roles below access.admins, or write creator_admin: true"
        yield Problem(("access", "creator_admin"), "admins", message, fix)


def pod_identities(data: Mapping[str, object]) -> Iterator[Problem]:
    """Demand one source of permissions per service account, and no duplicates."""
    accounts: list[tuple[Key, str]] = []
    for index, each in entries(data, "pod_identities"):
        key: Key = ("pod_identities", index)
        policies = each.get("policy_arns", ())
        if is_set(each, "role_arn") and policies != ():
            message = "role_arn and policy_arns are given; policies of an existing role are not changed"
            yield Problem(key, "pod-identity", message, "take one of the two out")
        elif not is_set(each, "role_arn") and policies == ():
            message = "neither role_arn nor policy_arns is given"
            fix = "name an existing role, or the policies of a new one"
            yield Problem(key, "pod-identity", message, fix)
        if isinstance(policies, tuple) and len(policies) > _MOST_POLICIES:
            message = f"{len(policies)} policies are listed; a role has at most {_MOST_POLICIES}"
            yield Problem((*key, "policy_arns"), "pod-identity", message, "merge some")
        listed = texts(each, "policy_arns")
        yield from find_duplicates((((*key, "policy_arns", place), one) for place, one in listed), "arn")
        space, account = text(each, "namespace"), text(each, "service_account")
        if space and account:
            accounts.append(((*key, "service_account"), f"{space}/{account}"))
    yield from find_duplicates(accounts, "pod-identity")


def encryption_key(data: Mapping[str, object]) -> Iterator[Problem]:
    """Demand the ARN of a KMS key in the cluster's region."""
    value, region = text(data, "encryption_key"), text(data, "region")
    if not is_set(data, "encryption_key") or not isinstance(data["encryption_key"], str):
        return
    found = _KEY.fullmatch(value)
    key: Key = ("encryption_key",)
    if not found:
        message = f"{quote(value)} is not the ARN of a KMS key"
        if ":alias/" in value or value.startswith("alias/"):
            message = f"{quote(value)} is an alias, which may mean another key tomorrow"
        fix = "`aws kms describe-key --key-id ...` prints the ARN of the key"
        yield _refused(key, message, fix)
    elif is_region(region) and found[1] != region:
        message = f"the key is in {found[1]}, the cluster in {region}"
        yield _refused(key, message, f"name a key of {region}")


def same_partition(data: Mapping[str, object]) -> Iterator[Problem]:
    """Refuse ARNs of another partition: China, GovCloud and the commercial regions are separate."""
    region = text(data, "region")
    if not is_region(region):
        return
    wanted = {"cn": "aws-cn", "us-gov": "aws-us-gov"}.get(region.rsplit("-", 2)[0], "aws")
    if region.split("-")[0] == "eusc" or "-iso" in region:
        return  # the names of these partitions are not publicly documented
    named: list[tuple[Key, str]] = [
        (("access", "admins", index), each) for index, each in texts(section(data, "access"), "admins")
    ]
    for index, each in entries(data, "pod_identities"):
        named.append((("pod_identities", index, "role_arn"), text(each, "role_arn")))
        named += [
            (("pod_identities", index, "policy_arns", place), one)
            for place, one in texts(each, "policy_arns")
        ]
    for key, arn in named:
        partition = arn.split(":")[1] if arn.startswith("arn:aws") and arn.count(":") > 1 else wanted
        if partition != wanted:
            message = f"{quote(arn)} is of partition {partition}; region {region} is of {wanted}"
            yield _refused(key, message, f"write arn:{wanted}:{arn.split(':', 2)[2]}")


def _example(resource: str) -> str:
    return f"for example arn:aws:iam::123456789012:{resource}"


def _refused(key: Key, message: str, fix: str) -> Problem:
    return Problem(key, "arn", message, fix)
