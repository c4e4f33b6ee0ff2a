"""Steps that take control planes out of etcd, and correct whatever still points at them. Pure.

The plan of `node remove` and `node replace` calls these by name, in this order: drain-nodes, remove-etcd-members,
delete-nodes, reset-hosts, then update-endpoint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.model.plan import Reason
from provision.providers.kubeadm.facts.etcd import voters
from provision.providers.kubeadm.steps import role_vars as desired
from provision.providers.kubeadm.steps.context import step
from provision.providers.kubeadm.steps.endpoint import astray, install_step, update_step

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from provision.model.cluster import Cluster
    from provision.model.plan import PlaybookStep
    from provision.providers.kubeadm.facts.host import Observation


def survivor(cluster: Cluster, seen: Observation, gone: Collection[str]) -> str:
    """The healthy control plane to work through while those of the names `gone` leave; "" if none answers.

    `cluster` is the file with them still in it.
    """
    for host in cluster.control_planes:
        facts = seen.hosts.get(host.name)
        if host.name not in gone and facts is not None and facts.speaks:
            return host.name
    return ""


def remove_etcd_members(
    cluster: Cluster, seen: Observation, gone: Collection[str], *, needs: tuple[str, ...] = ()
) -> Iterator[PlaybookStep]:
    """The step `remove-etcd-members` for the control planes among the names `gone`; nothing if none is a member.

    `cluster` is the file with them still in it, `seen` need not hold them: their machines may be lost. etcd is
    saved first. `needs` are the steps before it (drain-nodes).
    """
    through = survivor(cluster, seen, gone)
    known = {voter.host for voter in voters(cluster, seen)}
    # Where nothing was seen of etcd the module finds out: a member that is gone already is no change.
    leaving = [host for host in cluster.control_planes_among(gone) if host.name in known or not known]
    if not through:
        return
    yield from step(
        "remove-etcd-members",
        "Save etcd, and take out the members that leave",
        needs=needs,
        hosts=(through,),
        reasons=tuple(Reason(host.name, "leaves, and is a member of etcd") for host in leaving),
        variables={"etcd_member_gone": [{"name": host.name, "address": host.address} for host in leaving]},
    )


def update_endpoint(
    cluster: Cluster, seen: Observation, gone: Collection[str], *, needs: tuple[str, ...] = ()
) -> Iterator[PlaybookStep]:
    """The steps `install-endpoint` and `update-endpoint` after the control planes among the names `gone` left.

    Nothing where nobody pointed at them: the endpoint of others stays, and so does everything that names it. Behind
    load balancers of ours every host that was seen forgets them. `cluster` is the file with them still in it.
    `needs` are the steps before these (delete-nodes, reset-hosts).
    """
    leaving = cluster.control_planes_among(gone)
    through = survivor(cluster, seen, gone)
    if not leaving or not through:
        return
    after = cluster.model_copy(
        update={"hosts": tuple(host for host in cluster.hosts if host.name not in gone)}
    )
    names = ", ".join(host.name for host in leaving)
    forgets = [
        Reason(host.name, f"its load balancer still has {names}")
        for host in after.hosts
        if host.name in seen.hosts and desired.balancer(after, host)
    ]
    yield from install_step(after, seen, forgets, needs=needs)
    reasons = [Reason(through if one.host in gone else one.host, one.what) for one in astray(after, seen)]
    names_in_certificates = (seen.cluster.kubeadm if seen.cluster else {}).get("apiServer") or {}
    stale = {host.name for host in leaving} | {host.address for host in leaving}
    if stale & set(names_in_certificates.get("certSANs") or []):
        reasons.append(Reason(through, f"kubeadm's configuration still names {names}"))
    yield from update_step(after, seen, reasons, through=through, needs=(*needs, "install-endpoint"))
