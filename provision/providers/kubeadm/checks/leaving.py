"""Checks before a node leaves or gets another machine: what would be lost, and what would come back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.model.plan import Finding
from provision.providers.kubeadm.checks import quorum
from provision.providers.kubeadm.steps.context import nodes_of_other_clusters

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from provision.model.cluster import Cluster
    from provision.providers.kubeadm.facts.host import Observation


def removal_findings(
    cluster: Cluster, observation: Observation, names: Collection[str], *, force: bool = False
) -> Iterator[Finding]:
    """Whether hosts may leave; `cluster` is the file with them still in it. `force`: their machines may be gone."""
    for name, server in nodes_of_other_clusters(cluster, observation, names).items():
        if force:
            message = f"its machine is a node of another cluster by now ({server}) and is left as it is"
            yield Finding.warning("another-cluster", name, message, "nothing, if that is meant")
        else:
            yield Finding.error(
                "another-cluster",
                name,
                f"its machine is a node of another cluster by now ({server})",
                "correct its address in the file; --force makes this cluster forget it and leaves the machine alone",
            )
    known = {host.name for host in cluster.hosts}
    for name in names:
        node = observation.cluster.node(name) if observation.cluster else None
        if name in known:
            continue
        if node is None:
            nodes = ", ".join(sorted(known))
            yield Finding.error(
                "no-such-host", name, "there is no host and no node of that name", f"hosts: {nodes}"
            )
        elif node.role == "control-plane":
            yield Finding.error(
                "not-in-file",
                name,
                "it is a control plane that the file does not have, so its member of etcd cannot be named",
                "write it into the file, then try again (with --force if its machine is gone)",
            )
        else:
            yield Finding.warning(
                "not-in-file", name, "the file does not have it: its machine is not reset", "reset it by hand"
            )
    yield from quorum.removal(cluster, observation, names)


def replacement_findings(
    before: Cluster, cluster: Cluster, observation: Observation, name: str, *, force: bool
) -> Iterator[Finding]:
    """Whether a node may get another machine; `before` is the file as it was, `cluster` as it is to be."""
    node = observation.cluster.node(name) if observation.cluster else None
    machine = observation.hosts.get(name)
    if node is None or machine is None:
        return
    if machine.machine.machine_id == node.machine_id and machine.kubernetes.joined:
        return  # it was replaced already
    # A machine that has the node's address and is no node: it was reinstalled, and there is no other one.
    own = {address.ip for address in machine.network.addresses}
    is_reinstalled = not machine.kubernetes.joined and bool(own & set(node.addresses))
    if node.ready and not is_reinstalled and not force:
        yield Finding.error(
            "node-is-alive",
            name,
            "the node is Ready: its old machine runs, and two machines under one name destroy each other's work",
            "switch the old machine off and wait a minute (`provision node list`); --force if you know that it is off; "
            f"a machine that runs leaves by `provision node remove {name}`",
        )
    same = before.host(name).address == cluster.host(name).address
    for finding in quorum.removal(before, observation, [name]):
        if finding.severity == "error" and not (same and finding.check == "endpoint-leaves"):
            yield finding
