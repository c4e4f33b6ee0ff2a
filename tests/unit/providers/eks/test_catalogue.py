"""The table of step types that both apply and reset are planned from."""

from __future__ import annotations

from dataclasses import replace

import pytest

from provision.engine.catalogue import Catalogue
from provision.providers.eks import names
from provision.providers.eks.facts import Orphans
from provision.providers.eks.steps.catalogue import apply_plan, effect_of, reset_plan, step_types
from tests.unit.providers.eks import factories, plan_factories
from tests.unit.providers.eks.test_plan import EVERYTHING

MINORS = ("1.34", "1.35")


def test_the_catalogue_has_all_step_types_of_apply_and_reset() -> None:
    known = Catalogue(step_types(MINORS)).names

    assert known[:4] == ("network", "roles", "nat", "cluster")
    assert known[-1] == "delete-roles"
    assert {f"upgrade-node-groups-{minor}" for minor in MINORS} <= set(known)


def test_a_step_type_that_needs_an_unknown_one_is_refused() -> None:
    first, *others = step_types(())

    with pytest.raises(ValueError, match="instal-cluster"):
        Catalogue((first, replace(others[0], needs=("instal-cluster",))))


def test_two_step_types_of_one_name_are_refused() -> None:
    first, *_ = step_types(())

    with pytest.raises(ValueError, match="network"):
        Catalogue((first, first))


def test_every_planned_step_has_the_effect_of_its_type() -> None:
    whole = plan_factories.whole(EVERYTHING)
    old = EVERYTHING.model_copy(update={"kubernetes": "1.34"})
    upgrade = apply_plan(EVERYTHING, plan_factories.whole(old, offers=plan_factories.offers(old, "1.35")))
    effects = {one.name: one.effect.__name__ for one in step_types(MINORS)}

    for plan in (
        apply_plan(EVERYTHING, factories.nothing()),
        upgrade,
        reset_plan(EVERYTHING, whole, Orphans(), delete_volumes=True),
    ):
        assert plan
        assert [effect_of(step).__name__ for step in plan] == [effects[step.name] for step in plan]


def test_a_step_is_left_out_when_a_resource_that_it_requires_failed() -> None:
    steps = {step.name: step for step in apply_plan(EVERYTHING, factories.nothing())}

    assert steps["nat"].without_failed_hosts(frozenset({names.VPC})) is None
    assert steps["node-groups"].without_failed_hosts(frozenset({names.NODE_ROLE})) is None


def test_a_step_keeps_the_changes_of_the_resources_that_did_not_fail() -> None:
    steps = {step.name: step for step in apply_plan(EVERYTHING, factories.nothing())}

    left = steps["node-groups"].without_failed_hosts(frozenset({names.node_group("spot")}))

    assert left is not None
    assert left.hosts == tuple(change.resource for change in left.changes) == ("node-group workers",)
