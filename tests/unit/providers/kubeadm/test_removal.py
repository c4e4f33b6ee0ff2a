"""Plans of `provision node`: what is done, in which order, and that nobody else is touched."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from provision.providers.kubeadm.checks.leaving import removal_findings, replacement_findings
from provision.providers.kubeadm.steps import planning
from provision.providers.kubeadm.steps.planning import join_plan, replacement_plan

from . import factories
from .test_plan import as_text, names

if TYPE_CHECKING:
    from provision.model.cluster import Cluster, Host
    from provision.model.plan import PlaybookPlan
    from provision.providers.kubeadm.facts.host import Observation

Golden = Callable[[str, str], None]


def removal_plan(
    cluster: Cluster, seen: Observation, gone: list[str], *, force: bool = False
) -> PlaybookPlan:
    return planning.removal_plan(cluster, seen, gone, force=force, drain_seconds=600)


def seen_of(cluster: Cluster, *looked_at: str, **documents: factories.Document) -> Observation:
    """A running cluster of which only some hosts were looked at; `documents` are those of others than members."""
    whole = {**factories.running(cluster), **documents}
    return factories.observation({name: whole[name] for name in looked_at})


def with_new_workers(count: int) -> tuple[Cluster, Observation]:
    """A running cluster of cp1 and w1, and fresh workers behind these; only cp1 and the new ones were looked at."""
    cluster = factories.cluster("cp", "w", *["w"] * count)
    new = cluster.hosts[2:]
    documents = {host.name: factories.fresh(host) for host in new}
    documents["cp1"] = factories.running(cluster)["cp1"]
    documents["cp1"]["api"] = factories.api(*cluster.hosts[:2])
    return cluster, factories.observation({"cp1": documents["cp1"], **documents})


def test_two_new_workers_touch_themselves_and_one_control_plane_and_only_they_are_waited_for(
    golden: Golden,
) -> None:
    cluster, seen = with_new_workers(2)

    steps = join_plan(cluster, seen, ["w2", "w3"], smoke=True)

    assert {host for step in steps for host in step.hosts} == {"cp1", "w2", "w3"}
    ready = next(step for step in steps if step.name == "wait-ready")
    assert ready.node_variables["cluster_ready_nodes"] == ("w2", "w3")
    assert ready.variables["cluster_ready_whole"] is False
    golden("plans/node-add.txt", as_text(steps))


def test_what_is_wrong_with_the_control_plane_is_not_put_right_by_the_way() -> None:
    cluster, seen = with_new_workers(1)
    documents = factories.running(cluster)
    drifted = factories.merged(documents["cp1"], {"machine": {"swap": {"active": ["/swapfile"]}}})
    drifted["api"] = factories.api(*cluster.hosts[:2])
    seen = factories.observation({"cp1": drifted, "w2": factories.fresh(cluster.host("w2"))})

    steps = join_plan(cluster, seen, ["w2"], smoke=False)

    assert [step.name for step in steps if "cp1" in step.hosts] == ["wait-ready"]


def test_another_node_that_is_not_ready_makes_no_step_of_ours() -> None:
    cluster, seen = with_new_workers(1)
    joined = factories.running(cluster)
    answer = factories.api(*cluster.hosts)
    answer["nodes"][1].update(ready=False, message="gone")
    answer["daemonsets"]["kube-proxy"]["ready"] = 2
    joined["cp1"]["api"] = answer

    seen = factories.observation({"cp1": joined["cp1"], "w2": joined["w2"]})

    assert join_plan(cluster, seen, ["w2"], smoke=True) == ()


def test_a_worker_that_leaves_is_drained_deleted_and_reset(golden: Golden) -> None:
    cluster = factories.cluster("cp", "w", "w")

    steps = removal_plan(cluster, seen_of(cluster, "cp1", "w2"), ["w2"])

    assert names(steps) == ["drain-nodes", "delete-nodes", "reset-hosts"]
    golden("plans/node-remove.txt", as_text(steps))


def test_a_machine_that_is_gone_is_neither_drained_nor_reset() -> None:
    cluster = factories.cluster("cp", "w", "w")

    steps = removal_plan(cluster, seen_of(cluster, "cp1"), ["w2"], force=True)

    assert names(steps) == ["delete-nodes"]


def test_a_node_whose_kubelet_is_gone_is_not_drained_for_its_pods_would_never_end() -> None:
    cluster = factories.cluster("cp", "w", "w")
    documents = factories.running(cluster)
    documents["cp1"]["api"]["nodes"][2]["ready"] = False

    seen = factories.observation({"cp1": documents["cp1"], "w2": documents["w2"]})

    assert names(removal_plan(cluster, seen, ["w2"])) == ["delete-nodes", "reset-hosts"]


def test_a_removal_that_was_interrupted_goes_on_where_it_was() -> None:
    cluster = factories.cluster("cp", "w", "w")
    documents = factories.running(cluster)
    documents["cp1"]["api"] = factories.api(*cluster.hosts[:2])

    deleted = factories.observation({"cp1": documents["cp1"], "w2": documents["w2"]})
    reset = factories.observation({"cp1": documents["cp1"], "w2": factories.fresh(cluster.host("w2"))})

    assert names(removal_plan(cluster, deleted, ["w2"])) == ["reset-hosts"]
    assert removal_plan(cluster, reset, ["w2"]) == ()


def test_a_join_that_is_done_again_tells_the_load_balancers_that_missed_it() -> None:
    before = factories.cluster("cp", "w", "cp", endpoint="local")
    cluster = factories.cluster("cp", "w", "cp", "cp", endpoint="local")
    documents = factories.running(before)
    documents["cp3"] = factories.prepared(cluster.host("cp3"))
    software = documents["cp1"]["software"]
    balancers = {
        "local": {**software["balancers"]["local"], "servers": [f"10.0.0.1{n}:6443" for n in (1, 2, 3)]}
    }
    for name in ("w1", "cp3"):  # not cp1 and cp2
        documents[name]["software"]["balancers"] = balancers
        documents[name]["software"]["services"]["provision-api"] = {"active": True, "enabled": True}

    steps = join_plan(cluster, factories.observation(documents), ["cp3"], smoke=False)

    names = [step.name for step in steps]
    assert names.index("install-endpoint") < names.index("join-control-planes")
    assert steps[names.index("install-endpoint")].hosts == ("cp1", "cp2")


def test_a_control_plane_leaves_etcd_through_one_that_stays(golden: Golden) -> None:
    cluster = factories.cluster("cp", "cp", "cp", "w", endpoint="10.0.0.10:6443")

    steps = removal_plan(cluster, seen_of(cluster, "cp1", "cp2", "cp3", "w1"), ["cp1"])

    assert names(steps)[:4] == ["drain-nodes", "remove-etcd-members", "delete-nodes", "reset-hosts"]
    assert {host for step in steps for host in step.hosts if step.name != "reset-hosts"} == {"cp2"}
    golden("plans/node-remove-control-plane.txt", as_text(steps))


def replaced(cluster: Cluster, name: str, *, by: Host | None = None, ready: bool = False) -> Observation:
    """The cluster with a fresh machine for that node (`by`, or the old one installed anew); the API server still has
    the node by its old machine.
    """
    documents = factories.running(cluster)
    machine = factories.fresh(by or cluster.host(name))
    machine["machine"]["machine_id"] = "f" * 32
    for host in cluster.control_planes:
        node = next(node for node in documents[host.name]["api"]["nodes"] if node["name"] == name)
        node.update(ready=ready)
    others = {host.name: documents[host.name] for host in cluster.control_planes if host.name != name}
    return factories.observation({**others, name: machine})


def test_a_replaced_machine_joins_after_the_node_of_the_old_one_was_deleted(golden: Golden) -> None:
    cluster = factories.cluster("cp", "w", "w")
    worker = cluster.host("w2").model_copy(update={"labels": {"disk": "ssd"}})
    cluster = cluster.model_copy(update={"hosts": (*cluster.hosts[:2], worker)})

    steps = replacement_plan(cluster, cluster, replaced(cluster, "w2"), "w2", smoke=False)

    assert names(steps)[0] == "delete-nodes"
    assert "delete-nodes" in next(step for step in steps if step.name == "join-workers").needs
    assert "label-nodes" in names(steps), "the new node has none of the labels of the old one"
    golden("plans/node-replace.txt", as_text(steps))


def test_the_first_control_plane_is_replaced_like_any_other() -> None:
    before = factories.cluster("cp", "cp", "cp", endpoint="10.0.0.10:6443")
    after = before.model_copy(
        update={"hosts": (before.hosts[0].model_copy(update={"address": "10.0.0.99"}), *before.hosts[1:])}
    )

    steps = replacement_plan(before, after, replaced(before, "cp1"), "cp1", smoke=False)

    assert names(steps)[:2] == ["remove-etcd-members", "delete-nodes"]
    assert steps[0].variables["etcd_member_gone"] == [{"name": "cp1", "address": "10.0.0.11"}]
    join = next(step for step in steps if step.name == "join-control-planes")
    assert {"remove-etcd-members", "delete-nodes"} <= set(join.needs)
    assert join.variables["node_join_control_plane"] == "cp2"


def test_a_machine_that_was_replaced_already_needs_nothing() -> None:
    cluster = factories.cluster("cp", "w")

    assert replacement_plan(cluster, cluster, seen_of(cluster, "cp1", "w1"), "w1", smoke=True) == ()


def test_a_replacement_that_was_interrupted_after_the_node_was_deleted_goes_on_with_the_join() -> None:
    cluster, seen = with_new_workers(1)

    steps = replacement_plan(cluster, cluster, seen, "w2", smoke=False)

    assert "delete-nodes" not in names(steps)
    assert "join-workers" in names(steps)


def test_a_node_that_is_forgotten_is_found_no_more_by_its_name() -> None:
    cluster = factories.cluster("cp", "w")
    seen = seen_of(cluster, "cp1", "w1")
    assert seen.cluster is not None
    assert seen.cluster.node("w1") is not None

    without = seen.without_nodes(["w1"]).cluster

    assert without is not None
    assert without.node("w1") is None
    assert without.node("cp1") is not None


def test_only_some_hosts_are_left_of_an_observation_and_all_of_the_cluster() -> None:
    cluster = factories.cluster("cp", "w")

    left = seen_of(cluster, "cp1", "w1").of_hosts(["w1"])

    assert (list(left.hosts), left.source) == (["w1"], "cp1")
    assert left.cluster is not None


def checks(cluster: Cluster, seen: Observation, *gone: str) -> list[tuple[str, str, str]]:
    return [(found.severity, found.check, found.where) for found in removal_findings(cluster, seen, gone)]


def test_a_name_that_is_neither_host_nor_node_cannot_leave() -> None:
    cluster = factories.cluster("cp", "w")

    assert checks(cluster, seen_of(cluster, "cp1"), "w7") == [("error", "no-such-host", "w7")]
    assert checks(cluster, seen_of(cluster, "cp1", "w1"), "w1") == []


def test_a_node_that_the_file_does_not_have_leaves_with_a_warning() -> None:
    cluster = factories.cluster("cp", "w")
    file = cluster.model_copy(update={"hosts": cluster.hosts[:1]})

    assert checks(file, seen_of(cluster, "cp1"), "w1") == [("warning", "not-in-file", "w1")]
    assert names(removal_plan(file, seen_of(cluster, "cp1"), ["w1"])) == ["drain-nodes", "delete-nodes"]
    assert names(removal_plan(file, seen_of(cluster, "cp1"), ["w1"], force=True)) == ["delete-nodes"]


def test_a_machine_that_belongs_to_another_cluster_by_now_is_never_reset() -> None:
    cluster = factories.cluster("cp", "w")
    documents = factories.running(cluster)
    documents["w1"]["kubernetes"].update(ca=factories.OTHER_CA, kubelet_server="https://192.0.2.1:6443")
    seen = factories.observation(documents)

    assert checks(cluster, seen, "w1") == [("error", "another-cluster", "w1")]
    (warned,) = removal_findings(cluster, seen, ["w1"], force=True)
    assert (warned.severity, warned.check) == ("warning", "another-cluster")
    assert "reset-hosts" not in names(removal_plan(cluster, seen, ["w1"], force=True))


def test_the_last_control_plane_cannot_leave() -> None:
    cluster = factories.cluster("cp", "w")

    assert ("error", "last-control-plane", "cp1") in checks(cluster, seen_of(cluster, "cp1"), "cp1")


def test_a_living_node_is_not_replaced_unless_somebody_knows_better() -> None:
    before = factories.cluster("cp", "w")
    worker = before.host("w1").model_copy(update={"address": "192.168.77.99"})
    after = before.model_copy(update={"hosts": (before.hosts[0], worker)})
    dead, living = replaced(before, "w1", by=worker), replaced(before, "w1", by=worker, ready=True)

    found = [finding.check for finding in replacement_findings(before, after, living, "w1", force=False)]

    assert found == ["node-is-alive"]
    assert list(replacement_findings(before, after, living, "w1", force=True)) == []
    assert list(replacement_findings(before, after, dead, "w1", force=False)) == []


def test_a_machine_that_was_installed_anew_is_known_by_its_address() -> None:
    cluster = factories.cluster("cp", "w")

    found = replacement_findings(cluster, cluster, replaced(cluster, "w1", ready=True), "w1", force=False)

    assert list(found) == []
