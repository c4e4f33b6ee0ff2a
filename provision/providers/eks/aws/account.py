"""The AWS account: the only place that makes clients of boto3.

Credentials, region and endpoint are what boto3 finds as usual: the environment, ~/.aws, AWS_ENDPOINT_URL.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, overload

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import ProfileNotFound

from provision.errors import FileError

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

# Seconds and tries. Standard mode backs off exponentially and retries throttling and lost connections.
_CONNECT, _READ, _TRIES = 5, 30, 8
_NO_RETRIES: Any = {"mode": "standard", "total_max_attempts": 1}
# Connections kept per client: an observation reads this many things at the same time.
_CONNECTIONS = 16


@dataclass(frozen=True, slots=True)
class Account:
    """One set of credentials in one region. Clients may be used by several threads at once."""

    region: str
    session: boto3.Session = field(repr=False)
    _clients: dict[tuple[str, str, bool], object] = field(default_factory=dict, repr=False, compare=False)
    # A session is not safe to make clients by several threads at once; a client may be used by several.
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
        """The client of a service, made once; nothing is contacted. `region` only where it is not the account's.

        `once`: one that tries nothing again. A lost answer does not say whether something was made, and EC2 and IAM
        make it twice if asked twice.
        """
        key = (service, region or self.region, once)
        with self._lock:
            if key not in self._clients:
                config = self.config.merge(Config(retries=_NO_RETRIES)) if once else self.config
                client = self.session.client(service, region_name=key[1], config=config)  # type: ignore[call-overload]
                # Two threads that load its classes of errors at the same time raise the ones and catch the others.
                _ = client.exceptions
                self._clients[key] = client
            return self._clients[key]

    @property
    def signer(self) -> botocore.session.Session:
        """What signs without a client."""
        return self.session._session  # noqa: SLF001  (boto3 hands it to nobody)

    def renewed(self) -> Account:
        """The same account with credentials read anew: what the environment or ~/.aws says now."""
        old = self.signer  # for its loader of API models
        session = botocore.session.Session(profile=old.profile)
        session.register_component("data_loader", old.get_component("data_loader"))
        return Account(self.region, boto3.Session(botocore_session=session, region_name=self.region))


def account_of(cluster: EksCluster) -> Account:
    """The account of the credentials that are found; nothing is contacted. Raises FileError for an unknown profile."""
    try:
        return Account(
            cluster.region, boto3.Session(profile_name=cluster.profile, region_name=cluster.region)
        )
    except ProfileNotFound as error:
        raise FileError(
            f"profile {cluster.profile or error.kwargs['profile']} is in neither ~/.aws/config nor ~/.aws/credentials",
            fix="write it with `aws configure --profile NAME`, or mend `profile` in the cluster file or AWS_PROFILE",
        ) from None
