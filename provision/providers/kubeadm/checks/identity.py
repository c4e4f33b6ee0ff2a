"""Checks of identity: no host is a clone of another, or has the name of another machine's node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.model.plan import Finding
from provision.model.units import enumerated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from provision.model.cluster import Cluster
    from provision.providers.kubeadm.facts.host import HostFacts, Observation

_NEW_ID = (
    "on all but one: `rm /etc/machine-id /var/lib/dbus/machine-id; systemd-machine-id-setup`, then reboot"
)


def duplicates(cluster: Cluster, observation: Observation) -> Iterator[Finding]:  # noqa: ARG001 - all checks look alike
    """No two hosts with one machine-id, network card or product uuid; host names are set by us anyway."""
    reported = set()
    for names, _ in _shared(observation.hosts, lambda facts: [facts.machine.boot_id]):
        reported.update(names)
        message = f"{enumerated(names)} are one and the same machine"
        yield Finding.error("same-machine", names[0], message, "correct the addresses of the hosts")
    for names, value in _shared(observation.hosts, lambda facts: [facts.machine.machine_id]):
        if reported.isdisjoint(names):
            message = f"{enumerated(names)} have the same machine-id {value}: they are clones"
            yield Finding.error("duplicate-machine-id", names[0], message, _NEW_ID)
    for names, value in _shared(observation.hosts, lambda facts: facts.network.macs):
        if reported.isdisjoint(names):
            message = f"{enumerated(names)} have the same hardware address {value}"
            yield Finding.error(
                "duplicate-mac", names[0], message, "give each virtual network card an address of its own"
            )
    for names, value in _shared(observation.hosts, lambda facts: [facts.machine.product_uuid]):
        if reported.isdisjoint(names):
            message = f"{enumerated(names)} have the same product uuid {value}"
            yield Finding.warning(
                "duplicate-product-uuid", names[0], message, "give each virtual machine a uuid of its own"
            )


def replaced_machines(cluster: Cluster, observation: Observation) -> Iterator[Finding]:
    """A host whose name belongs to a node of another machine: joining would fail or take over its identity."""
    for host, facts in observation.observed(cluster.hosts):
        node = observation.cluster.node(host.name) if observation.cluster else None
        if node is None or not node.machine_id or not facts.machine.machine_id:
            continue
        if node.machine_id != facts.machine.machine_id:
            yield Finding.error(
                "node-of-another-machine",
                host.name,
                f"the node {host.name} was made by another machine (machine-id {node.machine_id}, "
                f"this one has {facts.machine.machine_id})",
                f"if the old machine is gone: `provision node replace {host.name}`; else give this host another name",
            )


def roles(cluster: Cluster, observation: Observation) -> Iterator[Finding]:
    """A node keeps the role with which it joined."""
    for host in cluster.hosts:
        node = observation.cluster.node(host.name) if observation.cluster else None
        if node is not None and node.role != host.role and not _joining(observation.hosts.get(host.name)):
            yield Finding.error(
                "role-changed",
                host.name,
                f"it is a {node.role}, the file says {host.role}",
                f"write `role: {node.role}`, or `provision node remove {host.name}` and `provision node add` it again",
            )


def _joining(facts: HostFacts | None) -> bool:
    """A control plane gets its label at the very end of init or join."""
    return facts is not None and (facts.kubernetes.init_interrupted or facts.kubernetes.join_interrupted)


def _shared(
    hosts: Mapping[str, HostFacts], values: Callable[[HostFacts], list[str] | tuple[str, ...]]
) -> Iterator[tuple[list[str], str]]:
    owners: dict[str, list[str]] = {}
    for name, facts in hosts.items():
        for value in values(facts):
            if value:
                owners.setdefault(value, []).append(name)
    for value, names in owners.items():
        if len(names) > 1:
            yield names, value
