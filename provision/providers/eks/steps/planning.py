"""A planned step of provider eks and what it is planned from. Pure data.

The resources of a step stand in `hosts`; what each needs is a typed `Change`, subclassed by the modules in `resources`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from provision.engine.catalogue import StepType
from provision.model.plan import OnFailure, Reason, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from provision.model.eks import EksCluster
    from provision.providers.eks.facts import Observation, Orphans, Part

_IN_TRANSITION = {"CREATING", "UPDATING", "PENDING", "DELETING"}
FAILED = "CREATE_FAILED"  # status of a node group, Fargate profile or add-on that never worked


@dataclass(frozen=True, slots=True)
class PlanContext:
    """The file and the observation. `orphans`: what the cluster made by itself, where everything is to be deleted."""

    cluster: EksCluster
    observation: Observation
    orphans: Orphans | None = None
    delete_volumes: bool = False

    @property
    def resets(self) -> bool:
        return self.orphans is not None

    @property
    def zones(self) -> tuple[str, ...]:
        return self.observation.network.zones

    @property
    def running(self) -> str:
        """Kubernetes version of the control plane ("1.35"), "" while there is none."""
        return self.observation.cluster.version if self.observation.cluster else ""


@dataclass(frozen=True, slots=True)
class Change:
    """A resource (by its name in the plan) and why it must change; without a reason it is left out of the step."""

    resource: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Deletion(Change):
    """A resource to delete, by the id or name that AWS knows it by."""

    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EksStep(Step):
    """Changes of resources of one kind; `hosts` are their names.

    Its name is that of its step type. `requires` are resources without which the step makes no sense. `awaited`: a
    later step builds on its end, so that it is waited for even with `--no-wait`.
    """

    changes: tuple[Change, ...]
    requires: frozenset[str] = frozenset()
    awaited: bool = False

    def without_failed_hosts(self, failed: frozenset[str]) -> Self | None:
        """The step for the resources that have not failed; None if none is left or a required one failed."""
        changes = tuple(one for one in self.changes if one.resource not in failed)
        if not changes or failed & self.requires:
            return None
        return replace(self, changes=changes, hosts=tuple(one.resource for one in changes))


@dataclass(frozen=True, slots=True, kw_only=True)
class EksStepType(StepType[PlanContext, EksStep]):
    """`effect` carries the planned step out."""

    effect: Callable[[Any], None]  # called with a Work


def step_type(
    name: str,
    summary: str,
    changes: Callable[[PlanContext], Iterable[Change]],
    effect: Callable[[Any], None],
    *,
    needs: tuple[str, ...] = (),
    requires: Callable[[PlanContext], Iterable[str]] = lambda _context: (),
    awaited: bool = False,
    resets: bool = False,
) -> EksStepType:
    """A type whose step has the changes with a reason; it is not planned where there is none.

    `{kubernetes}` in the summary becomes the version of the file. `requires` are resources without which the step
    makes no sense; `awaited` as in EksStep. `resets`: the step is one of a reset, which any
    failure ends; else of apply.
    """
    on_failure = OnFailure.STOP_ALL if resets else OnFailure.LEAVE_HOSTS_OUT

    def plan(context: PlanContext) -> Iterator[EksStep]:
        if context.resets is not resets:
            return
        listed = _distinct([one for one in changes(context) if one.reasons])
        if listed:
            yield EksStep(
                name=name,
                summary=summary.format(kubernetes=context.cluster.kubernetes),
                hosts=tuple(one.resource for one in listed),
                reasons=tuple(Reason(one.resource, reason) for one in listed for reason in one.reasons),
                on_failure=on_failure,
                changes=tuple(listed),
                requires=frozenset(requires(context)),
                awaited=awaited,
            )

    return EksStepType(
        name=name, summary=summary, plan=plan, needs=needs, on_failure=on_failure, effect=effect
    )


def in_transition(status: str) -> str:
    """The reason to wait for a resource in that status; "" if there is none."""
    return f"is {status}" if status in _IN_TRANSITION else ""


def unusable(found: Part | None) -> str:
    """The reason to create a resource, or to replace it; "" if it can be used, now or when it has settled."""
    if found is None:
        return "is missing"
    if found.status == FAILED:
        codes = ", ".join(issue.code for issue in found.health)
        return f"never worked ({codes or FAILED}): it is deleted and created again"
    return "is being deleted, and is wanted again" if found.status == "DELETING" else ""


def _distinct(changes: list[Change]) -> list[Change]:
    """Tell resources of one name apart by their ids: two interrupted runs may have made two."""
    counts = Counter(one.resource for one in changes)
    return [
        replace(one, resource=f"{one.resource} {one.id}")
        if isinstance(one, Deletion) and counts[one.resource] > 1
        else one
        for one in changes
    ]
