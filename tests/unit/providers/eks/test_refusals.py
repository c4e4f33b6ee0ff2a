from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from provision.model.eks import Access, Addon, NodeGroup, Vpc
from provision.providers.eks.checks.refusals import refusals
from provision.providers.eks.facts import AddonOffer, HealthIssue
from tests.unit.providers.eks import factories, plan_factories

FEW = factories.cluster()


def test_a_cluster_that_is_as_its_file_says_is_not_refused() -> None:
    assert refusals(FEW, plan_factories.whole(FEW)) == ()
    assert refusals(FEW, factories.nothing()) == ()


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"vpc": Vpc(cidr="10.0.0.0/16")}, "vpc.cidr"),
        ({"vpc": Vpc(zones=("eu-central-1a", "eu-central-1b"))}, "vpc.zones"),
        ({"service_cidr": "10.200.0.0/16"}, "service_cidr"),
        ({"kubernetes": "1.34"}, "kubernetes"),
        ({"access": Access(creator_admin=False)}, "access.creator_admin"),
        (
            {"node_groups": (NodeGroup(name="workers", instance_types=("c7i.large",)),)},
            "node_groups[0].instance_types",
        ),
        ({"node_groups": (NodeGroup(name="workers", disk=100),)}, "node_groups[0].disk"),
        ({"node_groups": (NodeGroup(name="workers", capacity="spot"),)}, "node_groups[0].capacity"),
        ({"node_groups": (NodeGroup(name="workers", ami="Bottlerocket"),)}, "node_groups[0].ami"),
        ({"node_groups": (NodeGroup(name="workers", subnets="public"),)}, "node_groups[0].subnets"),
    ],
)
def test_what_aws_changes_on_nothing_that_exists_is_refused_with_a_way(
    changes: dict[str, Any], key: str
) -> None:
    found = refusals(FEW.model_copy(update=changes), plan_factories.whole(FEW))
    assert key in [finding.key for finding in found]
    assert all(finding.severity == "error" and finding.fix for finding in found)


def test_a_key_that_encrypts_secrets_cannot_be_taken_away() -> None:
    before = FEW.model_copy(update={"encryption_key": "arn:aws:kms:eu-central-1:123456789012:key/1"})
    assert [one.key for one in refusals(FEW, plan_factories.whole(before))] == ["encryption_key"]
    assert refusals(before, plan_factories.whole(FEW)) == ()


def test_selectors_of_a_fargate_profile_cannot_be_changed() -> None:
    def cluster(namespace: str) -> Any:
        return factories.cluster(
            fargate_profiles=({"name": "batch", "selectors": ({"namespace": namespace},)},)
        )

    found = refusals(cluster("two"), plan_factories.whole(cluster("one")))
    assert [one.key for one in found] == ["fargate_profiles[0].selectors"]


def test_a_failed_cluster_says_why_and_how_it_goes_on() -> None:
    seen = plan_factories.whole(FEW)
    assert seen.cluster is not None
    issue = HealthIssue(code="Ec2SubnetNotFound", message="subnet-1 is gone")
    seen = replace(seen, cluster=replace(seen.cluster, status="FAILED", health=(issue,)))

    (found,) = refusals(FEW, seen)

    assert "Ec2SubnetNotFound: subnet-1 is gone" in found.message
    assert "provision reset" in found.fix


def test_a_node_group_of_somebody_else_that_would_be_too_old_stops_an_upgrade() -> None:
    theirs = factories.node_group(NodeGroup(name="theirs"), FEW, owned=False, version="1.32")
    seen = plan_factories.whole(FEW)
    seen = replace(seen, node_groups=(*seen.node_groups, theirs))

    (found,) = refusals(FEW.model_copy(update={"kubernetes": "1.36"}), seen)

    assert found.message.startswith("node-group theirs, which provision did not make, runs 1.32: too old")


def test_an_add_on_version_that_is_not_offered_stops_an_upgrade() -> None:
    wanted = FEW.model_copy(
        update={"kubernetes": "1.36", "addons": (Addon(name="coredns", version="v1.0.0-eksbuild.1"),)}
    )
    offer = AddonOffer(
        addon="coredns", kubernetes="1.36", versions=("v1.3.0-eksbuild.1",), default="v1.3.0-eksbuild.1"
    )

    (found,) = refusals(wanted, plan_factories.whole(FEW, offers=(offer,)))

    assert (found.key, "v1.3.0-eksbuild.1" in found.fix) == ("addons[0].version", True)


def test_two_vpcs_with_our_tags_are_refused() -> None:
    seen = plan_factories.whole(FEW)
    vpcs = (*seen.network.vpcs, replace(seen.network.vpcs[0], id="vpc-copy"))
    (found,) = refusals(FEW, replace(seen, network=replace(seen.network, vpcs=vpcs)))
    assert found.check == "two-networks"


def test_a_node_group_that_never_worked_may_be_asked_for_differently() -> None:
    seen = plan_factories.whole(FEW)
    failed = replace(seen.node_groups[0], status="CREATE_FAILED", disk=20)
    assert refusals(FEW, replace(seen, node_groups=(failed,))) == ()
