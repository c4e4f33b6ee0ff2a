"""What reset plans from what was seen: pure, without an account."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from provision.model.plan import OnFailure
from provision.providers.eks.facts import LoadBalancerFacts, Orphans, TargetGroupFacts, VolumeFacts
from provision.providers.eks.resources.orphans import remaining
from provision.providers.eks.steps.catalogue import reset_plan
from provision.report.text import plan_text
from tests.unit.providers.eks import factories, plan_factories
from tests.unit.providers.eks.test_plan import EVERYTHING

if TYPE_CHECKING:
    from collections.abc import Callable

ARN = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/k8s-web/1"
LEFT = Orphans(
    load_balancers=(LoadBalancerFacts(name="k8s-web", arn=ARN), LoadBalancerFacts(name="a0123", arn="")),
    target_groups=(TargetGroupFacts(name="k8s-web-tg", arn="arn:aws:...:targetgroup/k8s-web-tg/1"),),
    volumes=(VolumeFacts(id="vol-1", claim="default/data", size=10),),
)


def test_everything_goes_in_the_order_in_which_aws_lets_it_go(golden: Callable[[str, str], None]) -> None:
    steps = reset_plan(EVERYTHING, plan_factories.whole(EVERYTHING), LEFT, delete_volumes=True)

    needs = "\n".join(f"{step.name}: {', '.join(step.needs) or '-'}" for step in steps)
    golden("eks-plans/reset.txt", f"{plan_text(EVERYTHING.name, steps)}\n{needs}\n")


def test_an_empty_account_needs_no_reset() -> None:
    assert reset_plan(EVERYTHING, factories.nothing(), Orphans(), delete_volumes=True) == ()


def test_volumes_stay_unless_they_are_asked_for() -> None:
    seen = plan_factories.whole(EVERYTHING)
    steps = reset_plan(EVERYTHING, seen, LEFT, delete_volumes=False)

    assert "delete-volumes" not in [step.name for step in steps]
    assert [line.split()[:2] for line in remaining(EVERYTHING, seen, LEFT, delete_volumes=False)] == [
        ["volume", "vol-1"],
        ["the", "log"],
    ]


def test_a_part_that_was_made_twice_is_two_rows() -> None:
    seen = plan_factories.whole(EVERYTHING)
    (vpc, *_) = seen.network.vpcs
    twice = replace(seen, network=replace(seen.network, vpcs=(vpc, replace(vpc, id="vpc-twin"))))

    steps = {step.name: step for step in reset_plan(EVERYTHING, twice, LEFT, delete_volumes=False)}

    assert [host for host in steps["delete-network"].hosts if host.startswith("vpc")] == [
        f"vpc {vpc.id}",
        "vpc vpc-twin",
    ]


def test_after_a_failure_no_further_step_is_taken() -> None:
    steps = reset_plan(EVERYTHING, plan_factories.whole(EVERYTHING), LEFT, delete_volumes=False)

    assert len(steps) > 1
    assert {step.on_failure for step in steps} == {OnFailure.STOP_ALL}
