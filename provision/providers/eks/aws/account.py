"""The AWS account: the only module that creates boto3 clients, and why its region does not answer.

Credentials, region and endpoint come from where boto3 looks for them: the environment, ~/.aws, AWS_ENDPOINT_URL.
"""

from __future__ import annotations

import difflib
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, overload

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ProfileNotFound

from provision.errors import CheckError, FileError, ProvisionError
from provision.model.plan import Finding
from provision.providers.eks.aws.errors import UNKNOWN_KEYS, as_error, code_of

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client
    from types_boto3_eks import EKSClient
    from types_boto3_elb import ElasticLoadBalancingClient
    from types_boto3_elbv2 import ElasticLoadBalancingv2Client
    from types_boto3_iam import IAMClient
    from types_boto3_kms import KMSClient
    from types_boto3_pricing import PricingClient
    from types_boto3_resourcegroupstaggingapi import ResourceGroupsTaggingAPIClient
    from types_boto3_service_quotas import ServiceQuotasClient
    from types_boto3_ssm import SSMClient
    from types_boto3_sts import STSClient

    from provision.model.eks import EksCluster

# Seconds and attempts. Standard mode backs off exponentially and retries throttling and lost connections.
_CONNECT, _READ, _TRIES = 5, 30, 8
_NO_RETRIES: Any = {"mode": "standard", "total_max_attempts": 1}
# Connections kept per client: an observation makes this many calls at the same time.
_CONNECTIONS = 16
# Error codes of a region that is not enabled in the account: its keys are unknown there.
_MAYBE_DISABLED = UNKNOWN_KEYS | {"OptInRequired"}
# Regions enabled in every account, by partition: they list the others.
_HOMES = {"aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}


@dataclass(frozen=True, slots=True)
class Account:
    """One set of credentials in one region. Clients may be used by several threads at once."""

    region: str
    session: boto3.Session = field(repr=False)
    _clients: dict[tuple[str, str, bool], object] = field(default_factory=dict, repr=False, compare=False)
    # Sessions are not thread-safe when they create clients; clients are.
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @property
    def config(self) -> Config:
        retries = {"mode": "standard", "total_max_attempts": _TRIES}
        return Config(
            connect_timeout=_CONNECT,
            read_timeout=_READ,
            retries=retries,  # type: ignore[arg-type]
            max_pool_connections=_CONNECTIONS,
        )

    @overload
    def client(self, service: Literal["ec2"], *, region: str = "", once: bool = False) -> EC2Client: ...
    @overload
    def client(self, service: Literal["eks"], *, region: str = "", once: bool = False) -> EKSClient: ...
    @overload
    def client(
        self, service: Literal["elb"], *, region: str = "", once: bool = False
    ) -> ElasticLoadBalancingClient: ...
    @overload
    def client(
        self, service: Literal["elbv2"], *, region: str = "", once: bool = False
    ) -> ElasticLoadBalancingv2Client: ...
    @overload
    def client(self, service: Literal["iam"], *, region: str = "", once: bool = False) -> IAMClient: ...
    @overload
    def client(self, service: Literal["kms"], *, region: str = "", once: bool = False) -> KMSClient: ...
    @overload
    def client(
        self, service: Literal["pricing"], *, region: str = "", once: bool = False
    ) -> PricingClient: ...
    @overload
    def client(
        self, service: Literal["resourcegroupstaggingapi"], *, region: str = "", once: bool = False
    ) -> ResourceGroupsTaggingAPIClient: ...
    @overload
    def client(
        self, service: Literal["service-quotas"], *, region: str = "", once: bool = False
    ) -> ServiceQuotasClient: ...
    @overload
    def client(self, service: Literal["ssm"], *, region: str = "", once: bool = False) -> SSMClient: ...
    @overload
    def client(self, service: Literal["sts"], *, region: str = "", once: bool = False) -> STSClient: ...

    def client(self, service: str, *, region: str = "", once: bool = False) -> object:
        """Return the client of a service, created once, without contacting it. `region`: default the account's.

        `once`: without retries. A lost answer leaves open whether a resource was created, and EC2 and IAM create a
        second one when the request is repeated.
        """
        key = (service, region or self.region, once)
        with self._lock:
            if key not in self._clients:
                config = self.config.merge(Config(retries=_NO_RETRIES)) if once else self.config
                client = self.session.client(service, region_name=key[1], config=config)  # type: ignore[call-overload]
                # Loaded by two threads at a time there would be two sets of classes: one raised, the other caught.
                _ = client.exceptions
                self._clients[key] = client
            return self._clients[key]

    @property
    def signer(self) -> botocore.session.Session:
        """The botocore session, which signs requests without a client."""
        return self.session._session  # noqa: SLF001  (boto3 has no public name for it)

    def renewed(self) -> Account:
        """Return the same account with credentials read again from the environment and ~/.aws."""
        old = self.signer  # whose loader of API models is kept
        session = botocore.session.Session(profile=old.profile)
        session.register_component("data_loader", old.get_component("data_loader"))
        return Account(self.region, boto3.Session(botocore_session=session, region_name=self.region))


def account_of(cluster: EksCluster) -> Account:
    """The account of the cluster file's profile, without contacting AWS. Raises FileError for an unknown profile."""
    try:
        return Account(
            cluster.region, boto3.Session(profile_name=cluster.profile, region_name=cluster.region)
        )
    except ProfileNotFound as error:
        raise FileError(
            f"profile {cluster.profile or error.kwargs['profile']} is in neither ~/.aws/config nor ~/.aws/credentials",
            fix="write it with `aws configure --profile NAME`, or correct `profile` in the cluster file or AWS_PROFILE",
        ) from None


def read_error(account: Account, error: ClientError | BotoCoreError) -> ProvisionError:
    """The error of a failed read of the account, with the region as its cause where it is the cause."""
    problem = region_problem(account, ask=code_of(error) in _MAYBE_DISABLED)
    if problem is None:
        return as_error(error)
    return CheckError(problem.message, fix=problem.fix, findings=(problem,))


def region_problem(account: Account, *, ask: bool) -> Finding | None:
    """Why the account's region does not answer: it does not exist or is not enabled. None if that is not known.

    `ask`: request the state of the region from another one, which needs the network and valid credentials.
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
            f"the region {region} is not enabled in this account",
            f"aws account enable-region --region-name {region} (takes some minutes), or use another region",
        )
    return None


def _finding(message: str, fix: str) -> Finding:
    return Finding.error("region", "", message, fix, key="region")
