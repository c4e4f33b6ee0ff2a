from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from provision.model.eks import Access, Addon, FargateProfile, NodeGroup, PodIdentity, Selector
from provision.providers.eks import names
from provision.providers.eks.eksctl import ownership
from provision.providers.eks.eksctl.plan import delete_plan, plan
from provision.providers.eks.facts import AddonOffer
from tests.unit.providers.eks import factories

if TYPE_CHECKING:
    from provision.providers.eks.eksctl.plan import EksctlStep
    from provision.providers.eks.facts import Observation


def asked(**changes: Any) -> Any:
    return factories.cluster(backend="eksctl", **changes)


def only(*steps: EksctlStep) -> EksctlStep:
    assert [step.name for step in steps] == [steps[0].name]
    return steps[0]


def commands(step: EksctlStep) -> list[str]:
    return [" ".join(arguments) for arguments in step.commands]


def config(step: EksctlStep) -> Any:
    return step.config


def with_version(observed: Observation, version: str) -> Observation:
    assert observed.cluster
    groups = tuple(replace(group, version=version) for group in observed.node_groups)
    return replace(observed, cluster=replace(observed.cluster, version=version), node_groups=groups)


def test_a_missing_cluster_is_one_step_with_all_of_its_parts() -> None:
    step = only(*plan(asked(), factories.nothing()))
    assert (step.name, step.commands[0][:2]) == ("eksctl-create", ("create", "cluster"))
    assert step.hosts[:2] == ("cluster", "node-group workers")
    assert commands(step) == ["create cluster --config-file=- --write-kubeconfig=false --timeout=60m"]
    assert config(step)["availabilityZones"] == list(factories.ZONES)


def test_a_cluster_as_the_file_says_has_nothing_to_do() -> None:
    assert plan(asked(), factories.running(asked())) == ()


def test_an_interrupted_creation_continues_with_the_missing_parts() -> None:
    there = replace(factories.running(asked()), node_groups=(), addons=())
    steps = plan(asked(), there)
    assert [step.name for step in steps] == [
        "eksctl-create-addons",
        "eksctl-create-nodegroups",
        "eksctl-create-addons-more",
    ]
    assert [step.needs for step in steps] == [(), ("eksctl-create-addons",), ("eksctl-create-nodegroups",)]
    assert steps[0].hosts == ("addon vpc-cni", "addon kube-proxy", "addon eks-pod-identity-agent")
    assert commands(steps[1]) == ["create nodegroup --config-file=- --timeout=60m"]
    assert [group["name"] for group in config(steps[1])["managedNodeGroups"]] == ["workers"]
    assert "addons" not in config(steps[1])


def test_only_the_new_parts_are_in_the_config_that_creates_them() -> None:
    more = asked(
        node_groups=(NodeGroup(name="workers"), NodeGroup(name="batch")),
        fargate_profiles=(FargateProfile(name="jobs", selectors=(Selector(namespace="jobs"),)),),
        access=Access(admins=("arn:aws:iam::123456789012:role/new",)),
        pod_identities=(
            PodIdentity(namespace="app", service_account="reader", role_arn="arn:aws:iam::1:role/r"),
        ),
    )
    steps = plan(more, factories.running(asked()))
    assert [commands(step)[0].split(" --")[0] for step in steps] == [
        "create accessentry",
        "create nodegroup",
        "create fargateprofile",
        "create podidentityassociation",
    ]
    assert [group["name"] for group in config(steps[1])["managedNodeGroups"]] == ["batch"]
    assert "accessEntries" not in config(steps[1])["accessConfig"]
    assert "managedNodeGroups" not in config(steps[2])


def test_a_changed_size_is_a_scaling() -> None:
    grown = asked(node_groups=(NodeGroup(name="workers", min=2, desired=4, max=6),))
    step = only(*plan(grown, factories.running(asked())))
    assert step.commands[0][0] == "scale"
    assert commands(step) == [
        (
            "scale nodegroup --cluster=demo --region=eu-central-1 --name=workers --nodes=4 --nodes-min=2 --nodes-max=6 "
            "--wait --timeout=60m"
        )
    ]
    assert [(reason.host, reason.what) for reason in step.reasons] == [
        ("node-group workers", "has 2 nodes (1 to 3), not 4 nodes (2 to 6)")
    ]


