"""Why a region does not answer: it does not exist, or the account has not switched it on.

Asked only when a look at the account has failed: a region that answers is one.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from provision.model import Finding

if TYPE_CHECKING:
    from provision.eks.account import Account

# Regions that every account has, by partition: they know of the others.
_HOMES = {"aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}


def region_problem(account: Account) -> Finding | None:
    """What is wrong with the account's region, None if that is not why it does not answer, or nobody knows.

    One call at most, and none for a region that botocore has never heard of and that has a name like one it knows.
    """
    session, region = account.session, account.region
    partitions = session.get_available_partitions()
    known = {name: part for part in partitions for name in session.get_available_regions("eks", part)}
    if region not in known:
        close = difflib.get_close_matches(region, known, n=1)
        if not close:
            return None
        return _finding(f"there is no region {region}", f"did you mean {close[0]}?")
    ec2 = account.client("ec2", region=_HOMES.get(known[region], region))
    try:
        found = ec2.describe_regions(AllRegions=True, Filters=[{"Name": "region-name", "Values": [region]}])
    except (ClientError, BotoCoreError):
        return None
    if any(one.get("OptInStatus") == "not-opted-in" for one in found["Regions"]):
        return _finding(
            f"the region {region} is not switched on in this account",
            f"aws account enable-region --region-name {region} (it takes some minutes), or use another region",
        )
    return None


def _finding(message: str, fix: str) -> Finding:
    return Finding(severity="error", check="region", where="", key="region", message=message, fix=fix)
