"""Observe the account: what is there of the cluster, by tags and by name. Reads only, as few as possible.

Calls: one call for the identity, six for the network, one for the roles and two for each, one for the
cluster, five for what it contains and one for each of these; independent ones at the same time.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from provision.engine.events import Observed
from provision.providers.eks.aws.account import read_error
from provision.providers.eks.aws.calls import together
from provision.providers.eks.eksctl import ownership as eksctl
from provision.providers.eks.facts import Identity, Observation
from provision.providers.eks.resources.access import read_access_entry, read_pod_identity
from provision.providers.eks.resources.addon_upgrades import read_offers
from provision.providers.eks.resources.addons import read_addon
from provision.providers.eks.resources.cluster import read_cluster
from provision.providers.eks.resources.fargate import read_fargate_profile
from provision.providers.eks.resources.network_reads import read_network
from provision.providers.eks.resources.node_groups import read_node_group
from provision.providers.eks.resources.roles import read_roles

if TYPE_CHECKING:
    from collections.abc import Callable

    from provision.engine.events import Emit
    from provision.model.eks import EksCluster
    from provision.providers.eks.aws.account import Account

T = TypeVar("T")


def observe(cluster: EksCluster, account: Account, emit: Emit) -> Observation:
    """Everything about the cluster that the account shows. Emits an Observed event for each part.

    Raises UnreachableError if AWS cannot be reached or does not know the credentials, CheckError if they may not read
    something.
    """
    at = time.time()

    def timed(what: str, read: Callable[[], T]) -> T:
        started = time.monotonic()
        found = read()
        emit(Observed(host=what, seconds=time.monotonic() - started))
        return found

    try:
        # The identity comes first and alone: with wrong credentials there is one error, not nine.
        seen = Observation(at=at, identity=timed("identity", lambda: read_identity(account)))
        reads: dict[str, Callable[[], Any]] = {
            "network": lambda: read_network(cluster, account),
            "roles": lambda: read_roles(cluster, account),
            "cluster": lambda: _read_cluster(cluster, account, seen),
        }
        network, roles, inside = together([partial(timed, *read) for read in reads.items()])
    except (ClientError, BotoCoreError) as error:
        raise read_error(account, error) from error
    found: Observation = inside
    return replace(found, network=network, roles=roles)


def read_identity(account: Account) -> Identity:
    """Whose credentials these are; raises what boto3 raises."""
    who = account.client("sts").get_caller_identity()
    return Identity(account=who["Account"], arn=who["Arn"])


def _read_cluster(cluster: EksCluster, account: Account, seen: Observation) -> Observation:
    """The observation with the cluster, and with its children if provision made it and there is an API to ask."""
    found = read_cluster(cluster.name, account)
    by_eksctl = cluster.backend == "eksctl"
    if found is not None and by_eksctl:
        found = eksctl.own_cluster(found)
    if found is None or not found.owned or found.status == "FAILED":
        return replace(seen, cluster=found)
    seen = replace(seen, cluster=found, **_read_children(cluster.name, account))
    if by_eksctl:
        seen = eksctl.own_parts(cluster, seen)
    return replace(seen, offers=read_offers(cluster, account, seen))


def _read_children(cluster: str, account: Account) -> dict[str, Any]:
    """Node groups ... pod identities of the cluster, whoever made them, by the name of their field."""
    eks = account.client("eks")

    def children(operation: str, key: str, read: Callable[[str, Any, Account], object]) -> tuple[Any, ...]:
        pages: Any = eks.get_paginator(operation)  # type: ignore[call-overload]
        listed = [one for page in pages.paginate(clusterName=cluster) for one in page[key]]
        described = together([partial(read, cluster, name, account) for name in listed])
        return tuple(one for one in described if one is not None)

    kinds: dict[str, tuple[str, str, Callable[[str, Any, Account], object]]] = {
        "node_groups": ("list_nodegroups", "nodegroups", read_node_group),
        "fargate_profiles": ("list_fargate_profiles", "fargateProfileNames", read_fargate_profile),
        "addons": ("list_addons", "addons", read_addon),
        "access_entries": ("list_access_entries", "accessEntries", read_access_entry),
        "pod_identities": ("list_pod_identity_associations", "associations", read_pod_identity),
    }
    found = together([partial(children, *kind) for kind in kinds.values()])
    return dict(zip(kinds, found, strict=True))
