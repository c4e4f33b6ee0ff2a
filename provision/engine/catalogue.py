"""The ordered list of everything a provider can do: what plans a step, what it needs, what its failure means."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, TypeVar

from provision.model.plan import OnFailure, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

C = TypeVar("C")  # the context that steps are planned from
S = TypeVar("S", bound=Step)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepType(Generic[C, S]):
    """A kind of step. `plan` returns the step of this type that a context calls for, if any.

    `needs` are names of earlier step types, `summary` describes the type; a planned step may have and say more.
    """

    name: str
    summary: str  # imperative, no final period
    plan: Callable[[C], Iterable[S]]
    needs: tuple[str, ...] = ()
    on_failure: OnFailure = OnFailure.LEAVE_HOSTS_OUT

    def complete(self, step: S, needs: tuple[str, ...]) -> S:
        """The planned step with what it has from its type; its own summary and failure policy come first."""
        policy = self.on_failure if step.on_failure is OnFailure.LEAVE_HOSTS_OUT else step.on_failure
        return replace(
            step, name=self.name, summary=step.summary or self.summary, needs=needs, on_failure=policy
        )


@dataclass(frozen=True, slots=True)
class Catalogue(Generic[C, S]):
    """Step types in the order in which their steps could also run one by one.

    `advance` gives the context in which later types are planned, after a step; by default it stays the same.
    Raises ValueError when it is built with a duplicate name, or with a need that is not an earlier step type.
    """

    types: tuple[StepType[C, S], ...]
    advance: Callable[[C, S], C] = lambda context, _step: context

    def __post_init__(self) -> None:
        known: set[str] = set()
        for one in self.types:
            if one.name in known:
                raise ValueError(f"two step types are called {one.name}")
            _refuse_unknown(f"step type {one.name}", one.needs, known)
            known.add(one.name)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(one.name for one in self.types)

    def plan(self, context: C) -> tuple[S, ...]:
        """The steps that the context calls for, in order; () if there is nothing to do."""
        return tuple(self._planned(context))

    def _planned(self, context: C) -> Iterator[S]:
        planned: list[str] = []
        for position, one in enumerate(self.types):
            steps = tuple(one.plan(context))
            if len(steps) > 1:
                raise ValueError(f"step type {one.name} planned {len(steps)} steps")
            for step in steps:
                _refuse_unknown(f"step {one.name}", step.needs, self.names[:position])
                needs = dict.fromkeys((*one.needs, *step.needs))
                completed = one.complete(step, tuple(need for need in needs if need in planned))
                planned.append(one.name)
                context = self.advance(context, completed)
                yield completed


def _refuse_unknown(what: str, needs: Iterable[str], known: Collection[str]) -> None:
    unknown = [need for need in needs if need not in known]
    if unknown:
        raise ValueError(f"{what} needs {', '.join(unknown)}, no step type before it")
