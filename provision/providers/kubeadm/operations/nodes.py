"""`provision node add`, `remove` and `replace`: the file is edited, and only the hosts in question are contacted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from provision.config.edit import Edit, load_edited, remove_hosts, write_edited
from provision.errors import CheckError, UnreachableError
from provision.model.outcome import NodesJoined, NodesRemoved
from provision.model.plan import Finding
from provision.model.units import names as listed
from provision.providers.kubeadm.checks import check, quorum
from provision.providers.kubeadm.checks.leaving import removal_findings, replacement_findings
from provision.providers.kubeadm.checks.resets import warn_unreachable
from provision.providers.kubeadm.operations.locked import keeps_lock, locked_playbooks
from provision.providers.kubeadm.operations.observed import Observed, observe_some
from provision.providers.kubeadm.operations.operation import KubeadmOperation
from provision.providers.kubeadm.operations.status import status
from provision.providers.kubeadm.steps.planning import join_plan, removal_plan, replacement_plan
from provision.providers.kubeadm.steps.role_vars import virtual_address

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

    from provision.engine.events import Emit
    from provision.engine.operation import Interaction, RunResult, StepRunner
    from provision.model.cluster import Cluster
    from provision.model.outcome import Outcome
    from provision.model.plan import PlaybookPlan, PlaybookStep

# Checks that compare hosts: a finding is about the first of them, which may be the control plane.
_COMPARING = ("same-machine", "duplicate-machine-id", "duplicate-mac")


@dataclass(frozen=True, slots=True, kw_only=True)
class _NodesOperation(KubeadmOperation):
    """Observes the hosts of `names` and one healthy control plane; `command` is what was typed."""

    names: tuple[str, ...]
    command: str

    @property
    def subject(self) -> str:
        return f"{listed(self.names)} and a control plane"

    @property
    def resume_command(self) -> str:
        return self.command

    def step_runner(
        self, observed: Observed, interaction: Interaction
    ) -> AbstractContextManager[StepRunner[PlaybookStep]]:
        """Ansible's inventory has the observed hosts alone; the lock is on control planes that stay."""
        hosts = tuple(host for host in self.cluster.hosts if host.name in observed.observation.hosts)
        return locked_playbooks(
            self.cluster.model_copy(update={"hosts": hosts}),
            keeps_lock(self.cluster, observed, self.names),
            interaction,
            command=self.resume_command,
        )

    def concerning(self, observed: Observed, findings: Iterable[Finding]) -> Iterator[Finding]:
        """Findings about these hosts or the whole cluster, and about other hosts that did not answer."""
        for finding in findings:
            if finding.where in {*self.names, ""} or finding.check in _COMPARING:
                yield finding
        for passed in observed.passed_over:
            if passed.where not in self.names:
                message = f"{passed.message}; another control plane is used"
                yield Finding.warning(passed.check, passed.where, message, passed.fix)
        known = {passed.where for passed in observed.passed_over}
        unreachable = {name: why for name, why in observed.unreachable.items() if name not in known}
        yield from warn_unreachable(self.names, unreachable)


