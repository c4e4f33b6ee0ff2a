"""The goals of `provision node`: hosts become nodes, leave, or get another machine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from provision.config.edit import Edit, edited, removing, write_edited
from provision.errors import CheckError, UnreachableError
from provision.model.outcome import NodesJoined, NodesRemoved
from provision.providers.kubeadm.checks import check, quorum
from provision.providers.kubeadm.checks.leaving import leaving, replacing
from provision.providers.kubeadm.operations.selected import Few, FewGoal, findings_about, look_at_few
from provision.providers.kubeadm.steps import role_vars as desired
from provision.providers.kubeadm.steps.removal import (
    joining_plan,
    removal_plan,
    replacement_plan,
    without_nodes,
)
from provision.report.tables import outcome_text

if TYPE_CHECKING:
    from provision.engine.events import Emit
    from provision.engine.operation import Run
    from provision.model.cluster import Cluster
    from provision.model.plan import Finding, PlaybookPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class _ComingGoal(FewGoal):
    """Machines become nodes under `names`. The file has them from now on: `edit`.

    `smoke`: prove that pods and Services work on them.
    """

    edit: Edit
    smoke: bool = True

    def look(self, emit: Emit, again: Few | None = None) -> Few:
        chosen = _concerned(self.wanted, self.names)
        return look_at_few(
            self.wanted, chosen, emit, must_answer=self.names, not_through=self.names, again=again
        )

    def begin(self, _seen: object) -> None:
        """The file has the hosts before they are nodes: whatever happens then, `apply` goes on with them, too."""
        write_edited(self.file, self.edit)

    def end(self, seen: Few, run: Run, emit: Emit) -> str:
        write_edited(self.file, self.edit)
        self.renew_kubeconfig(seen, self.names, emit)
        return outcome_text(
            NodesJoined(
                status=self.status(seen),
                names=self.names,
                seconds=run.seconds,
                proofs=run.proofs,
                file=self.file,
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AddGoal(_ComingGoal):
    """Hosts that are new in the file are nodes."""

    def check(self, seen: Few) -> tuple[Finding, ...]:
        findings = check(self.wanted, seen.observation)
        return (*self.loaded.warnings, *findings_about(self.wanted, self.names, seen, findings))

    def plan(self, seen: Few) -> PlaybookPlan:
        return joining_plan(self.wanted, seen.observation, self.names, smoke=self.smoke)

    def notice(self, _seen: Few, _steps: PlaybookPlan) -> str:
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaceGoal(_ComingGoal):
    """The one node of `names` runs on another machine. `before` is the file as it was; `force`: whoever runs there."""

    before: Cluster
    force: bool = False

    def look(self, emit: Emit, again: Few | None = None) -> Few:
        _refuse_the_last(self.before, self.names)
        return _ComingGoal.look(self, emit, again)

    def check(self, seen: Few) -> tuple[Finding, ...]:
        later = without_nodes(seen.observation, self.names)
        findings = (
            *replacing(self.before, self.wanted, seen.observation, self.names[0], force=self.force),
            *check(self.wanted, later),
        )
        return (*self.loaded.warnings, *findings_about(self.wanted, self.names, seen, findings))

    def plan(self, seen: Few) -> PlaybookPlan:
        return replacement_plan(self.before, self.wanted, seen.observation, self.names[0], smoke=self.smoke)

    def notice(self, _seen: Few, steps: PlaybookPlan) -> str:
        if not any(step.name == "delete-nodes" for step in steps):
            return ""
        return (
            "\nThe old machine must never come back under this name: switch it off for good, or reset it.\n"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveGoal(FewGoal):
    """The hosts of `names` are no nodes, and are gone from the file. `loaded` is the file with them still in it.

    `force`: machines may be gone, and pods that nothing makes anew may end.
    """

    force: bool = False
    drain_seconds: int

    def look(self, emit: Emit, again: Few | None = None) -> Few:
        chosen = _concerned(self.wanted, self.names)
        _refuse_the_last(self.wanted, self.names)
        must = () if self.force else self.names
        try:
            return look_at_few(
                self.wanted, chosen, emit, must_answer=must, not_through=self.names, again=again
            )
        except UnreachableError as error:
            raise _with_force(error, self.names) from error

    def check(self, seen: Few) -> tuple[Finding, ...]:
        findings = leaving(self.wanted, seen.observation, self.names, force=self.force)
        return (*findings_about(self.wanted, self.names, seen, findings),)

    def plan(self, seen: Few) -> PlaybookPlan:
        return removal_plan(
            self.wanted, seen.observation, self.names, force=self.force, drain_seconds=self.drain_seconds
        )

    def begin(self, _seen: object) -> None:
        """Refuse a file that could not forget the hosts in the end."""
        edited(self.file, removing(self.names))

    def notice(self, seen: Few, _steps: PlaybookPlan) -> str:
        gone = [name for name in self.names if name not in seen.observation.hosts]
        return "" if not gone else f"\nNot reached, and so not reset: {', '.join(gone)}.\n"

    def end(self, seen: Few, run: Run, emit: Emit) -> str:
        write_edited(self.file, removing(self.names))
        self.renew_kubeconfig(seen, self.names, emit)
        gone = tuple(name for name in self.names if name not in seen.observation.hosts)
        vip = desired.virtual_address(self.wanted)
        return outcome_text(
            NodesRemoved(
                cluster=self.cluster,
                names=self.names,
                not_reset=gone,
                seconds=run.seconds,
                file=self.file,
                vip_holders=tuple(host.name for host in self.wanted.control_planes_among(gone) if vip),
            )
        )


def _concerned(cluster: Cluster, names: tuple[str, ...]) -> tuple[str, ...]:
    """The hosts to look at: these alone, or all where a control plane comes or goes, for each may point at it."""
    if cluster.control_planes_among(names):
        return (*names, *(host.name for host in cluster.hosts if host.name not in names))
    return names


def _refuse_the_last(cluster: Cluster, names: tuple[str, ...]) -> None:
    """Raise CheckError if no control plane stays: there is none through which the rest could be seen."""
    found = tuple(quorum.last(cluster, names))
    if found:
        raise CheckError("the checks found errors; nothing was changed", findings=found)


def _with_force(error: UnreachableError, names: tuple[str, ...]) -> UnreachableError:
    """The error with the way out for a machine that is gone for good."""
    way = "if that machine is gone for good: add --force"
    findings = tuple(
        replace(finding, fix=f"{finding.fix}; {way}") if finding.where in names else finding
        for finding in error.findings
    )
    return UnreachableError(error.message, fix=error.fix, findings=findings)
