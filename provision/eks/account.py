"""The AWS account: the only place that makes clients of boto3.

Credentials, region and endpoint are what boto3 finds as usual: the environment, ~/.aws, AWS_ENDPOINT_URL.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from provision.eks.model import EksCluster

# Seconds and tries. Standard mode backs off exponentially and retries throttling and lost connections.
_CONNECT, _READ, _TRIES = 5, 30, 8


@dataclass(frozen=True, slots=True)
class Account:
    """One set of credentials in one region. Clients may be used by several threads at once."""

    region: str
    session: boto3.Session = field(repr=False)

    @property
    def config(self) -> Config:
        retries = {"mode": "standard", "total_max_attempts": _TRIES}
        return Config(connect_timeout=_CONNECT, read_timeout=_READ, retries=retries)  # type: ignore[arg-type]


def account_of(cluster: EksCluster) -> Account:
    """The account of the credentials that are found; nothing is contacted."""
    return Account(cluster.region, boto3.Session(profile_name=cluster.profile, region_name=cluster.region))
