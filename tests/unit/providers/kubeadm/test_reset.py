from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from provision.model.plan import OnFailure
from provision.providers.kubeadm.checks import check
from provision.providers.kubeadm.checks.resets import reset_findings
from provision.providers.kubeadm.steps import planning

from . import factories
from .test_plan import as_text

if TYPE_CHECKING:
    from provision.model.cluster import Cluster
    from provision.model.plan import PlaybookPlan
    from provision.providers.kubeadm.facts.host import Observation

Golden = Callable[[str, str], None]


def reset_plan(cluster: Cluster, observation: Observation) -> PlaybookPlan:
    return planning.reset_plan(cluster, observation, [host.name for host in cluster.hosts])


def test_workers_go_first_and_the_control_plane_that_answers_last(golden: Golden) -> None:
    cluster = factories.cluster("cp", "cp", "cp", "w", "w", endpoint="10.0.0.10:6443")
    documents = factories.running(cluster)
    documents["cp1"]["api"] = {"error": "refused"}

    golden("plans/reset-3-2.txt", as_text(reset_plan(cluster, factories.observation(documents))))


def test_hosts_that_are_clean_need_no_reset() -> None:
    cluster = factories.cluster("cp", "w")

    assert (
        reset_plan(cluster, factories.observation({h.name: factories.fresh(h) for h in cluster.hosts})) == ()
    )


def test_what_an_interrupted_reset_left_is_reset_again() -> None:
    cluster = factories.cluster("cp", "w")
    documents = {host.name: factories.fresh(host) for host in cluster.hosts}
    documents["w1"]["kubernetes"]["markers"] = ["before", "reset-started"]

    (step,) = reset_plan(cluster, factories.observation(documents))

    assert (step.hosts, step.reasons[0].what) == (("w1",), "its reset was interrupted")


def test_a_prepared_host_that_never_joined_is_reset_too() -> None:
    cluster = factories.cluster("cp", "w")
    documents = {host.name: factories.fresh(host) for host in cluster.hosts}
    documents["w1"]["kubernetes"]["markers"] = ["before"]

    (step,) = planning.reset_plan(cluster, factories.observation(documents), ["w1"])

    assert step.reasons[0].what == "was prepared for a cluster"


def test_hosts_that_were_not_seen_are_in_no_step() -> None:
    cluster = factories.cluster("cp", "w")
    documents = factories.running(cluster)
    del documents["w1"]

    steps = reset_plan(cluster, factories.observation(documents))

    assert {host for step in steps for host in step.hosts} == {"cp1"}


def test_after_a_failed_worker_the_control_planes_stay() -> None:
    cluster = factories.cluster("cp", "w")
    workers, last = reset_plan(cluster, factories.observation(factories.running(cluster)))

    assert workers.on_failure is OnFailure.STOP_ALL
    assert last.needs == (workers.name,)


def test_a_control_plane_whose_reset_has_begun_speaks_for_nobody_though_it_answers() -> None:
    cluster = factories.cluster("cp", "cp", "w")
    documents = factories.running(cluster)
    documents["cp1"]["kubernetes"]["markers"] = ["before", "reset-started"]
    assert factories.observation(documents).source == "cp2"

    documents["cp2"]["kubernetes"]["markers"] = ["before", "reset-started"]
    seen = factories.observation(documents)

    assert (seen.source, seen.cluster) == ("", None)
    assert [step.name for step in reset_plan(cluster, seen)] == [
        "reset-workers",
        "reset-control-planes",
        "reset-last-control-plane",
    ]


def test_a_host_of_another_cluster_is_not_reset() -> None:
    cluster = factories.cluster("cp", "w")
    documents = factories.running(cluster)
    documents["w1"]["kubernetes"].update(ca=factories.OTHER_CA, kubelet_server="https://192.0.2.1:6443")

    (finding,) = reset_findings(cluster, factories.observation(documents), ["cp1", "w1"])

    assert (finding.severity, finding.where, "192.0.2.1" in finding.message) == ("error", "w1", True)


def test_apply_refuses_a_host_whose_reset_was_interrupted() -> None:
    cluster = factories.cluster("cp", "w")
    documents = factories.running(cluster)
    documents["w1"]["kubernetes"]["markers"] = ["before", "reset-started"]

    findings = check(cluster, factories.observation(documents))

    (found,) = [finding for finding in findings if finding.check == "reset-interrupted"]
    assert (found.severity, found.where, found.fix) == (
        "error",
        "w1",
        "let it come to its end: `provision reset w1`",
    )
