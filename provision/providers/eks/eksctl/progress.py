"""Parse the output of eksctl: severity and resource of a line, likely cause of a failure. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from provision.providers.eks import names

Level = Literal["progress", "done", "warning", "error"]

# `2026-11-21 13:35:07 [!]  building cluster stack "eksctl-demo-cluster"`, with one of these signs
_LINE = re.compile(r"(?:\d{4}-\d\d-\d\d \d\d:\d\d:\d\d )?\[(.)\]\s+(.*)")
_LEVELS: dict[str, Level] = {"ℹ": "progress", "▶": "progress", "✔": "done", "!": "warning", "✖": "error"}  # noqa: RUF001 (eksctl's sign)
_ERROR = re.compile(r"Error: (.*)")
_RESOURCES: tuple[tuple[re.Pattern[str], Callable[[str], str]], ...] = (
    (re.compile(r'eksctl-[\w-]+?-nodegroup-([\w-]+)"'), names.node_group),
    (re.compile(r'node ?group "?([\w-]+)"'), names.node_group),
    (re.compile(r'eksctl-[\w-]+?-addon-([\w-]+)"'), names.addon),
    (re.compile(r'add-?on:? "?([\w-]+)"?'), names.addon),
    (re.compile(r'[Ff]argate profile "([\w-]+)"'), names.fargate_profile),
)


@dataclass(frozen=True, slots=True)
class Line:
    """One message; `resource` is one of the step."""

    level: Level
    text: str
    resource: str


def read(text: str, resources: tuple[str, ...]) -> Line | None:
    """Return the message of a line, None if it has none. One without a resource belongs to the first."""
    stripped = text.strip()
    if found := _LINE.fullmatch(stripped):
        level, message = _LEVELS.get(found[1], "progress"), found[2].strip()
    elif failed := _ERROR.fullmatch(stripped):
        level, message = "error", failed[1].strip()
    else:
        return None
    return Line(level, message, _resource(message, resources)) if message else None


def _resource(message: str, resources: tuple[str, ...]) -> str:
    for pattern, name in _RESOURCES:
        for found in pattern.finditer(message):
            resource = name(found[1])
            if resource in resources:
                return resource
    return resources[0]


# Patterns in messages of eksctl and AWS: the likely cause and the fix. The more specific come first.
_DELETE = (
    "delete what was created (`eksctl delete cluster --name {name} --region {region} --wait`) and run the same command "
    "again"
)
_CAUSES: tuple[tuple[str, str, str], ...] = (
    (
        r"AlreadyExistsException|already exists",
        "an earlier attempt left a CloudFormation stack behind",
        "{delete}",
    ),
    (
        r"ExpiredToken|security token included in the request is expired|token has expired",
        "the AWS credentials have expired",
        "renew them and run the same command again",
    ),
    (
        r"AccessDenied|UnauthorizedOperation|not authorized to perform",
        "the credentials may not do that",
        "see eksctl's minimum IAM policies: https://docs.aws.amazon.com/eks/latest/eksctl/minimum-iam-policies.html",
    ),
    (
        r"UnsupportedAvailabilityZone",
        "EKS has no capacity for control planes in one of the zones",
        "write `vpc.zones` with the zones that AWS names, then {delete}",
    ),
    (
        r"(?:Address|Vpc|NatGateway|InternetGateway|Vcpu|Instance)LimitExceeded|maximum number of",
        "a quota of the account is used up",
        "delete unused resources or have it raised in Service Quotas, then {delete}",
    ),
    (
        r"exceeded max wait time|timed out|context deadline exceeded",
        "it took longer than an hour",
        "see the stack's events in the CloudFormation console; the same command continues from there",
    ),
    (
        r"unknown field|cannot unmarshal|loading config file",
        "this eksctl does not understand the ClusterConfig",
        "install a newer eksctl, or write `backend: boto3`",
    ),
)


def explain(lines: Iterable[str], *, name: str, region: str) -> tuple[str, str]:
    """Return the likely cause ("" if unknown) and the fix of a failure of the cluster `name`."""
    text = "\n".join(lines)
    for pattern, cause, fix in _CAUSES:
        if re.search(pattern, text):
            return cause, fix.format(delete=_DELETE.format(name=name, region=region))
    return "", "run the same command again: it continues where it stopped"
