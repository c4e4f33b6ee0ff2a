"""Service quotas: values set by tests, and defaults of a new account."""

from __future__ import annotations

from typing import Any

from tests.aws.failures import AwsError
from tests.aws.states import QUOTAS, States
from tests.aws.wire import Operation


def _quota(states: States, operation: Operation, code: str, *, default: bool) -> dict[str, Any]:
    service, name, usual = QUOTAS[code]
    return {
        "ServiceCode": service,
        "ServiceName": service,
        "QuotaArn": f"arn:aws:servicequotas:{operation.region}:123456789012:{service}/{code}",
        "QuotaCode": code,
        "QuotaName": name,
        "Value": usual if default else states.quota_of(code),
        "Unit": "None",
        "Adjustable": True,
        "GlobalQuota": False,
    }


def _asked(params: dict[str, Any]) -> str:
    code = str(params["QuotaCode"])
    if code not in QUOTAS or QUOTAS[code][0] != params["ServiceCode"]:
        raise AwsError(
            "NoSuchResourceException", "The request failed because the specified quota does not exist."
        )
    return code


def get_service_quota(states: States, operation: Operation, params: dict[str, Any]) -> dict[str, Any]:
    return {"Quota": _quota(states, operation, _asked(params), default=False)}


def get_aws_default_service_quota(
    states: States, operation: Operation, params: dict[str, Any]
) -> dict[str, Any]:
    return {"Quota": _quota(states, operation, _asked(params), default=True)}


def list_service_quotas(states: States, operation: Operation, params: dict[str, Any]) -> dict[str, Any]:
    codes = [code for code, (service, *_) in QUOTAS.items() if service == params["ServiceCode"]]
    return {"Quotas": [_quota(states, operation, code, default=False) for code in codes]}
