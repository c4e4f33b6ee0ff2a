from __future__ import annotations

import pytest

from provision.model.eks import NodeGroup, Vpc
from provision.providers.eks import names
from provision.providers.eks.resources.network import subnets
from provision.providers.eks.resources.node_group_spec import ami_type
from tests.unit.providers.eks import factories


def test_a_role_name_says_cluster_region_and_part() -> None:
    assert names.role_name("eu-central-1", "demo", "role-nodes") == "provision-demo-eu-central-1-nodes"


def test_long_role_names_are_cut_and_stay_apart() -> None:
    one = names.role_name("ap-southeast-2", "a" * 63, names.pod_role("kube-system", "one"))
    two = names.role_name("ap-southeast-2", "a" * 63, names.pod_role("kube-system", "two"))
    assert len(one) == len(two) == 64
    assert one != two


def test_roles_of_service_accounts_do_not_run_into_each_other() -> None:
    assert names.pod_role("a", "b-c") != names.pod_role("a-b", "c")


def test_tags_of_the_file_do_not_hide_ours() -> None:
    found = names.tags("demo", "vpc", {names.CLUSTER: "another", "team": "platform"})
    assert names.owned("demo", found)
    assert found["team"] == "platform"


def test_tags_of_another_cluster_are_not_ours() -> None:
    assert not names.owned("demo", names.tags("other", "vpc", {}))
    assert not names.owned("demo", {names.CLUSTER: "demo"})


def test_a_client_token_fits_aws_and_differs_with_the_spec() -> None:
    tokens = {names.client_token("1", "r", "demo", "cluster", {"subnets": ids}) for ids in ("a", "b", "a")}
    assert len(tokens) == 2
    assert {len(token) for token in tokens} == {64}


@pytest.mark.parametrize(
    ("cidr", "zones", "ranges"),
    [
        ("192.168.0.0/16", 3, ["192.168.0.0/19", "192.168.32.0/19", "192.168.64.0/19", "192.168.96.0/19"]),
        ("10.0.0.0/24", 2, ["10.0.0.0/26", "10.0.0.64/26", "10.0.0.128/26", "10.0.0.192/26"]),
    ],
)
def test_subnets_share_the_range_without_overlap(cidr: str, zones: int, ranges: list[str]) -> None:
    cluster = factories.cluster(vpc=Vpc(cidr=cidr))
    found = subnets(cluster, factories.ZONES[:zones])
    assert [one.cidr for one in found][:4] == ranges
    assert len({one.cidr for one in found}) == 2 * zones
    assert [one.public for one in found] == [True] * zones + [False] * zones


@pytest.mark.parametrize(
    ("kind", "ami", "expected"),
    [
        ("m7i.large", "AL2023", "AL2023_x86_64_STANDARD"),
        ("m7i-flex.large", "AL2023", "AL2023_x86_64_STANDARD"),
        ("m7g.large", "AL2023", "AL2023_ARM_64_STANDARD"),
        ("c6gn.large", "AL2023", "AL2023_ARM_64_STANDARD"),
        ("a1.large", "Bottlerocket", "BOTTLEROCKET_ARM_64"),
        ("g4dn.xlarge", "AL2023", "AL2023_x86_64_NVIDIA"),
        ("g4ad.xlarge", "AL2023", "AL2023_x86_64_STANDARD"),
        ("g5g.xlarge", "Bottlerocket", "BOTTLEROCKET_ARM_64_NVIDIA"),
        ("p5.48xlarge", "AL2023", "AL2023_x86_64_NVIDIA"),
        ("trn1.2xlarge", "AL2023", "AL2023_x86_64_NEURON"),
        ("t3.medium", "Bottlerocket", "BOTTLEROCKET_x86_64"),
    ],
)
def test_the_image_fits_the_machines(kind: str, ami: str, expected: str) -> None:
    group = NodeGroup.model_validate({"name": "w", "instance_types": (kind,), "ami": ami})
    assert ami_type(group) == expected
