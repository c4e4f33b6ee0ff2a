"""Steps when control planes leave: in etcd, and on hosts that still name them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from provision.providers.kubeadm.steps.planning import removal_plan

from . import factories

if TYPE_CHECKING:
    from provision.model.cluster import Cluster
    from provision.model.plan import PlaybookStep
    from provision.providers.kubeadm.facts.host import Observation


def three(endpoint: object = "10.0.0.10:6443") -> Cluster:
    return factories.cluster("cp", "cp", "cp", "w", endpoint=endpoint)


def seen(cluster: Cluster, *, without: tuple[str, ...] = ()) -> Observation:
    documents = factories.running(cluster)
    return factories.observation({name: one for name, one in documents.items() if name not in without})


def leave(cluster: Cluster, observation: Observation, *names: str) -> dict[str, PlaybookStep]:
    return {step.name: step for step in removal_plan(cluster, observation, names, drain_seconds=600)}


def endpoint_steps(cluster: Cluster, observation: Observation, *names: str) -> list[PlaybookStep]:
    steps = leave(cluster, observation, *names)
    return [steps[name] for name in ("install-endpoint", "update-endpoint") if name in steps]


def test_a_control_plane_that_answers_and_stays_is_worked_through() -> None:
    cluster = three()
    documents = factories.running(cluster)
    documents["cp2"]["api"] = {"error": "refused"}

    steps = leave(cluster, factories.observation(documents), "cp1")

    assert {step.through for step in steps.values() if step.name != "reset-hosts"} == {"cp3"}


def test_the_first_one_leaves_through_another() -> None:
    step = leave(three(), seen(three()), "cp1", "w1")["remove-etcd-members"]

    assert (step.name, step.hosts, step.needs) == ("remove-etcd-members", ("cp2",), ("drain-nodes",))
    assert step.variables["etcd_member_gone"] == [{"name": "cp1", "address": "10.0.0.11"}]


def test_a_lost_machine_leaves_without_being_seen() -> None:
    step = leave(three(), seen(three(), without=("cp1",)), "cp1")["remove-etcd-members"]

    assert step.hosts == ("cp2",)


def test_a_member_that_is_gone_already_is_no_step() -> None:
    cluster = three()
    documents = factories.running(cluster)
    for name in ("cp2", "cp3"):
        documents[name]["etcd"]["members"] = [
            factories.etcd_member(cluster.host(one)) for one in ("cp2", "cp3")
        ]
    del documents["cp1"]

    assert "remove-etcd-members" not in leave(cluster, factories.observation(documents), "cp1")


def test_a_worker_is_no_member() -> None:
    assert list(leave(three(), seen(three()), "w1")) == ["drain-nodes", "delete-nodes", "reset-hosts"]


def test_behind_an_external_endpoint_no_host_has_to_change() -> None:
    assert endpoint_steps(three(), seen(three()), "cp1") == []


def test_balancers_of_ours_forget_the_one_that_left() -> None:
    cluster = three("local")

    (step,) = endpoint_steps(cluster, seen(cluster), "cp1")

    assert (step.name, step.hosts, step.needs) == (
        "install-endpoint",
        ("cp2", "cp3", "w1"),
        ("delete-nodes", "reset-hosts"),
    )
    assert [one["name"] for one in step.variables["api_balancer_backends"]] == ["cp2", "cp3"]  # type: ignore[attr-defined]


def test_the_keepers_of_a_virtual_address_forget_the_one_that_left() -> None:
    cluster = three({"vip": "10.0.0.10"})

    (step,) = endpoint_steps(cluster, seen(cluster), "cp1")

    assert step.hosts == ("cp2", "cp3")
    assert step.variables["api_balancer_vip_is_new"] is False
    assert step.host_variables["cp3"] == {
        "api_balancer_interface": "eth0",
        "api_balancer_source": "10.0.0.13",
    }


def test_a_worker_that_pointed_at_it_is_corrected() -> None:
    documents = factories.running(three())
    documents["w1"]["kubernetes"]["kubelet_server"] = "https://10.0.0.11:6443"

    (step,) = endpoint_steps(three(), factories.observation(documents), "cp1")

    assert (step.name, step.hosts) == ("update-endpoint", ("cp2", "w1"))
    assert step.variables["api_endpoint_control_plane"] == "cp2"


def test_further_control_planes_are_not_made_with_its_names() -> None:
    documents = factories.running(three())
    for name in ("cp1", "cp2", "cp3"):
        documents[name]["api"]["configuration"] += "apiServer: {certSANs: [10.0.0.10, cp1, 10.0.0.11, cp2]}\n"

    (step,) = endpoint_steps(three(), factories.observation(documents), "cp1")

    names = yaml.safe_load(str(step.variables["api_endpoint_configuration"]))["apiServer"]["certSANs"]
    assert names == ["10.0.0.10", "10.0.0.12", "cp2", "10.0.0.13", "cp3"]
    assert step.hosts == ("cp2",)


def test_who_is_about_to_be_joined_anew_does_not_speak_for_the_cluster() -> None:
    documents = factories.running(three())
    documents["cp1"]["kubernetes"]["markers"] = ["join-started"]

    assert factories.observation(documents).source == "cp2"
    steps = leave(three(), factories.observation(documents), "w1")
    assert steps["drain-nodes"].through == "cp2"


def test_whose_etcd_has_lost_the_others_speaks_last() -> None:
    documents = factories.running(three())
    documents["cp1"]["etcd"]["healthy"] = False

    assert factories.observation(documents).source == "cp2"


def test_without_a_majority_anywhere_the_first_that_answers_speaks() -> None:
    documents = factories.running(three())
    for name in ("cp1", "cp2", "cp3"):
        documents[name]["etcd"]["healthy"] = False

    assert factories.observation(documents).source == "cp1"
