"""The policy simulator, which only evaluates `states.deny`."""

from __future__ import annotations

from typing import Any

from tests.aws.states import States
from tests.aws.wire import Operation


def simulate_principal_policy(
    states: States, _operation: Operation, params: dict[str, Any]
) -> dict[str, Any]:
    resources = params.get("ResourceArns", ["*"])
    rows = [
        {
            "EvalActionName": action,
            "EvalResourceName": resource,
            "EvalDecision": "implicitDeny" if action.partition(":")[2] in states.denied else "allowed",
            "MatchedStatements": [],
            "MissingContextValues": [],
        }
        for action in params["ActionNames"]
        for resource in resources
    ]
    return {"EvaluationResults": rows, "IsTruncated": False}
