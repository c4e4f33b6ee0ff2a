"""What steps are planned from: the file, what was observed, which hosts are nodes, and which leave. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from provision.model.plan import OnFailure, PlaybookStep, Reason

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from provision.model.cluster import Cluster, Host, Role
    from provision.providers.kubeadm.facts.cluster import ClusterFacts
    from provision.providers.kubeadm.facts.host import HostFacts, Observation


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """`initialise` and `join` say which hosts become nodes, and why; every other host is a node.

    `through` is the control plane that the cluster is reached by: a healthy one, or the one to be initialised.
    """

    initialise: Reason | None
    join: tuple[Reason, ...]
    through: str
    new_nodes: frozenset[str]  # names of hosts in either

    def is_member(self, name: str) -> bool:
        return name not in self.new_nodes


def membership(cluster: Cluster, observation: Observation) -> Membership:
    """Decide from what was observed; hosts that were not observed are taken for nodes."""
    initialise = _initialise(cluster, observation)
    first = initialise.host if initialise else ""
    join = tuple(
        Reason(host.name, why)
        for host in cluster.hosts
        if host.name in observation.hosts and host.name != first
        for why in _join(host, observation.hosts[host.name], observation.cluster)
    )
    observed = cluster.control_planes_among(observation.hosts)
    through = first or observation.source or (observed or cluster.control_planes)[0].name
    new_nodes = frozenset([*(reason.host for reason in join), *([first] if first else [])])
    return Membership(initialise=initialise, join=join, through=through, new_nodes=new_nodes)


def new_nodes(cluster: Cluster, observation: Observation) -> Iterator[tuple[Host, HostFacts]]:
    """Observed hosts of the file that are not nodes yet, in its order."""
    members = membership(cluster, observation)
    for host, facts in observation.observed(cluster.hosts):
        if not members.is_member(host.name):
            yield host, facts


def nodes_of_other_clusters(
    cluster: Cluster, observation: Observation, names: Collection[str]
) -> dict[str, str]:
    """The hosts of these names that are nodes of another cluster, with its API server ("unknown" if not found)."""
    planes = [observation.source, *(host.name for host in cluster.control_planes)]
    hashes = (observation.hosts[name].kubernetes.ca_hash for name in planes if name in observation.hosts)
    authority = next((found for found in hashes if found), "")
    hosts = {name: observation.hosts[name].kubernetes for name in names if name in observation.hosts}
    return {
        name: kubernetes.kubelet_server or "unknown"
        for name, kubernetes in hosts.items()
        if authority and kubernetes.ca_hash not in {"", authority}
    }


def _initialise(cluster: Cluster, observation: Observation) -> Reason | None:
    observed = cluster.control_planes_among(observation.hosts)
    for host in observed:
        if observation.hosts[host.name].kubernetes.init_interrupted:
            return Reason(host.name, "kubeadm init was interrupted")
    if observation.cluster is not None or not observed:
        return None
    if any(_has_control_plane(observation.hosts[host.name]) for host in observed):
        return None  # it exists and does not answer; a second cluster would not help
    return Reason(observed[0].name, "there is no cluster yet")


def _has_control_plane(facts: HostFacts) -> bool:
    return facts.kubernetes.admin or facts.kubernetes.role == "control-plane"


def _join(host: Host, facts: HostFacts, cluster: ClusterFacts | None) -> Iterator[str]:
    if facts.kubernetes.join_interrupted:
        yield "kubeadm join was interrupted"
    elif not facts.kubernetes.joined:
        yield "is not a node yet"
    elif cluster is not None and cluster.node(host.name) is None:
        yield "has a kubelet.conf, but the cluster has no node of that name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving:
    """Nodes that leave; `cluster` is the file with them still in it, `through` the control plane that is worked by.

    `drain`, `delete` and `reset` are names; `etcd_members` are control planes. `reason` is why nodes are deleted;
    `update_endpoint`: what names the control planes that leave is corrected, unless others take their names.
    """

    cluster: Cluster
    observation: Observation
    through: str
    drain: tuple[str, ...] = ()
    drain_seconds: int = 0
    force: bool = False
    etcd_members: tuple[str, ...] = ()
    delete: tuple[str, ...] = ()
    reason: str = "leaves the cluster"
    reset: tuple[str, ...] = ()
    update_endpoint: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterReset:
    """The whole cluster is reset: workers first, and one control plane last, which the rest is reached by."""

    cluster: Cluster
    observation: Observation
    on_failure: OnFailure


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanContext:
    """What every step type is planned from.

    `observation` holds the hosts whose steps are planned; `endpoint_observation` those that must know the endpoint,
    `firewall_observation` every host that was observed.
    `joins`: bring hosts and cluster to the file, which a removal or a reset does not. `planned` are the names of the
    steps so far.
    """

    cluster: Cluster
    observation: Observation
    endpoint_observation: Observation
    firewall_observation: Observation
    members: Membership
    joins: bool = True
    smoke: bool = False
    leaving: Leaving | None = None
    reset: ClusterReset | None = None
    planned: tuple[str, ...] = ()

    @property
    def hosts(self) -> list[tuple[Host, HostFacts]]:
        """Observed hosts of the file that are to be brought to it."""
        return [*self.observation.observed(self.cluster.hosts)] if self.joins else []

    @property
    def new_nodes(self) -> list[Host]:
        return [host for host, _ in self.hosts if not self.members.is_member(host.name)]

    def join_reasons(self, role: Role) -> tuple[Reason, ...]:
        if not self.joins:
            return ()
        roles = {host.name: host.role for host in self.cluster.hosts}
        return tuple(reason for reason in self.members.join if roles[reason.host] == role)


def step(
    *,
    reasons: tuple[Reason, ...],
    summary: str = "",
    hosts: tuple[str, ...] | None = None,
    through: str = "",
    nodes: tuple[str, ...] = (),
    needs: tuple[str, ...] = (),
    needs_all_nodes: bool = False,
    on_failure: OnFailure = OnFailure.LEAVE_HOSTS_OUT,
    variables: Mapping[str, object] | None = None,
    host_variables: Mapping[str, Mapping[str, object]] | None = None,
    node_variables: Mapping[str, tuple[str, ...] | Mapping[str, object]] | None = None,
) -> Iterator[PlaybookStep]:
    """The step, if there is a reason for it; by default its hosts are those of the reasons.

    Its type in the catalogue adds name, playbook and its own needs, and a summary where there is none.
    """
    if not reasons:
        return
    if hosts is None:
        hosts = tuple(dict.fromkeys(reason.host for reason in reasons))
    yield PlaybookStep(
        name="",
        playbook="",
        summary=summary,
        hosts=hosts,
        reasons=reasons,
        on_failure=on_failure,
        through=through,
        nodes=nodes,
        needs=needs,
        needs_all_nodes=needs_all_nodes,
        variables=variables or {},
        host_variables={name: values for name, values in (host_variables or {}).items() if name in hosts},
        node_variables=node_variables or {},
    )


def reasons_of(hosts: Iterable[tuple[str, Iterable[str]]]) -> tuple[Reason, ...]:
    return tuple(Reason(name, what) for name, whats in hosts for what in whats)
