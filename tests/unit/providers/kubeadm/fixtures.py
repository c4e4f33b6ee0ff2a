"""Hosts that stand for those of a cluster: what is observed of them, and which were contacted together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from provision.providers.kubeadm.facts import gather
from provision.providers.kubeadm.facts.gather import SelectedObservation, observe_selected
from provision.ssh import findings

from . import factories

if TYPE_CHECKING:
    import pytest

    from provision.model.cluster import Cluster, Host
    from provision.model.plan import Finding
    from provision.providers.kubeadm.facts.host import HostFacts


class Hosts:
    """Stands for the hosts of a cluster: `dead` ones do not answer; `rounds` are the hosts contacted together."""

    def __init__(self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cluster = cluster
        self.documents = factories.running(cluster)
        self.dead: dict[str, Finding] = {}
        self.rounds: list[list[str]] = []
        monkeypatch.setattr(gather, "gather_facts", self._gather)

    def kill(self, *names: str) -> None:
        self.dead.update({name: findings.no_answer(name, "there", 10) for name in names})

    def silence(self, name: str) -> None:
        self.documents[name]["api"] = {"error": "connection refused"}

    def observe(self, *names: str, **options: Any) -> SelectedObservation:
        return observe_selected(self.cluster, names, emit=lambda _event: None, **options)

    def _gather(
        self, _cluster: Cluster, hosts: Sequence[Host], **_options: object
    ) -> tuple[dict[str, HostFacts], tuple[Finding, ...]]:
        self.rounds.append([host.name for host in hosts])
        seen = {
            host.name: factories.facts(host.name, self.documents[host.name])
            for host in hosts
            if host.name not in self.dead
        }
        return seen, tuple(self.dead[host.name] for host in hosts if host.name in self.dead)
