"""What all verbs about some hosts have in common: they look at these and at one healthy control plane."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from provision.errors import UnreachableError
from provision.model.plan import Finding
from provision.model.units import names as listed
from provision.providers.kubeadm.checks.resets import untold
from provision.providers.kubeadm.facts.selected import observe_chosen
from provision.providers.kubeadm.operations.looking import Look, asking
from provision.providers.kubeadm.operations.of_file import OfHosts
from provision.providers.kubeadm.operations.status import status
from provision.providers.kubeadm.steps.planning import plan
from provision.providers.kubeadm.steps.removal import only

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from provision.engine.events import Emit
    from provision.engine.operation import Backend
    from provision.model.cluster import Cluster
    from provision.model.status import Status
    from provision.providers.kubeadm.facts.selected import Chosen

# Checks that compare hosts: what they find is told of the first of them, which may be the control plane.
_COMPARING = ("same-machine", "duplicate-machine-id", "duplicate-mac")


@dataclass(frozen=True, slots=True)
class Few(Look):
    """What was seen of few hosts: who did not answer, and which control planes were passed over."""

    chosen: Chosen = field(kw_only=True)


def look_at_few(
    cluster: Cluster,
    names: Collection[str],
    emit: Emit,
    *,
    must_answer: Collection[str],
    not_through: Collection[str],
    again: Few | None,
) -> Few:
    """Observe the hosts of these names and one healthy control plane.

    Raises UnreachableError if one of `must_answer` or every control plane does not answer.
    """
    chosen, password = asking(
        lambda password: observe_chosen(
            cluster, names, not_through=not_through, sudo_password=password, emit=emit
        ),
        again.sudo_password if again else None,
    )
    silent = [finding for name, finding in chosen.absent.items() if name in must_answer]
    if chosen.observation.cluster is None:
        silent += [finding for finding in chosen.passed if finding not in silent]
    if silent or chosen.observation.cluster is None:
        told = "hosts cannot be used" if silent else f"cluster {cluster.name} has no other control plane"
        raise UnreachableError(told, fix="`provision status` shows the cluster", findings=tuple(silent))
    return Few(chosen.observation, password, chosen=chosen)


def findings_about(
    cluster: Cluster, names: Collection[str], seen: Few, findings: Iterable[Finding]
) -> Iterator[Finding]:
    """Of what was found: what concerns these hosts or the whole cluster, and who else did not answer."""
    for finding in findings:
        if finding.where in {*names, ""} or finding.check in _COMPARING:
            yield finding
    for passed in seen.chosen.passed:
        if passed.where not in names:
            yield Finding(
                severity="warning",
                check=passed.check,
                where=passed.where,
                message=f"{passed.message}; another control plane is used",
                fix=passed.fix,
            )
    told = {passed.where for passed in seen.chosen.passed}
    absent = {name: why for name, why in seen.chosen.absent.items() if name not in told}
    yield from untold(cluster, names, absent)


@dataclass(frozen=True, slots=True, kw_only=True)
class FewGoal(OfHosts):
    """`loaded` is the file as it is to be; `names` are the hosts that the command is about, `again` that command."""

    names: tuple[str, ...]
    again: str

    @property
    def subject(self) -> str:
        return f"{listed(self.names)} and a control plane"

    def backend(self, seen: Few) -> AbstractContextManager[Backend]:
        """Ansible hears of the hosts that were observed, and of no other: its inventory stays as small.

        The cluster's lock is on control planes that neither come nor leave.
        """
        from provision.providers.kubeadm.operations.locked import locked_playbooks, staying

        hosts = tuple(host for host in self.wanted.hosts if host.name in seen.observation.hosts)
        return locked_playbooks(
            self.wanted.model_copy(update={"hosts": hosts}),
            staying(self.wanted, seen, self.names),
            command=self.again,
        )

    def status(self, seen: Few) -> Status:
        observation = only(seen.observation, self.names)
        return status(self.wanted, observation, plan(self.wanted, observation, smoke=False))
