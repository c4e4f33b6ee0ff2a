"""How the cluster is, in one piece of data: nodes, network, certificates, and what differs from the file. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.model.status import (
    CertificateStatus,
    EtcdStatus,
    Listed,
    NodeStatus,
    Status,
    WorkloadStatus,
    describe_drift,
)
from provision.model.units import epoch
from provision.providers.kubeadm.facts.etcd import voters
from provision.providers.kubeadm.steps import role_vars

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provision.model.cluster import Cluster, Host
    from provision.model.plan import Plan
    from provision.providers.kubeadm.facts.cluster import Node, Workload
    from provision.providers.kubeadm.facts.host import Observation

_DAY = 86400.0


def status(cluster: Cluster, observation: Observation, plan: Plan) -> Status:
    """Put together what was observed; `plan` are the steps that `apply` would run now."""
    found = observation.cluster
    nodes = tuple(_nodes(cluster, observation))
    workloads = tuple(_workloads(observation))
    etcd = tuple(_etcd(cluster, observation))
    ready = all(node.ready for node in nodes) and all(part.ready >= part.wanted > 0 for part in workloads)
    ready = ready and not any(member.problem for member in etcd)
    return Status(
        cluster=cluster.name,
        endpoint=role_vars.endpoint(cluster),
        kubernetes=found.version.removeprefix("v") if found else "",
        error="" if found else _silence(observation),
        healthy=found is not None and ready,
        nodes=nodes,
        workloads=workloads,
        certificates=tuple(_certificates(observation)),
        bootstrap_tokens=len(found.tokens) if found else 0,
        drift=describe_drift(plan),
        etcd=etcd,
    )


def _silence(observation: Observation) -> str:
    errors = [facts.api.error for facts in observation.hosts.values() if facts.api and facts.api.error]
    return errors[0] if errors else "there is no cluster yet"


def _nodes(cluster: Cluster, observation: Observation) -> Iterator[NodeStatus]:
    found = observation.cluster
    known = {node.name: node for node in found.nodes} if found else {}
    for host in cluster.hosts:
        node = known.pop(host.name, None)
        facts = observation.hosts.get(host.name)
        kubelet = facts.software.packages.get("kubelet") if facts else None
        yield NodeStatus(
            name=host.name,
            role=host.role,
            address=host.address,
            in_file=True,
            joined=node is not None or (found is None and facts is not None and facts.kubernetes.joined),
            ready=node is not None and node.ready,
            cordoned=node is not None and node.cordoned,
            version=node.kubelet.removeprefix("v") if node else kubelet.upstream if kubelet else "",
            runtime=node.runtime if node else "",
            message=""
            if node and node.ready
            else node.message
            if node
            else "is not a node"
            if found
            else "unknown",
        )
    for node in known.values():
        yield NodeStatus(
            name=node.name,
            role=node.role,
            address=next(iter(node.addresses), ""),
            in_file=False,
            joined=True,
            ready=node.ready,
            cordoned=node.cordoned,
            version=node.kubelet.removeprefix("v"),
            runtime=node.runtime,
            message="" if node.ready else node.message,
        )


def _workloads(observation: Observation) -> Iterator[WorkloadStatus]:
    found = observation.cluster
    if found is None:
        return
    parts: dict[str, Workload | None] = {
        "calico-node": found.calico,
        "calico-kube-controllers": found.deployments.get("calico-kube-controllers"),
        "kube-proxy": found.daemonsets.get("kube-proxy"),
        "coredns": found.deployments.get("coredns"),
    }
    for name, part in parts.items():
        images = part.images if part else ()
        yield WorkloadStatus(
            name=name,
            version=images[0].rpartition(":")[2] if images else "",
            ready=part.ready if part else 0,
            wanted=part.wanted if part else 0,
        )


def _etcd(cluster: Cluster, observation: Observation) -> Iterator[EtcdStatus]:
    for voter in sorted(voters(cluster, observation), key=lambda voter: voter.name):
        yield EtcdStatus(
            name=voter.name,
            leader=voter.leader,
            learner=voter.learner,
            healthy=voter.healthy,
            problem=voter.problem,
        )


def _certificates(observation: Observation) -> Iterator[CertificateStatus]:
    for name, facts in observation.hosts.items():
        for part, end in sorted(facts.kubernetes.ends().items()):
            yield CertificateStatus(host=name, name=part, days=int((end - observation.at) // _DAY))


def list_nodes(cluster: Cluster, found: Observation | None) -> tuple[Listed, ...]:
    """All of them, hosts in the file's order, then the other nodes; `found` None: no control plane answered."""
    nodes = {node.name: node for node in found.cluster.nodes} if found and found.cluster else {}
    at = found.at if found else 0.0
    return tuple(_list(cluster, nodes, at, known=found is not None))


def _list(cluster: Cluster, nodes: dict[str, Node], at: float, *, known: bool) -> Iterator[Listed]:
    for host in cluster.hosts:
        node = nodes.pop(host.name, None)
        if node is not None:
            yield _listed(node, at, host)
            continue
        yield Listed(
            name=host.name,
            role=host.role,
            address=host.address,
            state="no node" if known else "unknown",
            cordoned=False,
            version="",
            runtime="",
            age=None,
            in_file=True,
            labels=dict(host.labels),
            taints=host.taints,
            message="is in the file, but no node of the cluster" if known else "",
        )
    for node in nodes.values():
        yield _listed(node, at, None)


def _listed(node: Node, at: float, host: Host | None) -> Listed:
    return Listed(
        name=node.name,
        role=node.role,
        address=host.address if host else next(iter(node.addresses), ""),
        state="ready" if node.ready else "not ready",
        cordoned=node.cordoned,
        version=node.kubelet.removeprefix("v"),
        runtime=node.runtime,
        age=max(0.0, at - epoch(node.created)) if node.created else None,
        in_file=host is not None,
        labels=dict(node.labels),
        taints=tuple(map(str, node.taints)),
        message="" if node.ready else node.message,
    )
