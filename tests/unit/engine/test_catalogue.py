from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from provision.engine.catalogue import Catalogue, StepType
from provision.model.plan import OnFailure, Reason, Step
from provision.providers.kubeadm.steps.catalogue import CATALOGUE

Context = frozenset[str]  # the names of the steps that are called for


def called_for(name: str) -> Callable[[Context], Iterator[Step]]:
    def plan(context: Context) -> Iterator[Step]:
        if name in context:
            yield Step(name="", summary="", hosts=("cp1",), reasons=(Reason("cp1", "x"),))

    return plan


def a_type(
    name: str, *needs: str, on_failure: OnFailure = OnFailure.LEAVE_HOSTS_OUT
) -> StepType[Context, Step]:
    return StepType(
        name=name, summary=f"Do {name}", needs=needs, on_failure=on_failure, plan=called_for(name)
    )


def test_a_need_that_is_no_step_type_is_refused() -> None:
    with pytest.raises(
        ValueError, match="step type join-workers needs install-kubernets, no step type before"
    ):
        Catalogue((a_type("install-kubernetes"), a_type("join-workers", "install-kubernets")))


def test_a_need_that_comes_later_is_refused() -> None:
    with pytest.raises(ValueError, match="step type a needs b"):
        Catalogue((a_type("a", "b"), a_type("b")))


def test_a_duplicate_name_is_refused() -> None:
    with pytest.raises(ValueError, match="two step types are called a"):
        Catalogue((a_type("a"), a_type("a")))


def test_a_type_plans_one_step_at_most() -> None:
    twice: StepType[Context, Step] = StepType(
        name="a", summary="A", plan=lambda context: (*called_for("a")(context), *called_for("a")(context))
    )

    with pytest.raises(ValueError, match="step type a planned 2 steps"):
        Catalogue((twice,)).plan(frozenset({"a"}))


def test_steps_come_in_the_order_of_the_catalogue_with_those_needs_that_are_planned() -> None:
    catalogue = Catalogue((a_type("a"), a_type("b", "a"), a_type("c", "a", "b")))

    plan = catalogue.plan(frozenset({"c", "a"}))

    assert [(step.name, step.summary, step.needs) for step in plan] == [
        ("a", "Do a", ()),
        ("c", "Do c", ("a",)),
    ]


def asking(*needs: str) -> StepType[Context, Step]:
    """The type b, whose step has needs of its own."""
    step = Step(name="", summary="", hosts=("cp1",), reasons=(Reason("cp1", "x"),), needs=needs)
    return StepType(name="b", summary="B", plan=lambda _: (step,))


def test_a_step_may_have_needs_that_its_type_has_not() -> None:
    catalogue = Catalogue((a_type("a"), a_type("x"), asking("a", "x")))

    assert catalogue.plan(frozenset({"a"}))[-1].needs == ("a",)


@pytest.mark.parametrize("need", ["b", "c", "unknown"])
def test_a_need_of_a_step_that_is_no_earlier_type_is_refused(need: str) -> None:
    catalogue = Catalogue((a_type("a"), asking(need), a_type("c")))

    with pytest.raises(ValueError, match=f"step b needs {need}, no step type before it"):
        catalogue.plan(frozenset())


def test_a_step_has_the_failure_policy_of_its_type() -> None:
    (step,) = Catalogue((a_type("a", on_failure=OnFailure.STOP_BATCH),)).plan(frozenset({"a"}))

    assert step.on_failure is OnFailure.STOP_BATCH


def test_later_types_are_planned_in_the_context_that_a_step_leaves() -> None:
    catalogue = Catalogue(
        (a_type("a"), a_type("b")), lambda context, step: context | {"b"} if step.name == "a" else context
    )

    assert [step.name for step in catalogue.plan(frozenset({"a"}))] == ["a", "b"]


def test_the_last_steps_of_kubeadm_wait_for_all_that_changes_the_cluster() -> None:
    *changes, ready, smoke = CATALOGUE.types

    assert ready.needs == tuple(one.name for one in changes)
    assert (ready.name, smoke.name, smoke.needs) == ("wait-ready", "smoke-test", ("wait-ready",))
