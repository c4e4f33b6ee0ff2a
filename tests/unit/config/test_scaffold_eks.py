"""A new file of provider eks from the arguments of a command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.config import eks_only, load
from provision.config.scaffold.eks import eks_cluster_from_arguments, eks_cluster_text
from provision.errors import FileError
from provision.model.eks import (
    Access,
    Addon,
    EksCluster,
    EndpointAccess,
    FargateProfile,
    NodeGroup,
    PodIdentity,
    Selector,
    Subnets,
    Vpc,
)
from provision.paths import content_root
from provision.versions import versions

from .eks_factories import ROLE, eks_file
from .factories import assert_golden

FULL = EksCluster(
    name="full",
    provider="eks",
    region="us-gov-west-1",
    profile="my profile",
    kubernetes="1.34",
    backend="eksctl",
    vpc=Vpc(subnets=Subnets(private=("subnet-0a1b2c3d", "subnet-0e4f5a6b"), public=("subnet-0f0f0f0f",))),
    service_cidr="172.20.0.0/16",
    endpoint=EndpointAccess(public=False, public_cidrs=("203.0.113.0/24", "198.51.100.7/32")),
    node_groups=(
        NodeGroup(
            name="no",
            instance_types=("m7g.large", "c7g.xlarge"),
            capacity="spot",
            min=0,
            desired=1,
            max=9,
            disk=100,
            labels={"country": "no", "example.com/a": "", "1": "1.20"},
            taints=("dedicated=db:NoSchedule", "x:NoExecute"),
            ami="Bottlerocket",
            subnets="public",
        ),
        NodeGroup(name="b"),
    ),
    fargate_profiles=(
        FargateProfile(
            name="f", selectors=(Selector(namespace="x"), Selector(namespace="*", labels={"on": "1"}))
        ),
    ),
    addons=(
        Addon(name="vpc-cni", version="v1.20.1-eksbuild.1"),
        Addon(name="kube-proxy"),
        Addon(name="eks-pod-identity-agent"),
    ),
    access=Access(creator_admin=False, admins=(ROLE.replace("aws:iam", "aws-us-gov:iam"),)),
    pod_identities=(
        PodIdentity(namespace="a", service_account="b", policy_arns=("arn:aws-us-gov:iam::aws:policy/X",)),
        PodIdentity(namespace="a", service_account="c", role_arn="arn:aws-us-gov:iam::123456789012:role/y@z"),
    ),
    encryption_key="arn:aws-us-gov:kms:us-gov-west-1:123456789012:key/mrk-1234abcd12ab34cd56ef1234567890ab",
    logs=("audit", "controllerManager"),
    tags={"cost center": "12", "team": "a+b @ c"},
)


def test_init_writes_a_commented_file_that_loads() -> None:
    cluster = eks_cluster_from_arguments(name="demo", region="eu-central-1")
    text = eks_cluster_text(cluster)
    assert_golden(text, "eks-init.yaml")
    loaded = eks_file(text)
    assert loaded.cluster == cluster
    assert loaded.cluster.kubernetes == versions().eks.default
    assert [finding.check for finding in loaded.warnings] == [
        "endpoint"
    ]  # open to the internet, as EKS's default


def test_every_flag_is_in_the_cluster() -> None:
    cluster = eks_cluster_from_arguments(
        name="big",
        region="us-east-1",
        nodes=5,
        instance_types=["m7g.large", "c7g.large"],
        zones=["us-east-1a", "us-east-1b"],
        kubernetes="1.34",
    )
    group = cluster.node_groups[0]
    assert (cluster.name, cluster.region, cluster.kubernetes) == ("big", "us-east-1", "1.34")
    assert (group.min, group.desired, group.max) == (1, 5, 6)
    assert group.instance_types == ("m7g.large", "c7g.large")
    assert cluster.vpc.zones == ("us-east-1a", "us-east-1b")
    assert eks_file(eks_cluster_text(cluster)).cluster == cluster


def test_every_wrong_argument_is_named_at_once() -> None:
    with pytest.raises(FileError) as failure:
        eks_cluster_from_arguments(
            name="De_mo",
            region="eu-central-1",
            nodes=-1,
            instance_types=["m7i.large", "m7i"],
            zones=["eu-central-1a", "eu-west-1b", "eu-central-1c", "eu-central-1d"],
            kubernetes="1.35.2",
            name_flag="--eks",
        )
    assert [finding.where for finding in failure.value.findings] == [
        "--nodes",
        "--eks",
        "--kubernetes",
        "--instance-type m7i",
        "--zone eu-west-1b",
        "--zone",
    ]


def test_a_region_is_required_and_not_guessed() -> None:
    with pytest.raises(FileError) as failure:
        eks_cluster_from_arguments(name="demo", region=None)
    assert [(each.where, each.message) for each in failure.value.findings] == [
        ("--region", "no region is given")
    ]
    assert "AWS_REGION" in failure.value.findings[0].fix


def test_the_text_of_a_cluster_is_that_cluster_with_every_key_set() -> None:
    unset = {
        name for name, value in FULL.model_dump().items() if value == EksCluster.model_fields[name].default
    }
    assert unset == set()
    text = eks_cluster_text(FULL)
    assert_golden(text, "eks-full.yaml")
    assert eks_file(text).cluster == FULL


def test_every_comment_that_shows_a_key_is_right_when_it_is_uncommented() -> None:
    text = eks_cluster_text(eks_cluster_from_arguments(name="demo", region="eu-central-1"))
    blocks = ("# fargate_profiles:", "# pod_identities:", "#   ")
    keys = ("# profile:", "# service_cidr:", "# encryption_key:", "# logs:", "# tags:", *blocks)
    start = text.index("\nname:")  # the head's commands are no keys
    live = [
        line.removeprefix("# ") if line.startswith(keys) and not line.startswith("#   subnets:") else line
        for line in text[start:]
        .replace("  # zones:", "  zones:")
        .replace("  # admins:", "  admins:")
        .splitlines()
    ]
    cluster = eks_file("\n".join(live)).cluster
    assert cluster.model_dump(include={"profile", "service_cidr", "logs", "tags"}) == {
        "profile": "production",
        "service_cidr": "10.100.0.0/16",
        "logs": ("audit", "authenticator"),
        "tags": {"team": "platform"},
    }
    assert cluster.vpc.zones == ("eu-central-1a", "eu-central-1b")
    assert cluster.access.admins == (ROLE,)
    assert (cluster.encryption_key or "").startswith("arn:aws:kms:eu-central-1:")
    assert cluster.fargate_profiles[0].selectors[0].namespace == "batch"
    assert cluster.pod_identities[0].service_account == "ebs-csi-controller-sa"


def test_the_existing_subnets_that_a_comment_shows_are_valid() -> None:
    text = eks_cluster_text(eks_cluster_from_arguments(name="demo", region="eu-central-1"))
    shown = next(line for line in text.splitlines() if line.startswith("#   subnets:")).removeprefix("# ")
    start, end = text.index("vpc:\n"), text.index("# service_cidr:")
    cluster = eks_file(f"{text[:start]}vpc:\n{shown}\n{text[end:]}").cluster
    assert cluster.vpc.subnets == Subnets(private=("subnet-0a1b2c3d", "subnet-0e4f5a6b"))


def test_the_example_is_what_init_writes() -> None:
    path: Path = content_root() / "inventories" / "eks" / "cluster.yaml"
    assert path.read_text() == eks_cluster_text(eks_only(load(path), "a test").cluster)
