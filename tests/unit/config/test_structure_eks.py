"""Keys and types of values of an EKS file: messages say what is there and what is needed."""

from __future__ import annotations

import pytest

from .eks_factories import EKS, eks_changed, group
from .factories import findings_of, only


@pytest.mark.parametrize(
    ("new", "meant"),
    [
        ("regoin: 1", "region"),
        ("version: 1", "kubernetes"),
        ("hosts: []", "node_groups"),
        ("managedNodeGroups: []", "node_groups"),
        ("fargateProfiles: []", "fargate_profiles"),
        ("availabilityZones: []", "vpc.zones"),
        ("cidr: 1", "vpc.cidr"),
        ("private: []", "vpc.subnets.private"),
        ("publicAccessCIDRs: []", "endpoint.public_cidrs"),
        ("kms_key: x", "encryption_key"),
        ("cloudWatch: {}", "logs"),
        ("spot: true", "node_groups.capacity"),
    ],
)
def test_the_fix_of_an_unknown_key_is_the_closest_known_one(new: str, meant: str) -> None:
    finding = only(findings_of(eks_changed(add=f"{new}\n")))
    assert (finding.where, finding.check) == ("cluster.yaml:8", "unknown-key")
    assert finding.fix == f"did you mean {meant}?"


@pytest.mark.parametrize(
    ("more", "key", "fix"),
    [
        ("instanceType: m7i.large", "node_groups[0].instanceType", "did you mean instance_types?"),
        ("desiredCapacity: 2", "node_groups[0].desiredCapacity", "did you mean desired?"),
        ("maxSize: 2", "node_groups[0].maxSize", "did you mean max?"),
        ("volumeSize: 2", "node_groups[0].volumeSize", "did you mean disk?"),
        ("amiFamily: x", "node_groups[0].amiFamily", "did you mean ami?"),
        ("zzzz: x", "node_groups[0].zzzz", "known here: name, instance_types, capacity"),
    ],
)
def test_a_node_groups_key_of_other_tools_is_known(more: str, key: str, fix: str) -> None:
    finding = only(findings_of(group(more)))
    assert finding.key == key
    assert finding.fix.startswith(fix)


@pytest.mark.parametrize(
    ("text", "key", "message", "fix"),
    [
        (
            eks_changed(('"1.35"', "1.35")),
            "kubernetes",
            "1.35 is a number; text is needed",
            'write it in quotes: "1.35"',
        ),
        (
            eks_changed(('"1.35"', "1.30")),
            "kubernetes",
            "YAML reads 1.30 as the number 1.3; text is needed",
            'write it in quotes: "1.30"',
        ),
        (eks_changed(('"1.35"', "1")), "kubernetes", "1 is a number; text is needed", 'in quotes: "1.35"'),
        (
            eks_changed(("{public_cidrs: [203.0.113.0/24]}", '{public: "yes"}')),
            "endpoint.public",
            "yes is text; true or false is needed",
            "write true without quotes",
        ),
        (
            eks_changed(("{public_cidrs: [203.0.113.0/24]}", "{private: 1, public_cidrs: [203.0.113.0/24]}")),
            "endpoint.private",
            "1 is a number; true or false is needed",
            "",
        ),
        (
            group('max: "3"'),
            "node_groups[0].max",
            "3 is text; a whole number is needed",
            "write 3 without quotes",
        ),
        (
            group("instance_types: m7i.large"),
            "node_groups[0].instance_types",
            "m7i.large is text; a list is needed",
            "write [m7i.large]",
        ),
        (
            group("capacity: SPOTS"),
            "node_groups[0].capacity",
            "SPOTS is none of on-demand, spot",
            "did you mean spot?",
        ),
        (
            group("capacity: ON_DEMAND"),
            "node_groups[0].capacity",
            "ON_DEMAND is none of on-demand, spot",
            "did you mean on-demand?",
        ),
        (
            group("ami: AL2"),
            "node_groups[0].ami",
            "AL2 is none of AL2023, Bottlerocket",
            "did you mean AL2023?",
        ),
        (
            eks_changed(add="logs: [audits]\n"),
            "logs[0]",
            "audits is none of api, audit, authenticator, controllerManager, scheduler",
            "did you mean audit?",
        ),
        (
            eks_changed(add="tags: {on: no}\n"),
            "tags.on",
            "no without quotes is false to YAML; text is needed",
            "quotes",
        ),
        (
            eks_changed(add="backend: terraform\n"),
            "backend",
            "terraform is none of boto3, eksctl",
            "boto3 or eksctl",
        ),
    ],
)
def test_a_wrong_kind_of_value_says_what_is_there_and_what_is_needed(
    text: str, key: str, message: str, fix: str
) -> None:
    finding = only(findings_of(text))
    assert (finding.key, finding.message) == (key, message)
    assert fix in finding.fix


def test_a_misspelt_required_key_is_one_mistake_not_two() -> None:
    assert only(findings_of(eks_changed(("region:", "regio:")))).fix == "did you mean region?"
    assert only(findings_of(eks_changed(("node_groups:", "node_group:")))).fix == "did you mean node_groups?"


def test_a_cluster_on_which_no_pod_could_run_is_refused() -> None:
    head = EKS.partition("node_groups:")[0]
    for text in (head, f"{head}node_groups: []\n", f"{head}fargate_profiles: []\n"):
        finding = only(findings_of(text))
        assert finding.message == "neither node groups nor Fargate profiles are given: no pod could run"


def test_no_words_of_pydantic_reach_the_user() -> None:
    text = (
        "provider: eks\nname: [1]\nregion: 1\nkubernetes: {}\nvpc: 1\nendpoint: []\nnode_groups: 7\n"
        "fargate_profiles: [1]\naddons: {a: b}\naccess: {admins: x, creator_admin: 1.5}\nlogs: [1]\ntags: [a]\n"
    )
    found = findings_of(text)
    assert len(found) == 12
    for finding in found:
        assert "Input should" not in finding.message
        assert "valid" not in finding.message
