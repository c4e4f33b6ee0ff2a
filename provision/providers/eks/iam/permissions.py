"""Find the actions of a policy that the credentials lack, by IAM's policy simulator. Reads only.

The simulator evaluates the policies of the identity, its groups, its boundary and its organisation, not those of keys
and buckets. It is given resources as provision names and tags them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from provision.providers.eks.aws.calls import together

if TYPE_CHECKING:
    from types_boto3_iam.type_defs import ContextEntryTypeDef

    from provision.providers.eks.aws.account import Account
    from provision.providers.eks.facts import Identity

# Actions per call: AWS accepts at most some hundred, and answers slowly for many.
_PER_CALL = 50
# Without these a run reports less and does the same.
_OPTIONAL = frozenset({"pricing:GetProducts", "servicequotas:GetServiceQuota", "iam:SimulatePrincipalPolicy"})
_STAR = re.compile(r"\*+")


@dataclass(frozen=True, slots=True)
class Denied:
    """An action that the credentials lack. Not certain if a policy has a condition that only a real call fulfils."""

    action: str
    certain: bool


@dataclass(frozen=True, slots=True)
class _Case:
    """Actions, and resources that they apply to: not each action to each resource."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]


def denied(
    policy: Mapping[str, Any], account: Account, identity: Identity, *, region: str
) -> tuple[Denied, ...]:
    """Return the actions of the policy (an IAM policy document) that the identity lacks, sorted by name.

    An action is denied if it is allowed on none of its statement's resources; for certain, if the identity's own
    policies have no condition whose value the simulator was not given. Raises what botocore raises
    (iam:SimulatePrincipalPolicy, iam:GetRole).
    """
    arn = principal(account, identity)
    if arn is None:
        return ()
    context = {**_context(policy), "aws:RequestedRegion": region}
    certain: dict[str, bool] = {}
    for answer in together([partial(_simulate, account, arn, case, context) for case in _cases(policy)]):
        for action, decisions in answer.items():
            if "allowed" not in decisions:
                certain[action] = certain.get(action, False) or _CERTAIN in decisions
    return tuple(Denied(action, certain[action]) for action in sorted(certain))


def principal(account: Account, identity: Identity) -> str | None:
    """ARN of the user or role for the simulator. None for root, which may do everything, and federated users.

    The ARN of a session lacks the path of its role, which is read from IAM.
    """
    kind, _, name = identity.arn.split(":", 5)[5].partition("/")
    if kind == "user":
        return identity.arn
    if kind != "assumed-role":
        return None
    role = name.partition("/")[0]
    return account.client("iam").get_role(RoleName=role)["Role"]["Arn"]


def _cases(policy: Mapping[str, Any]) -> Iterator[_Case]:
    """Merge statements about the same resources."""
    actions: dict[tuple[str, ...], dict[str, None]] = {}
    for statement in policy["Statement"]:
        resources = tuple(_example(one) for one in _listed(statement["Resource"]))
        actions.setdefault(resources, {}).update(dict.fromkeys(_listed(statement["Action"])))
    for resources, named in actions.items():
        asked = [action for action in named if "*" not in action and action not in _OPTIONAL]
        for start in range(0, len(asked), _PER_CALL):
            yield _Case(tuple(asked[start : start + _PER_CALL]), resources)


def _example(pattern: str) -> str:
    """A resource that matches the pattern: `.../provision-*` becomes `.../provision-x`; "*" stays."""
    return pattern if pattern == "*" else _STAR.sub("x", pattern)


def _context(policy: Mapping[str, Any]) -> dict[str, str]:
    """Condition keys as provision's calls have them: the first value that each condition names."""
    return {
        key: _example(str(_listed(value)[0]))
        for statement in policy["Statement"]
        for conditions in statement.get("Condition", {}).values()
        for key, value in conditions.items()
    }


_CERTAIN, _UNCERTAIN = "denied", "denied, as far as is known"


def _simulate(account: Account, arn: str, case: _Case, context: Mapping[str, str]) -> dict[str, set[str]]:
    """The decisions on each action, for any of the resources."""
    entries: list[ContextEntryTypeDef] = [
        {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}
        for key, value in sorted(context.items())
    ]
    pages = (
        account.client("iam")
        .get_paginator("simulate_principal_policy")
        .paginate(
            PolicySourceArn=arn,
            ActionNames=list(case.actions),
            ResourceArns=list(case.resources),
            ContextEntries=entries,
        )
    )
    decided: dict[str, set[str]] = {}
    for result in (result for page in pages for result in page["EvaluationResults"]):
        parts = result.get("ResourceSpecificResults") or ()
        decisions = [part["EvalResourceDecision"] for part in parts] or [result["EvalDecision"]]
        unknown = result.get("MissingContextValues") or [
            key for part in parts for key in part.get("MissingContextValues", ())
        ]
        no = _UNCERTAIN if unknown else _CERTAIN
        outcomes = {"allowed" if decision == "allowed" else no for decision in decisions}
        decided.setdefault(result["EvalActionName"], set()).update(outcomes)
    return decided


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
