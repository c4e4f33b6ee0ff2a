"""Which of a policy's actions are not allowed, as IAM's policy simulator says. Reads only.

The simulator knows the policies of the identity, its groups, its boundary and its organisation; it does not know those
of keys and buckets. It is asked about resources as provision names them, with its tags.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from provision.providers.eks.aws.calls import together
from provision.providers.eks.checks.preflight_facts import Denied

if TYPE_CHECKING:
    from types_boto3_iam.type_defs import ContextEntryTypeDef

    from provision.providers.eks.aws.account import Account
    from provision.providers.eks.facts import Identity

# Actions per call: AWS takes at most some hundred, and answers slowly for many.
_AT_ONCE = 50
# Without these a run says less, and does the same.
_ADVICE = frozenset({"pricing:GetProducts", "servicequotas:GetServiceQuota", "iam:SimulatePrincipalPolicy"})
_STAR = re.compile(r"\*+")


@dataclass(frozen=True, slots=True)
class _Case:
    """Actions, and resources that they are meant for: not each action for each resource."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]


def denied(
    policy: Mapping[str, Any], account: Account, identity: Identity, *, region: str
) -> tuple[Denied, ...]:
    """Actions of the policy (an IAM policy document) that the identity may not do, sorted by name.

    An action is denied if it is allowed on none of its statement's resources; for certain, if the identity's own
    policies asked for nothing that the simulator was not told. Raises what botocore raises
    (iam:SimulatePrincipalPolicy, iam:GetRole).
    """
    who = principal(account, identity)
    if who is None:
        return ()
    context = {**_context(policy), "aws:RequestedRegion": region}
    certain: dict[str, bool] = {}
    for answer in together([partial(_ask, account, who, case, context) for case in _cases(policy)]):
        for action, verdicts in answer.items():
            if "allowed" not in verdicts:
                certain[action] = certain.get(action, False) or _SURE in verdicts
    return tuple(Denied(action, certain[action]) for action in sorted(certain))


def principal(account: Account, identity: Identity) -> str | None:
    """The ARN that the simulator takes: of a user or role. None for root, who may do everything, and federated users.

    The ARN of a session does not tell the path of its role, which IAM is asked for.
    """
    kind, _, name = identity.arn.split(":", 5)[5].partition("/")
    if kind == "user":
        return identity.arn
    if kind != "assumed-role":
        return None
    role = name.partition("/")[0]
    return account.client("iam").get_role(RoleName=role)["Role"]["Arn"]


def _cases(policy: Mapping[str, Any]) -> Iterator[_Case]:
    """Statements about the same resources together."""
    actions: dict[tuple[str, ...], dict[str, None]] = {}
    for statement in policy["Statement"]:
        resources = tuple(_example(one) for one in _listed(statement["Resource"]))
        actions.setdefault(resources, {}).update(dict.fromkeys(_listed(statement["Action"])))
    for resources, named in actions.items():
        asked = [action for action in named if "*" not in action and action not in _ADVICE]
        for start in range(0, len(asked), _AT_ONCE):
            yield _Case(tuple(asked[start : start + _AT_ONCE]), resources)


def _example(pattern: str) -> str:
    """A resource that the pattern means: `.../provision-*` becomes `.../provision-x`. "*" stays what it is."""
    return pattern if pattern == "*" else _STAR.sub("x", pattern)


def _context(policy: Mapping[str, Any]) -> dict[str, str]:
    """What our calls fulfil: the first value that each condition names."""
    return {
        key: _example(str(_listed(value)[0]))
        for statement in policy["Statement"]
        for conditions in statement.get("Condition", {}).values()
        for key, value in conditions.items()
    }


_SURE, _UNSURE = "denied", "denied, as far as is known"


def _ask(account: Account, who: str, case: _Case, context: Mapping[str, str]) -> dict[str, set[str]]:
    """What is said of each action, about any of the resources."""
    entries: list[ContextEntryTypeDef] = [
        {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}
        for key, value in sorted(context.items())
    ]
    pages = (
        account.client("iam")
        .get_paginator("simulate_principal_policy")
        .paginate(
            PolicySourceArn=who,
            ActionNames=list(case.actions),
            ResourceArns=list(case.resources),
            ContextEntries=entries,
        )
    )
    said: dict[str, set[str]] = {}
    for result in (result for page in pages for result in page["EvaluationResults"]):
        parts = result.get("ResourceSpecificResults") or ()
        decisions = [part["EvalResourceDecision"] for part in parts] or [result["EvalDecision"]]
        unknown = result.get("MissingContextValues") or [
            key for part in parts for key in part.get("MissingContextValues", ())
        ]
        no = _UNSURE if unknown else _SURE
        verdicts = {"allowed" if decision == "allowed" else no for decision in decisions}
        said.setdefault(result["EvalActionName"], set()).update(verdicts)
    return said


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
