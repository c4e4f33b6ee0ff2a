from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.providers.eks.apply_runs import ADMIN, SMALL, apply
from tests.unit.providers.eks.fault_injection import KilledError, Killer

if TYPE_CHECKING:
    from provision.model.eks import EksCluster
    from tests.aws.account import AwsAccount

MOST_CALLS = 120
CHANGED = SMALL.model_copy(
    update={
        "kubernetes": "1.35",
        "logs": ("audit",),
        "tags": {"team": "platform"},
        "node_groups": (SMALL.node_groups[0].model_copy(update={"name": "others", "labels": {"a": "b"}}),),
        "fargate_profiles": (SMALL.fargate_profiles[0].model_copy(update={"name": "jobs"}),),
        "pod_identities": (),
        "addons": SMALL.addons[:2],
    }
)


def prepared(aws: AwsAccount, cluster: EksCluster | None) -> None:
    aws.reset()
    aws.operator().client("iam").create_role(
        RoleName=ADMIN.rpartition("/")[2], AssumeRolePolicyDocument='{"Statement": []}'
    )
    if cluster is not None:
        assert apply(cluster).outcome.ok


def undisturbed(aws: AwsAccount, before: EksCluster | None, wanted: EksCluster) -> tuple[object, int]:
    """The inventory after a run that is not interrupted, and its mutating calls."""
    prepared(aws, before)
    aws.forget_calls()
    assert apply(wanted).outcome.ok
    return aws.inventory(), len(aws.mutating_calls)


@pytest.mark.parametrize(("before", "wanted"), [(None, SMALL), (SMALL, CHANGED)], ids=["create", "change"])
def test_a_run_that_is_killed_after_every_single_call_ends_where_an_undisturbed_one_does(
    aws: AwsAccount, before: EksCluster | None, wanted: EksCluster
) -> None:
    expected, calls = undisturbed(aws, before, wanted)
    prepared(aws, before)

    runs = 0
    while True:
        runs += 1
        try:
            applied = apply(wanted, killer=Killer(1))
        except KilledError:
            assert runs < MOST_CALLS
            continue
        break

    assert applied.outcome.ok
    assert aws.inventory() == expected
    assert runs > calls / 3  # calls that are on their way at the same time are done together
    assert apply(wanted).plan == ()
