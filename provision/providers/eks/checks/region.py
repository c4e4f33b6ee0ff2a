"""Why a region does not answer: it does not exist, or the account has not switched it on.

Asked only when a look at the account has failed: a region that answers is one.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from provision.errors import CheckError, ProvisionError
from provision.model.plan import Finding
from provision.providers.eks.aws.errors import UNKNOWN_KEYS, as_error, code_of

if TYPE_CHECKING:
    from provision.providers.eks.aws.account import Account

# What AWS answers in a region that the account has not switched on: its keys are not known there.
_ASKED_ABOUT = UNKNOWN_KEYS | {"OptInRequired"}
# Regions that every account has, by partition: they know of the others.
_HOMES = {"aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}


def failed_look(account: Account, error: ClientError | BotoCoreError) -> ProvisionError:
    """The error of a look at the account, with the region as its cause where it is the cause."""
    problem = region_problem(account, ask=code_of(error) in _ASKED_ABOUT)
    if problem is None:
        return as_error(error)
    return CheckError(problem.message, fix=problem.fix, findings=(problem,))


def region_problem(account: Account, *, ask: bool) -> Finding | None:
    """What is wrong with the account's region, None if that is not why it does not answer, or nobody knows.

    `ask`: another region, too, whether this one is switched on; it needs the network and good credentials.
    """
    session, region = account.session, account.region
    partitions = session.get_available_partitions()
    known = {name: part for part in partitions for name in session.get_available_regions("eks", part)}
    if region not in known:
        close = difflib.get_close_matches(region, known, n=1)
        if not close:
            return None
        return _finding(f"there is no region {region}", f"did you mean {close[0]}?")
    if not ask:
        return None
    ec2 = account.client("ec2", region=_HOMES.get(known[region], region))
    try:
        found = ec2.describe_regions(AllRegions=True, Filters=[{"Name": "region-name", "Values": [region]}])
    except (ClientError, BotoCoreError):
        return None
    if ("not-opted-in", region) in {
        (one.get("OptInStatus"), one.get("RegionName")) for one in found["Regions"]
    }:
        return _finding(
            f"the region {region} is not switched on in this account",
            f"aws account enable-region --region-name {region} (it takes some minutes), or use another region",
        )
    return None


def _finding(message: str, fix: str) -> Finding:
    return Finding(severity="error", check="region", where="", key="region", message=message, fix=fix)
