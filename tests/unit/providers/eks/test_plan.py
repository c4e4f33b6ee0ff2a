from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from provision.model.eks import Access, Addon, NodeGroup, PodIdentity, Vpc
from provision.providers.eks import names
from provision.providers.eks.facts import HealthIssue
from provision.providers.eks.resources.addon_upgrades import AddonUpgrade
from provision.providers.eks.resources.nat import AddressDeletion
from provision.providers.eks.steps.catalogue import apply_plan as plan
from tests.unit.providers.eks import factories, plan_factories
from tests.unit.providers.eks.plan_factories import as_text

if TYPE_CHECKING:
    from provision.model.eks import EksCluster
    from provision.model.plan import Plan
    from provision.providers.eks.facts import Observation
    from provision.providers.eks.steps.planning import EksStep

Golden = Callable[[str, str], None]

EVERYTHING = factories.cluster(
    node_groups=(
        NodeGroup(name="workers"),
        NodeGroup(
            name="spot",
            capacity="spot",
            instance_types=("m7g.large", "m6g.large"),
            taints=("spot:NoExecute",),
        ),
    ),
    fargate_profiles=(
        {"name": "batch", "selectors": ({"namespace": "batch", "labels": {"on": "fargate"}},)},
    ),
    access=Access(admins=("arn:aws:iam::123456789012:role/platform",)),
    pod_identities=(
        PodIdentity(
            namespace="kube-system", service_account="ebs", policy_arns=("arn:aws:iam::aws:policy/Ebs",)
        ),
    ),
    logs=("audit",),
    encryption_key="arn:aws:kms:eu-central-1:123456789012:key/1",
    service_cidr="10.100.0.0/16",
    tags={"team": "platform"},
)
FEW = factories.cluster()


def step_of(cluster: EksCluster, seen: Observation, name: str) -> EksStep:
    return next(one for one in plan(cluster, seen) if one.name == name)


def step_names(steps: Plan) -> list[str]:
    return [one.name for one in steps]


def with_group(seen: Observation, **changes: object) -> Observation:
    first, *others = seen.node_groups
    return replace(seen, node_groups=(replace(first, **changes), *others))  # type: ignore[arg-type]


def with_cluster(seen: Observation, **changes: object) -> Observation:
    assert seen.cluster is not None
    return replace(seen, cluster=replace(seen.cluster, **changes))  # type: ignore[arg-type]


def test_an_empty_account_gets_everything(golden: Golden) -> None:
    golden("eks-plans/fresh.txt", as_text(plan(EVERYTHING, factories.nothing())))


def test_a_cluster_that_is_as_its_file_says_needs_nothing(golden: Golden) -> None:
    golden("eks-plans/nothing-to-do.txt", as_text(plan(EVERYTHING, plan_factories.whole(EVERYTHING))))


def test_other_sizes_labels_and_taints_are_one_step(golden: Golden) -> None:
    group = NodeGroup(name="workers", desired=5, max=6, labels={"disk": "ssd"}, taints=("a=b:NoSchedule",))
    wanted = factories.cluster(node_groups=(group,))
    golden("eks-plans/scaled.txt", as_text(plan(wanted, plan_factories.whole(FEW))))


def test_an_upgrade_over_two_minors_goes_through_the_one_between(golden: Golden) -> None:
    old = factories.cluster(kubernetes="1.33", addons=(Addon(name="kube-proxy"), Addon(name="coredns")))
    wanted = old.model_copy(update={"kubernetes": "1.35"})
    seen = plan_factories.whole(old, offers=plan_factories.offers(old, "1.34", "1.35"))
    golden("eks-plans/upgrade.txt", as_text(plan(wanted, seen)))


def test_what_left_the_file_is_taken_away_last(golden: Golden) -> None:
    golden(
        "eks-plans/less.txt",
        as_text(
            plan(FEW, replace(plan_factories.whole(EVERYTHING), cluster=plan_factories.whole(FEW).cluster))
        ),
    )


def test_an_upgrade_that_was_cut_off_before_its_nodes_goes_on_there() -> None:
    seen = with_group(plan_factories.whole(FEW), version="1.34")
    assert step_names(plan(FEW, seen)) == ["upgrade-node-groups-1.35", "nodes-ready"]


def test_nodes_come_to_the_control_plane_before_it_goes_on() -> None:
    seen = with_group(plan_factories.whole(FEW), version="1.34")
    steps = plan(FEW.model_copy(update={"kubernetes": "1.36"}), seen)
    assert step_names(steps)[:3] == [
        "upgrade-node-groups-1.35",
        "upgrade-control-plane-1.36",
        "upgrade-node-groups-1.36",
    ]
    assert "upgrade-node-groups-1.35" in steps[1].needs


def test_an_add_on_goes_straight_to_the_written_version_when_the_control_plane_has_its_minor() -> None:
    wanted = FEW.model_copy(
        update={"kubernetes": "1.36", "addons": (Addon(name="coredns", version="v1.3.0-eksbuild.1"),)}
    )
    seen = plan_factories.whole(FEW, offers=plan_factories.offers(wanted, "1.36"))
    coredns = seen.addon("coredns")
    assert coredns is not None
    seen = replace(seen, addons=(replace(coredns, version="v1.0.0-eksbuild.1"),))

    step = step_of(wanted, seen, "upgrade-addons-1.36")

    (change,) = step.changes
    assert isinstance(change, AddonUpgrade)
    assert (change.resource, change.version) == ("addon coredns", "v1.3.0-eksbuild.1")
    assert "addons" not in step_names(plan(wanted, seen))


