"""What is done when control planes leave: in etcd, and where somebody still points at them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from provision.providers.kubeadm.steps.etcd import remove_etcd_members, survivor, update_endpoint

from . import factories

if TYPE_CHECKING:
    from provision.model.cluster import Cluster
    from provision.providers.kubeadm.facts.host import Observation


def three(endpoint: object = "10.0.0.10:6443") -> Cluster:
    return factories.cluster("cp", "cp", "cp", "w", endpoint=endpoint)


def seen(cluster: Cluster, *, without: tuple[str, ...] = ()) -> Observation:
    documents = factories.running(cluster)
    return factories.observation({name: one for name, one in documents.items() if name not in without})


def test_a_control_plane_that_answers_and_stays_is_worked_through() -> None:
    cluster = three()
    documents = factories.running(cluster)
    documents["cp2"]["api"] = {"error": "refused"}

    assert survivor(cluster, factories.observation(documents), ["cp1"]) == "cp3"


def test_the_first_one_leaves_through_another() -> None:
    (step,) = remove_etcd_members(three(), seen(three()), ["cp1", "w1"], needs=("drain-nodes",))

    assert (step.name, step.hosts, step.needs) == ("remove-etcd-members", ("cp2",), ("drain-nodes",))
    assert step.variables["etcd_member_gone"] == [{"name": "cp1", "address": "10.0.0.11"}]


def test_a_lost_machine_leaves_without_being_seen() -> None:
    (step,) = remove_etcd_members(three(), seen(three(), without=("cp1",)), ["cp1"])

    assert step.hosts == ("cp2",)


def test_a_member_that_is_gone_already_is_no_step() -> None:
    cluster = three()
    documents = factories.running(cluster)
    for name in ("cp2", "cp3"):
        documents[name]["etcd"]["members"] = [
            factories.etcd_member(cluster.host(one)) for one in ("cp2", "cp3")
        ]
    del documents["cp1"]

    assert list(remove_etcd_members(cluster, factories.observation(documents), ["cp1"])) == []


def test_a_worker_is_no_member() -> None:
    assert list(remove_etcd_members(three(), seen(three()), ["w1"])) == []
    assert list(update_endpoint(three(), seen(three()), ["w1"])) == []


def test_behind_an_endpoint_of_others_nobody_has_to_be_told() -> None:
    assert list(update_endpoint(three(), seen(three()), ["cp1"])) == []


def test_balancers_of_ours_forget_the_one_that_left() -> None:
    cluster = three("local")

    (step,) = update_endpoint(cluster, seen(cluster), ["cp1"], needs=("delete-nodes",))

    assert (step.name, step.hosts, step.needs) == (
        "install-endpoint",
        ("cp2", "cp3", "w1"),
        ("delete-nodes",),
    )
    assert [one["name"] for one in step.variables["api_balancer_backends"]] == ["cp2", "cp3"]  # type: ignore[attr-defined]


def test_the_keepers_of_a_virtual_address_forget_the_one_that_left() -> None:
    cluster = three({"vip": "10.0.0.10"})

    (step,) = update_endpoint(cluster, seen(cluster), ["cp1"])

    assert step.hosts == ("cp2", "cp3")
    assert step.variables["api_balancer_vip_is_new"] is False
    assert step.host_variables["cp3"] == {
        "api_balancer_interface": "eth0",
        "api_balancer_source": "10.0.0.13",
    }


def test_a_worker_that_pointed_at_it_is_corrected() -> None:
    documents = factories.running(three())
    documents["w1"]["kubernetes"]["kubelet_server"] = "https://10.0.0.11:6443"

    (step,) = update_endpoint(three(), factories.observation(documents), ["cp1"])

    assert (step.name, step.hosts) == ("update-endpoint", ("cp2", "w1"))
    assert step.variables["api_endpoint_control_plane"] == "cp2"


def test_further_control_planes_are_not_made_with_its_names() -> None:
    documents = factories.running(three())
    for name in ("cp1", "cp2", "cp3"):
        documents[name]["api"]["configuration"] += "apiServer: {certSANs: [10.0.0.10, cp1, 10.0.0.11, cp2]}\n"

    (step,) = update_endpoint(three(), factories.observation(documents), ["cp1"])

    names = yaml.safe_load(str(step.variables["api_endpoint_configuration"]))["apiServer"]["certSANs"]
    assert names == ["10.0.0.10", "10.0.0.12", "cp2", "10.0.0.13", "cp3"]
    assert step.hosts == ("cp2",)


def test_who_is_about_to_be_joined_anew_does_not_speak_for_the_cluster() -> None:
    documents = factories.running(three())
    documents["cp1"]["kubernetes"]["markers"] = ["join-started"]

    assert factories.observation(documents).source == "cp2"
    assert survivor(three(), factories.observation(documents), []) == "cp2"


def test_whose_etcd_has_lost_the_others_speaks_last() -> None:
    documents = factories.running(three())
    documents["cp1"]["etcd"]["healthy"] = False

    assert factories.observation(documents).source == "cp2"


def test_without_a_majority_anywhere_the_first_that_answers_speaks() -> None:
    documents = factories.running(three())
    for name in ("cp1", "cp2", "cp3"):
        documents[name]["etcd"]["healthy"] = False

    assert factories.observation(documents).source == "cp1"
