"""The ordered list of everything a provider can do: what plans a step, what it needs, what its failure means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from provision.model.plan import OnFailure, Step

C = TypeVar("C")  # the context that steps are planned from
S = TypeVar("S", bound=Step)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepType(Generic[C, S]):
    """A kind of step. `plan` returns the steps of this type that a context calls for: none, or one.

    `needs` are names of earlier step types. `summary` describes the type; a planned step may say more.
    """

    name: str
    summary: str  # imperative, no final period
    plan: Callable[[C], Iterable[S]]
    needs: tuple[str, ...] = ()
    on_failure: OnFailure = OnFailure.LEAVE_HOSTS_OUT


@dataclass(frozen=True, slots=True)
class Catalogue(Generic[C, S]):
    """Step types in the order in which their steps could also run one by one.

    Raises ValueError when it is built with a duplicate name, or with a need that is not an earlier step type.
    """

    types: tuple[StepType[C, S], ...]

    def __post_init__(self) -> None:
        known: set[str] = set()
        for one in self.types:
            if one.name in known:
                raise ValueError(f"two step types are called {one.name}")
            unknown = [need for need in one.needs if need not in known]
            if unknown:
                raise ValueError(
                    f"step type {one.name} needs {', '.join(unknown)}, which does not come before it"
                )
            known.add(one.name)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(one.name for one in self.types)

    def plan(self, context: C) -> tuple[S, ...]:
        """The steps that the context calls for, in order; () if there is nothing to do."""
        return tuple(self._planned(context))

    def _planned(self, context: C) -> Iterator[S]:
        planned: set[str] = set()
        for one in self.types:
            for step in one.plan(context):
                if step.name in planned:
                    raise ValueError(f"step {step.name} was planned twice")
                yield replace(step, needs=tuple(need for need in one.needs if need in planned))
                planned.add(step.name)