@dataclass(frozen=True, slots=True, kw_only=True)
class _JoinOperation(_NodesOperation):
    """Hosts become nodes under `names`; `edit` puts them into the file. `smoke`: run a smoke test on them."""

    edit: Edit
    smoke: bool = True

    def observe(self, emit: Emit, interaction: Interaction, previous: Observed | None = None) -> Observed:
        return observe_some(
            self.cluster,
            _affected(self.cluster, self.names),
            emit,
            interaction,
            previous,
            must_answer=self.names,
            not_through=self.names,
        )

    def begin(self, _observed: Observed) -> None:
        """Write the hosts into the file before they are nodes, so that `apply` goes on with them after a failure."""
        write_edited(self.file, self.edit)

    def finish(self, observed: Observed, result: RunResult, interaction: Interaction) -> Outcome | None:
        write_edited(self.file, self.edit)
        self.refresh_kubeconfig(observed, self.names, interaction)
        return NodesJoined(
            status=status(self.cluster, observed.observation.of_hosts(self.names), ()),
            names=self.names,
            seconds=result.seconds,
            proofs=result.proofs,
            file=self.file,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AddNodes(_JoinOperation):
    """Hosts that are new in the file become nodes."""

    def check(self, observed: Observed) -> tuple[Finding, ...]:
        findings = check(self.cluster, observed.observation)
        return (*self.loaded.warnings, *self.concerning(observed, findings))

    def plan(self, observed: Observed) -> PlaybookPlan:
        return join_plan(self.cluster, observed.observation, self.names, smoke=self.smoke)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaceNode(_JoinOperation):
    """The one node of `names` gets another machine.

    `before` is the cluster of the file as it was; `force`: the old machine is off, although its node is Ready.
    """

    before: Cluster
    force: bool = False

    def observe(self, emit: Emit, interaction: Interaction, previous: Observed | None = None) -> Observed:
        _refuse_last_control_plane(self.before, self.names)
        return _JoinOperation.observe(self, emit, interaction, previous)

    def check(self, observed: Observed) -> tuple[Finding, ...]:
        observation, (name,) = observed.observation, self.names
        findings = (
            *replacement_findings(self.before, self.cluster, observation, name, force=self.force),
            *check(self.cluster, observation.without_nodes(self.names)),
        )
        return (*self.loaded.warnings, *self.concerning(observed, findings))

    def plan(self, observed: Observed) -> PlaybookPlan:
        (name,) = self.names
        return replacement_plan(self.before, self.cluster, observed.observation, name, smoke=self.smoke)

    def warnings(self, _observed: Observed, plan: PlaybookPlan) -> tuple[str, ...]:
        if not any(step.name == "delete-nodes" for step in plan):
            return ()
        return ("The old machine must never come back under this name: switch it off for good, or reset it.",)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveNodes(_NodesOperation):
    """Nodes of `names` leave the cluster and the file; `loaded` is the file with them still in it.

    `force`: their machines may be gone, and pods without a controller may be deleted. `drain_seconds`: for all pods.
    """

    force: bool = False
    drain_seconds: int

    def observe(self, emit: Emit, interaction: Interaction, previous: Observed | None = None) -> Observed:
        _refuse_last_control_plane(self.cluster, self.names)
        try:
            return observe_some(
                self.cluster,
                _affected(self.cluster, self.names),
                emit,
                interaction,
                previous,
                must_answer=() if self.force else self.names,
                not_through=self.names,
            )
        except UnreachableError as error:
            raise _suggest_force(error, self.names) from error

    def check(self, observed: Observed) -> tuple[Finding, ...]:
        findings = removal_findings(self.cluster, observed.observation, self.names, force=self.force)
        return tuple(self.concerning(observed, findings))

    def plan(self, observed: Observed) -> PlaybookPlan:
        return removal_plan(
            self.cluster, observed.observation, self.names, force=self.force, drain_seconds=self.drain_seconds
        )

    def begin(self, _observed: Observed) -> None:
        """Refuse a file from which the hosts could not be taken out in the end."""
        load_edited(self.file, remove_hosts(self.names))

    def warnings(self, observed: Observed, _plan: PlaybookPlan) -> tuple[str, ...]:
        absent = self._not_observed(observed)
        return (f"Not reached, and so not reset: {', '.join(absent)}.",) if absent else ()

    def finish(self, observed: Observed, result: RunResult, interaction: Interaction) -> Outcome | None:
        write_edited(self.file, remove_hosts(self.names))
        self.refresh_kubeconfig(observed, self.names, interaction)
        absent = self._not_observed(observed)
        holders = self.cluster.control_planes_among(absent) if virtual_address(self.cluster) else ()
        return NodesRemoved(
            cluster=self.cluster.name,
            names=self.names,
            not_reset=absent,
            seconds=result.seconds,
            file=self.file,
            vip_holders=tuple(host.name for host in holders),
        )

    def _not_observed(self, observed: Observed) -> tuple[str, ...]:
        return tuple(name for name in self.names if name not in observed.observation.hosts)


def _affected(cluster: Cluster, names: tuple[str, ...]) -> tuple[str, ...]:
    """The hosts to observe: these alone, or all where a control plane comes or leaves, for each may point at it."""
    if cluster.control_planes_among(names):
        return (*names, *(host.name for host in cluster.hosts if host.name not in names))
    return names


def _refuse_last_control_plane(cluster: Cluster, names: tuple[str, ...]) -> None:
    """Raise CheckError if no control plane would stay."""
    found = tuple(quorum.last(cluster, names))
    if found:
        raise CheckError("the checks found errors; nothing was changed", findings=found)


def _suggest_force(error: UnreachableError, names: tuple[str, ...]) -> UnreachableError:
    """The error with the fix for a machine that is gone for good."""
    way = "if that machine is gone for good: add --force"
    findings = tuple(
        replace(finding, fix=f"{finding.fix}; {way}") if finding.where in names else finding
        for finding in error.findings
    )
    return UnreachableError(error.message, fix=error.fix, findings=findings)
