"""One look at the account: what is there of the cluster, by tags and by name. Reads only, as few as possible.

What the look costs: one call for the identity, six for the network, one for the roles and two for each, one for the
cluster, five for what is in it and one for each of these; independent ones at the same time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from provision.engine.events import Observed
from provision.providers.eks.aws.account import read_error
from provision.providers.eks.aws.calls import together
from provision.providers.eks.eksctl import ownership as eksctl
from provision.providers.eks.facts import Identity, Network, Observation
from provision.providers.eks.readers import cluster as clusters
from provision.providers.eks.readers import network as networks
from provision.providers.eks.readers import offers, parts, roles

if TYPE_CHECKING:
    from provision.engine.events import Emit
    from provision.model.eks import EksCluster
    from provision.providers.eks.aws.account import Account
    from provision.providers.eks.facts import ClusterFacts, RoleFacts

T = TypeVar("T")


def observe(cluster: EksCluster, account: Account, emit: Emit) -> Observation:
    """What the account shows of the cluster. Emits an Observed event for each part.

    Raises UnreachableError if AWS cannot be reached or does not know the credentials, CheckError if they may not read
    something.
    """
    at = time.time()

    def timed(what: str, read: Callable[[], T]) -> T:
        started = time.monotonic()
        found = read()
        emit(Observed(host=what, seconds=time.monotonic() - started))
        return found

    identity: list[Identity] = []
    network: list[Network] = []
    role: list[tuple[RoleFacts, ...]] = []
    inside: list[Observation] = []
    try:
        # The identity comes first and alone: with wrong credentials there is one error, not nine.
        identity.append(timed("identity", lambda: read_identity(account)))
        seen = Observation(at=at, identity=identity[0])
        together(
            [
                lambda: network.append(timed("network", lambda: networks.read(cluster, account))),
                lambda: role.append(timed("roles", lambda: roles.read(cluster, account))),
                lambda: inside.append(timed("cluster", lambda: _read_cluster(cluster, account, seen))),
            ]
        )
    except (ClientError, BotoCoreError) as error:
        raise read_error(account, error) from error
    return replace(inside[0], network=network[0], roles=role[0])


def read_identity(account: Account) -> Identity:
    """Whose credentials these are; raises what boto3 raises."""
    who = account.client("sts").get_caller_identity()
    return Identity(account=who["Account"], arn=who["Arn"])


def _read_cluster(cluster: EksCluster, account: Account, seen: Observation) -> Observation:
    """With the cluster, and its parts if it is ours and there is an API to ask."""
    found = clusters.read(cluster.name, account)
    by_eksctl = cluster.backend == "eksctl"
    if found is not None and by_eksctl:
        found = eksctl.own_cluster(found)
    if found is None or not _has_parts(found):
        return replace(seen, cluster=found)
    inside = parts.read(cluster.name, account)
    seen = replace(
        seen,
        cluster=found,
        node_groups=inside.node_groups,
        fargate_profiles=inside.fargate_profiles,
        addons=inside.addons,
        access_entries=inside.access_entries,
        pod_identities=inside.pod_identities,
    )
    if by_eksctl:
        seen = eksctl.own_parts(cluster, seen)
    return replace(seen, offers=offers.read(cluster, account, seen))


def _has_parts(cluster: ClusterFacts) -> bool:
    return cluster.owned and cluster.status != "FAILED"
