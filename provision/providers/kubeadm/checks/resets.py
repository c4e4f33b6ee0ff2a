"""What speaks against a reset, and what one that was interrupted means for everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.model.plan import Finding
from provision.providers.kubeadm.steps.context import nodes_of_other_clusters

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from provision.model.cluster import Cluster
    from provision.providers.kubeadm.facts.host import Observation


def reset_findings(cluster: Cluster, observation: Observation, names: Collection[str]) -> Iterator[Finding]:
    """What speaks against resetting these hosts. Those that were not seen are left as they are."""
    for name, server in nodes_of_other_clusters(cluster, observation, names).items():
        yield Finding.error(
            "another-cluster",
            name,
            f"it is a node of another cluster ({server})",
            "correct its address in the file; `sudo kubeadm reset` there if that cluster is not needed",
        )


def interrupted_resets(cluster: Cluster, observation: Observation) -> Iterator[Finding]:
    """Hosts on which a reset did not come to its end: neither a node nor clean."""
    for host, facts in observation.observed(cluster.hosts):
        if facts.kubernetes.reset_interrupted:
            yield Finding.error(
                "reset-interrupted",
                host.name,
                "a reset of it was interrupted",
                f"let it come to its end: `provision reset {host.name}`",
            )


def warn_left_out(
    names: Iterable[str], observation: Observation, why: Mapping[str, Finding]
) -> Iterator[Finding]:
    """Warn of every host that cannot be reached and is left as it is; `why` by host."""
    for name in names:
        if name not in observation.hosts:
            yield Finding.warning(
                "host-left-out",
                name,
                f"it cannot be reached and is left as it is: {why[name].message if name in why else 'unknown'}",
                f"when it is back: `provision reset {name}`, before anything else is made of it",
            )


def warn_unreachable(names: Collection[str], absent: Mapping[str, Finding]) -> Iterator[Finding]:
    """Warn of every host that stays and does not learn that nodes of these names come or leave.

    `absent`: the hosts that should, because of their endpoint or firewall, and did not answer, and why.
    """
    for name, why in absent.items():
        if name not in names:
            yield Finding.warning(
                "host-untold",
                name,
                f"{why.message}; it does not learn of the change",
                "when it is back: `provision apply`",
            )
