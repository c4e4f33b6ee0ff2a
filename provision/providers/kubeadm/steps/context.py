"""What every part of a plan looks at, and how a step comes into being only where there is a reason for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from provision.model.plan import PlaybookStep, Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from provision.model.cluster import Cluster, Host
    from provision.providers.kubeadm.facts.host import HostFacts, Observation
    from provision.providers.kubeadm.steps.membership import Membership


@dataclass(frozen=True, slots=True)
class View:
    """The file, what was seen, who is a node; `smoke`: whether a smoke test is wanted."""

    cluster: Cluster
    seen: Observation
    members: Membership
    smoke: bool

    @property
    def hosts(self) -> list[tuple[Host, HostFacts]]:
        return [
            (host, self.seen.hosts[host.name]) for host in self.cluster.hosts if host.name in self.seen.hosts
        ]

    @property
    def newcomers(self) -> list[Host]:
        return [host for host, _ in self.hosts if not self.members.is_member(host.name)]

    def reasons(self, role: str) -> tuple[Reason, ...]:
        """Why hosts of a role have to join."""
        roles = {host.name: host.role for host in self.cluster.hosts}
        return tuple(reason for reason in self.members.join if roles[reason.host] == role)


def step(
    name: str,
    summary: str,
    *,
    reasons: tuple[Reason, ...],
    needs: tuple[str, ...] = (),
    hosts: tuple[str, ...] | None = None,
    variables: Mapping[str, object] | None = None,
    host_variables: Mapping[str, Mapping[str, object]] | None = None,
    through: str = "",
    nodes: tuple[str, ...] = (),
    node_variables: Mapping[str, tuple[str, ...] | Mapping[str, object]] | None = None,
    needs_all_nodes: bool = False,
) -> Iterator[PlaybookStep]:
    """The step, if there is a reason for it; by default its hosts are those of the reasons."""
    if not reasons:
        return
    if hosts is None:
        hosts = tuple(dict.fromkeys(reason.host for reason in reasons))
    yield PlaybookStep(
        name=name,
        summary=summary,
        playbook=name,
        hosts=hosts,
        reasons=reasons,
        needs=needs,
        through=through,
        nodes=nodes,
        needs_all_nodes=needs_all_nodes,
        variables=variables or {},
        node_variables=node_variables or {},
        host_variables={name: values for name, values in (host_variables or {}).items() if name in hosts},
    )


def reasons_of(hosts: Iterable[tuple[str, Iterable[str]]]) -> tuple[Reason, ...]:
    return tuple(Reason(name, what) for name, whats in hosts for what in whats)