def test_an_unwritten_add_on_version_is_left_alone_while_it_goes_with_the_minor() -> None:
    wanted = FEW.model_copy(update={"kubernetes": "1.36", "addons": (Addon(name="coredns"),)})
    seen = plan_factories.whole(wanted, offers=plan_factories.offers(wanted, "1.36"))
    seen = with_cluster(seen, version="1.35")
    assert "upgrade-addons-1.36" not in step_names(plan(wanted, seen))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"status": "CREATING"}, "is CREATING"),
        ({"status": "UPDATING"}, "is UPDATING"),
        ({"status": "DEGRADED"}, "is DEGRADED"),
        ({"status": "DELETING"}, "is being deleted, and is wanted again"),
        (
            {"status": "CREATE_FAILED", "health": (HealthIssue(code="NodeCreationFailure", message="x"),)},
            "never worked (NodeCreationFailure): it is deleted and created again",
        ),
        ({"desired": 1}, "desired is 1, not 2"),
    ],
)
def test_a_node_group_that_is_not_well_or_not_so_large_is_in_the_plan(
    changes: dict[str, object], reason: str
) -> None:
    step = step_of(FEW, with_group(plan_factories.whole(FEW), **changes), "node-groups")
    assert [one.what for one in step.reasons] == [reason]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"logs": ("api",)}, "logs: api off"),
        ({"public": False}, "endpoint is private, not public and private"),
        ({"public_cidrs": ("10.0.0.0/8",)}, "endpoint admits 10.0.0.0/8, not 0.0.0.0/0"),
        ({"status": "UPDATING"}, "is UPDATING"),
    ],
)
def test_a_setting_that_differs_is_a_reason(changes: dict[str, object], reason: str) -> None:
    step = step_of(FEW, with_cluster(plan_factories.whole(FEW), **changes), "cluster-settings")
    assert [one.what for one in step.reasons] == [reason]


def network_reasons(seen: Observation) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in plan(FEW, seen):
        assert one.name in {"network", "nat"}
        for reason in one.reasons:
            found.setdefault(reason.host, []).append(reason.what)
    return found


def test_half_made_parts_of_the_network_are_finished() -> None:
    seen = plan_factories.whole(FEW)
    network = seen.network
    half = replace(
        network,
        vpcs=(replace(network.vpcs[0], dns_hostnames=False),),
        subnets=(replace(network.subnets[0], public_addresses=False), *network.subnets[1:]),
        internet_gateways=(replace(network.internet_gateways[0], attached_to=""),),
        nats=(replace(network.nats[0], state="pending"),),
        route_tables=(
            replace(network.route_tables[0], routes={}),
            replace(network.route_tables[1], associations={}),
            *network.route_tables[2:],
        ),
    )

    assert network_reasons(replace(seen, network=half)) == {
        "vpc": ["gives machines no DNS names (enableDnsHostnames)"],
        "subnet-public-eu-central-1a": ["gives machines no public addresses"],
        "internet-gateway": ["is not attached to the VPC"],
        "routes-public": ["have no route to internet-gateway"],
        "nat-eu-central-1a": ["is pending"],
        "routes-private-eu-central-1a": ["are not those of subnet-private-eu-central-1a"],
    }


def test_without_nat_gateways_private_subnets_lead_nowhere() -> None:
    wanted = FEW.model_copy(update={"vpc": Vpc(nat="none")})
    step = step_of(wanted, plan_factories.whole(FEW), "nat")
    assert {one.host: one.what for one in step.reasons} == {
        "routes-private-eu-central-1a": "lead to nat-1 instead of nowhere",
        "routes-private-eu-central-1b": "lead to nat-1 instead of nowhere",
        "routes-private-eu-central-1c": "lead to nat-1 instead of nowhere",
        "nat-eu-central-1a": "is not needed any more",
        "address-eu-central-1a": "is not needed any more",
    }


def test_needs_name_steps_of_the_plan_that_come_before() -> None:
    steps = plan(EVERYTHING, factories.nothing())
    for number, one in enumerate(steps):
        assert set(one.needs) <= set(step_names(steps[:number])), one.name


def test_resources_have_one_row_each_in_a_step() -> None:
    for one in plan(EVERYTHING, factories.nothing()):
        assert len(set(one.hosts)) == len(one.hosts)


def test_a_role_that_lost_a_policy_gets_it_back() -> None:
    seen = plan_factories.whole(FEW)
    nodes = next(role for role in seen.roles if role.part == names.NODE_ROLE)
    roles = (*(role for role in seen.roles if role is not nodes), replace(nodes, policies=nodes.policies[1:]))
    step = step_of(FEW, replace(seen, roles=roles), "roles")
    assert [one.what for one in step.reasons] == ["lacks the policy AmazonEC2ContainerRegistryPullOnly"]


def test_an_address_that_a_killed_run_left_beside_the_one_in_use_is_released() -> None:
    seen = plan_factories.whole(FEW)
    (used,) = seen.network.addresses
    left = replace(used, id="eipalloc-2", ip="3.3.3.4", associated=False)
    seen = replace(seen, network=replace(seen.network, addresses=(left, used)))

    (step,) = plan(FEW, seen)

    assert step.changes == (
        AddressDeletion("address-eu-central-1a (3.3.3.4)", ("is there twice",), "eipalloc-2"),
    )