def test_an_upgrade_goes_minor_by_minor_and_takes_the_nodes_along() -> None:
    steps = plan(asked(), with_version(factories.running(asked()), "1.33"))
    assert [step.name for step in steps] == [
        "eksctl-upgrade-1.34",
        "eksctl-upgrade-nodes-1.34",
        "eksctl-upgrade-1.35",
        "eksctl-upgrade-nodes-1.35",
    ]
    assert commands(steps[0]) == [
        "upgrade cluster --name=demo --region=eu-central-1 --version=1.34 --approve --timeout=60m"
    ]
    assert commands(steps[3]) == [
        "upgrade nodegroup --cluster=demo --region=eu-central-1 --name=workers --kubernetes-version=1.35 --timeout=60m"
    ]


def test_an_interrupted_upgrade_continues_with_the_nodes() -> None:
    there = factories.running(asked())
    late = replace(there, node_groups=tuple(replace(group, version="1.34") for group in there.node_groups))
    assert only(*plan(asked(), late)).name == "eksctl-upgrade-nodes-1.35"


def test_an_addon_gets_the_version_that_is_written_and_no_other() -> None:
    pinned = asked(addons=(Addon(name="coredns", version="v1.4.0-eksbuild.1"), Addon(name="vpc-cni")))
    step = only(*plan(pinned, factories.running(asked())))
    assert step.hosts == ("addon coredns",)
    assert commands(step) == [
        (
            "update addon --cluster=demo --region=eu-central-1 --name=coredns --version=v1.4.0-eksbuild.1 --wait "
            "--timeout=60m"
        )
    ]


def test_an_upgrade_updates_the_addons_that_do_not_fit_it() -> None:
    there = with_version(factories.running(asked()), "1.34")
    offers = (
        AddonOffer(addon="kube-proxy", kubernetes="1.35", versions=("v9", "v8"), default="v8"),
        AddonOffer(
            addon="coredns", kubernetes="1.35", versions=("v1.3.0-eksbuild.1",), default="v1.3.0-eksbuild.1"
        ),
    )
    steps = plan(asked(), replace(there, offers=offers))
    assert [step.name for step in steps][-1] == "eksctl-update-addons"
    assert steps[-1].hosts == ("addon kube-proxy",)
    assert "--version=v8" in commands(steps[-1])[0]


@pytest.mark.parametrize(("owned", "steps"), [(True, ["eksctl-delete-nodegroups"]), (False, [])])
def test_a_node_group_removed_from_the_file_is_deleted_if_eksctl_created_it_for_provision(
    owned: bool,  # noqa: FBT001 - a parameter of the test
    steps: list[str],
) -> None:
    there = factories.running(asked())
    old = factories.node_group(NodeGroup(name="old"), asked(), owned=owned)
    found = plan(asked(), replace(there, node_groups=(*there.node_groups, old)))
    assert [step.name for step in found] == steps


def test_only_clusters_that_eksctl_created_for_provision_are_deleted() -> None:
    step = only(*delete_plan(asked(), factories.running(asked())))
    assert commands(step) == [
        "delete cluster --name=demo --region=eu-central-1 --wait --disable-nodegroup-eviction --timeout=60m"
    ]
    there = factories.running(asked())
    assert there.cluster
    assert delete_plan(asked(), replace(there, cluster=replace(there.cluster, owned=False))) == ()
    assert delete_plan(asked(), factories.nothing()) == ()


def test_every_step_has_a_reason_for_each_of_its_resources() -> None:
    for step in (
        *plan(asked(), factories.nothing()),
        *plan(asked(), with_version(factories.running(asked()), "1.33")),
    ):
        assert {reason.host for reason in step.reasons} == set(step.hosts)


def test_what_eksctl_created_by_itself_is_not_owned() -> None:
    tags = {ownership.CLUSTER_TAG: "demo"}
    assert not ownership.owned("demo", tags)
    assert ownership.owned("demo", {**tags, names.MANAGED_BY: "eksctl"})
    assert not ownership.owned("other", {**tags, names.MANAGED_BY: "eksctl"})
    assert not names.owned("demo", {**tags, names.MANAGED_BY: "eksctl"})


def test_eksctls_own_labels_and_its_launch_templates_disk_are_no_differences() -> None:
    there = factories.running(asked())
    group = replace(
        there.node_groups[0],
        labels={"alpha.eksctl.io/cluster-name": "demo", "disk": "ssd"},
        disk=0,
        owned=False,
        tags={ownership.CLUSTER_TAG: "demo", names.MANAGED_BY: "eksctl"},
    )
    observed = ownership.own_parts(asked(), replace(there, node_groups=(group,)))
    assert (observed.node_groups[0].labels, observed.node_groups[0].disk) == ({"disk": "ssd"}, 80)
    assert observed.node_groups[0].owned
