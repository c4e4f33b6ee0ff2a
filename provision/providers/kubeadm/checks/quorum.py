"""Is etcd's majority safe: before a control plane joins, and before one leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.model.plan import Finding
from provision.model.units import enumerated
from provision.providers.kubeadm.facts.etcd import Voter, majority, voters
from provision.providers.kubeadm.steps import role_vars
from provision.providers.kubeadm.steps.context import new_nodes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from provision.model.cluster import Cluster
    from provision.providers.kubeadm.facts.host import Observation


def health(cluster: Cluster, observation: Observation) -> Iterator[Finding]:
    """Members that are not well: an error where a control plane is to join, for that needs all of them."""
    members = voters(cluster, observation)
    new = {host.name for host, _ in new_nodes(cluster, observation)}
    joins = [host.name for host in cluster.control_planes_among(new)]
    # What an interrupted join left is cleaned up by the next one.
    ill = [member for member in members if member.problem and member.host not in joins]
    if not ill:
        return
    voting = [member for member in members if not member.learner]
    if _well(voting) < majority(len(voting)):
        yield (Finding.error if new else Finding.warning)("etcd-quorum", "", _lost(voting), _start_them(ill))
        return
    for member in ill:
        message = f"the etcd member {member.name} is not well: {member.problem}"
        if joins:  # the cluster's matter then: a command may be about those that join alone
            yield Finding.error(
                "etcd-member",
                "",
                f"{message}; {enumerated(joins)} can join only when etcd is healthy",
                _way_out(member),
            )
        else:
            yield Finding.warning("etcd-member", member.host, message, _way_out(member))


def strangers(cluster: Cluster, observation: Observation) -> Iterator[Finding]:
    """Members that no host of the file runs: each counts in every majority."""
    for member in voters(cluster, observation):
        if not member.host and not member.problem:
            yield Finding.warning(
                "etcd-stranger",
                "",
                f"etcd has the member {member.name}, which is no host of the file",
                f"write {member.name} into the file; then, if its machine is gone for good: "
                f"`provision node remove {member.name} --force`",
            )


def last(cluster: Cluster, gone: Collection[str]) -> Iterator[Finding]:
    """An error if no control plane of the file stays; needs nothing that was seen."""
    names = [host.name for host in cluster.control_planes]
    if names and all(name in gone for name in names):
        yield Finding.error(
            "last-control-plane",
            names[0],
            "it is the last control plane; without it there is no cluster",
            "add another one first, or remove the whole cluster with `provision reset`",
        )


def removal(cluster: Cluster, observation: Observation, gone: Collection[str]) -> Iterator[Finding]:
    """Whether the control planes among the names `gone` may leave; `cluster` is the file with them still in it."""
    leaving = cluster.control_planes_among(gone)
    staying = [host.name for host in cluster.control_planes if host.name not in gone]
    if not leaving:
        return
    first = leaving[0].name
    if not staying:
        yield from last(cluster, gone)
        return
    for host in leaving:
        if role_vars.endpoint_host(cluster) in (host.name, host.address):
            yield Finding.error(
                "endpoint-leaves",
                host.name,
                f"the endpoint {role_vars.endpoint(cluster)} is its own address: clients would lose the cluster",
                "write an endpoint that stays (a load balancer's, `{vip: ADDRESS}`, or `local`), "
                "`provision apply`, then try again",
            )
    yield from _majority_stays(voters(cluster, observation), gone, first)
    if len(staying) % 2 == 0:
        yield Finding.warning(
            "control-planes",
            "",
            f"{len(staying)} control planes stay; they tolerate no more failures than {len(staying) - 1}",
            f"add one, or use {len(staying) - 1}",
        )


def _majority_stays(members: Sequence[Voter], gone: Collection[str], first: str) -> Iterator[Finding]:
    if not members:
        yield Finding.error(
            "etcd-silent",
            first,
            "no member of etcd answers on the control planes that were looked at, so none can leave safely",
            "start the machines of the control planes; `provision status` says how they are",
        )
        return
    voting = [member for member in members if not member.learner]
    staying = [member for member in voting if member.host not in gone]
    ill = [member for member in staying if member.problem]
    if _well(voting) < majority(len(voting)):
        yield Finding.error("etcd-quorum", first, _lost(voting), _start_them(ill or voting))
    elif _well(staying) < majority(len(staying)):
        yield Finding.error(
            "etcd-quorum",
            first,
            f"without it etcd would lose its quorum: {majority(len(staying))} of the {len(staying)} members that "
            f"stay have to be well, and {_told(staying)}",
            _start_them(ill),
        )
    elif ill and any(member.healthy for member in voting if member.host in gone):
        yield Finding.error(
            "etcd-member",
            first,
            f"{enumerated([member.name for member in ill])} of etcd is not well ({ill[0].problem}); "
            "a healthy member does not leave before that",
            _way_out(ill[0]),
        )


def _well(members: Sequence[Voter]) -> int:
    """How many are well; those whose hosts were not looked at count, for the module asks them again."""
    return sum(not member.problem for member in members)


def _lost(voting: Sequence[Voter]) -> str:
    return (
        f"etcd has lost its quorum: {majority(len(voting))} of {len(voting)} members have to be well, "
        f"and {_told(voting)}"
    )


def _told(members: Sequence[Voter]) -> str:
    well = [member.name for member in members if not member.problem]
    ill = [f"{member.name} is not ({member.problem})" for member in members if member.problem]
    return "; ".join(
        [f"{enumerated(well)} {'is' if len(well) == 1 else 'are'} well" if well else "none is", *ill]
    )


def _start_them(ill: Sequence[Voter]) -> str:
    hosts = enumerated([member.host or member.name for member in ill])
    return (
        f"start {hosts} again; if that is impossible, the way back is a snapshot of /var/lib/provision/etcd"
    )


def _way_out(member: Voter) -> str:
    if not member.host:
        return "remove it from etcd if its machine is gone for good"
    lost = f"provision node remove {member.host} --force"
    return f"mend it (`sudo crictl logs` of etcd there); if it is lost for good: `{lost}`"
