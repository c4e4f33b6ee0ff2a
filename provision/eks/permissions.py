"""Which of a policy's actions are not allowed, as IAM's policy simulator says. Reads only.

The simulator knows the policies of the identity, its groups, its boundary and its organisation; it does not know those
of keys and buckets. It is asked about resources as provision names them, with its tags.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from provision.eks.preflight_facts import Denied
from provision.eks.threads import together

if TYPE_CHECKING:
    from types_boto3_iam.type_defs import ContextEntryTypeDef, EvaluationResultTypeDef

    from provision.eks.account import Account
    from provision.eks.facts import Identity

# Actions per call: AWS takes at most some hundred, and answers slowly for many.
_AT_ONCE = 50
_STAR = re.compile(r"\*+")


@dataclass(frozen=True, slots=True)
class _Case:
    """Actions on one resource under conditions that a real call would fulfil."""

    actions: tuple[str, ...]
    resource: str
    context: tuple[tuple[str, str], ...]


def denied(
    policy: Mapping[str, Any], account: Account, identity: Identity, *, region: str
) -> tuple[Denied, ...]:
    """Actions of the policy (an IAM policy document) that the identity may not do, sorted by name.

    An action is denied for certain if the simulator missed nothing that the identity's own policies ask for.
    Raises what botocore raises (iam:SimulatePrincipalPolicy, iam:GetRole).
    """
    who = principal(account, identity)
    if who is None:
        return ()
    found: dict[str, Denied] = {}
    for results in together([_asking(account, who, case) for case in _cases(policy, region)]):
        for result in results:
            action = result["EvalActionName"]
            if result["EvalDecision"] != "allowed":
                certain = not result.get("MissingContextValues")
                found[action] = Denied(action, certain or (action in found and found[action].certain))
    return tuple(found[action] for action in sorted(found))


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


def _cases(policy: Mapping[str, Any], region: str) -> Iterable[_Case]:
    for statement in policy["Statement"]:
        actions = [action for action in _listed(statement["Action"]) if "*" not in action]
        context = tuple(sorted({**_context(statement), "aws:RequestedRegion": region}.items()))
        resource = _example(_listed(statement["Resource"])[0])
        for start in range(0, len(actions), _AT_ONCE):
            yield _Case(tuple(actions[start : start + _AT_ONCE]), resource, context)


def _example(pattern: str) -> str:
    """A resource that the pattern means: `.../provision-*` becomes `.../provision-x`. "*" stays what it is."""
    return pattern if pattern == "*" else _STAR.sub("x", pattern)


def _context(statement: Mapping[str, Any]) -> dict[str, str]:
    """What a call of ours fulfils: the first value that each condition names."""
    return {
        key: _example(str(_listed(value)[0]))
        for conditions in statement.get("Condition", {}).values()
        for key, value in conditions.items()
    }


def _asking(account: Account, who: str, case: _Case) -> Any:
    iam = account.client("iam")
    entries: list[ContextEntryTypeDef] = [
        {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}
        for key, value in case.context
    ]

    def ask() -> list[EvaluationResultTypeDef]:
        pages = iam.get_paginator("simulate_principal_policy").paginate(
            PolicySourceArn=who,
            ActionNames=list(case.actions),
            ResourceArns=[case.resource],
            ContextEntries=entries,
        )
        return [result for page in pages for result in page["EvaluationResults"]]

    return ask


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
