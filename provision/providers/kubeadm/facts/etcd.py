"""etcd as its members report it: which members there are, which are healthy, and whether they have a quorum. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provision.model.cluster import Cluster
    from provision.providers.kubeadm.facts.host import EtcdMember, HostFacts, Observation


@dataclass(frozen=True, slots=True, kw_only=True)
class Voter:
    """A member and the host of the file that it runs on ("" if it is none of them).

    `problem` says what is wrong with it, "" if nothing is; `known` is false where its host was not observed.
    """

    name: str
    host: str
    leader: bool
    learner: bool
    problem: str
    known: bool = True

    @property
    def healthy(self) -> bool:
        return self.known and not self.problem


def majority(count: int) -> int:
    """How many of `count` members have to agree."""
    return count // 2 + 1


def silence(facts: HostFacts) -> str:
    """Why the API server of a host does not answer: its own error, and etcd's where that is behind it."""
    error = facts.api.error if facts.api else ""
    if facts.etcd is None or facts.etcd.healthy:
        return error
    if facts.etcd.error:
        return f"{error}; its etcd does not answer either: {facts.etcd.error}"
    others = [
        member.name or ", ".join(member.peers) for member in facts.etcd.members if member.id != facts.etcd.id
    ]
    return f"{error}; its etcd reaches no majority ({facts.etcd.reason}): {', '.join(others)} may be down"


def voters(cluster: Cluster, observation: Observation) -> tuple[Voter, ...]:
    """Every member as the etcd of a host reports them, of a healthy one if possible; () while none answers."""
    answers = [
        facts.etcd for facts in observation.hosts.values() if facts.etcd is not None and not facts.etcd.error
    ]
    if not answers:
        return ()
    best = max(answers, key=lambda answer: answer.healthy)
    return tuple(_voter(cluster, observation, one, one.id == best.leader) for one in best.members)


def _voter(cluster: Cluster, observation: Observation, member: EtcdMember, leader: bool) -> Voter:  # noqa: FBT001
    host = next((one.name for one in cluster.hosts if _is_on(member, one.name, one.address)), "")
    problem, known = "", True
    facts = observation.hosts.get(host)
    if not member.name:
        problem = "it was announced and never started"
    elif facts is None:
        known = False
    elif facts.etcd is None:
        problem = "its host has no etcd (any more)"
    elif facts.etcd.error:
        problem = facts.etcd.error
    elif facts.etcd.id != member.id:
        problem = "its host runs another member"
    elif not facts.etcd.healthy:
        problem = facts.etcd.reason or "it reaches no majority"
    elif member.learner:
        problem = "it is a learner still"
    name = member.name or host or ", ".join(member.peers)
    return Voter(name=name, host=host, leader=leader, learner=member.learner, problem=problem, known=known)


def _is_on(member: EtcdMember, name: str, address: str) -> bool:
    return member.name == name if member.name else address in member.peers
