"""What speaks against a reset, and what one that was interrupted means for everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.providers.kubeadm.checks.verdict import error, warning

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from provision.model.cluster import Cluster
    from provision.model.plan import Finding
    from provision.providers.kubeadm.facts.host import Observation


def reset_findings(cluster: Cluster, seen: Observation, names: Collection[str]) -> Iterator[Finding]:
    """What speaks against resetting these hosts. Those that were not seen are left as they are."""
    for name, server in elsewhere(cluster, seen, names).items():
        yield error(
            "another-cluster",
            name,
            f"it is a node of another cluster ({server})",
            "correct its address in the file; `sudo kubeadm reset` there if nobody needs that cluster",
        )


def elsewhere(cluster: Cluster, seen: Observation, names: Collection[str]) -> dict[str, str]:
    """The hosts of these names that are nodes of another cluster, and the API server of that one ("unknown")."""
    authority = _authority(cluster, seen)
    found = {name: seen.hosts[name].kubernetes for name in names if name in seen.hosts}
    return {
        name: there.kubelet_server or "unknown"
        for name, there in found.items()
        if authority and there.ca_hash not in {"", authority}
    }


def interrupted_resets(cluster: Cluster, seen: Observation) -> Iterator[Finding]:
    """Hosts on which a reset did not come to its end: neither a node nor clean."""
    for host in cluster.hosts:
        facts = seen.hosts.get(host.name)
        if facts is not None and facts.kubernetes.reset_interrupted:
            yield error(
                "reset-interrupted",
                host.name,
                "a reset of it was interrupted",
                f"let it come to its end: `provision reset {host.name}`",
            )


def left_out(names: Iterable[str], seen: Observation, why: Mapping[str, Finding]) -> Iterator[Finding]:
    """A word for every host that cannot be reached and is left as it is; `why` by host."""
    for name in names:
        if name not in seen.hosts:
            yield warning(
                "host-left-out",
                name,
                f"it cannot be reached and is left as it is: {why[name].message if name in why else 'unknown'}",
                f"when it is back: `provision reset {name}`, before anything else is made of it",
            )


def untold(cluster: Cluster, names: Collection[str], absent: Mapping[str, Finding]) -> Iterator[Finding]:
    """A word for every host that stays and cannot be told that control planes (of these names) come or go.

    `absent`: the hosts that were looked for and did not answer, and why.
    """
    if not cluster.control_planes_among(names):
        return
    for name, why in absent.items():
        if name not in names:
            yield warning(
                "host-untold",
                name,
                f"{why.message}; it does not hear of the change",
                "when it is back: `provision apply`",
            )


def _authority(cluster: Cluster, seen: Observation) -> str:
    """Hash of the CA of the file's cluster; "" where no control plane has one any more."""
    names = [seen.source, *(host.name for host in cluster.control_planes)]
    found = (seen.hosts[name].kubernetes.ca_hash for name in names if name in seen.hosts)
    return next((authority for authority in found if authority), "")
