"""etcd's majority, before control planes join and before they leave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from provision.model.plan import Finding
from provision.providers.kubeadm.checks import quorum
from provision.providers.kubeadm.facts.etcd import majority, silence, voters

from . import factories

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provision.model.cluster import Cluster
    from provision.providers.kubeadm.facts.host import Observation

ENDPOINT = "10.0.0.10:6443"
SILENT = {"error": "https://127.0.0.1:2379: refused"}


def three() -> Cluster:
    return factories.cluster("cp", "cp", "cp", "w", endpoint=ENDPOINT)


def seen(
    cluster: Cluster, etcd: Mapping[str, Any] | None = None, *, without: tuple[str, ...] = ()
) -> Observation:
    """The running cluster, less hosts that were not looked at; `etcd` has by host what is laid over its etcd."""
    documents = factories.running(cluster)
    for name, changes in (etcd or {}).items():
        documents[name]["etcd"] = changes if "error" in changes else {**documents[name]["etcd"], **changes}
    return factories.observation({name: one for name, one in documents.items() if name not in without})


def told(findings: Any) -> list[tuple[str, str, str]]:
    return [(one.severity, one.check, one.where) for one in findings]


def only(findings: Any) -> Finding:
    (finding,) = findings
    assert isinstance(finding, Finding)
    return finding


@pytest.mark.parametrize(("members", "needed"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)])
def test_a_majority_is_more_than_half(members: int, needed: int) -> None:
    assert majority(members) == needed


def test_members_are_told_with_their_hosts_and_the_leader() -> None:
    found = voters(three(), seen(three(), {"cp3": SILENT}))

    assert [(one.name, one.host, one.leader, one.healthy) for one in found] == [
        ("cp1", "cp1", True, True),
        ("cp2", "cp2", False, True),
        ("cp3", "cp3", False, False),
    ]
    assert found[2].problem == "https://127.0.0.1:2379: refused"


def test_a_member_that_never_started_is_found_by_its_hosts_address() -> None:
    cluster = three()
    hosts = cluster.control_planes
    announced = factories.etcd_member(hosts[2], name="", learner=True)
    members = [factories.etcd_member(hosts[0]), factories.etcd_member(hosts[1]), announced]

    found = voters(
        cluster, seen(cluster, {"cp1": {"members": members}, "cp2": {"members": members}, "cp3": SILENT})
    )

    assert (found[2].name, found[2].host, found[2].problem) == (
        "cp3",
        "cp3",
        "it was announced and never started",
    )


def test_a_healthy_cluster_has_no_findings() -> None:
    assert list(quorum.health(three(), seen(three()))) == []
    assert list(quorum.strangers(three(), seen(three()))) == []


def test_an_ill_member_is_a_warning_while_nothing_is_to_join() -> None:
    finding = only(quorum.health(three(), seen(three(), {"cp2": SILENT})))

    assert (finding.severity, finding.where) == ("warning", "cp2")
    assert "provision node remove cp2 --force" in finding.fix


def test_no_control_plane_joins_while_a_member_is_ill() -> None:
    cluster = factories.cluster("cp", "cp", "cp", "cp", endpoint=ENDPOINT)
    documents = factories.running(factories.cluster("cp", "cp", "cp", endpoint=ENDPOINT))
    documents["cp2"]["etcd"] = SILENT
    documents["cp4"] = factories.prepared(cluster.host("cp4"))

    finding = only(quorum.health(cluster, factories.observation(documents)))

    assert (finding.severity, finding.check, finding.where) == ("error", "etcd-member", "")
    assert finding.message.startswith("the etcd member cp2 is not well")
    assert finding.message.endswith("cp4 can join only when etcd is healthy")


def test_what_an_interrupted_join_left_does_not_stand_in_its_own_way() -> None:
    cluster = three()
    hosts = cluster.control_planes
    members = [*(factories.etcd_member(host) for host in hosts[:2])]
    members.append(factories.etcd_member(hosts[2], name="", learner=True))
    documents = factories.running(cluster)
    for name in ("cp1", "cp2"):
        documents[name]["etcd"]["members"] = members
    documents["cp3"]["etcd"] = SILENT
    documents["cp3"]["kubernetes"]["markers"] = ["join-started"]

    assert list(quorum.health(cluster, factories.observation(documents))) == []


def test_a_lost_quorum_names_who_is_well_and_who_is_not() -> None:
    ill = {"healthy": False, "reason": "ETCD CORRUPT"}

    finding = only(quorum.health(three(), seen(three(), {"cp2": SILENT, "cp3": ill})))

    assert finding.check == "etcd-quorum"
    assert finding.message == (
        "etcd has lost its quorum: 2 of 3 members have to be well, and cp1 is well; "
        "cp2 is not (https://127.0.0.1:2379: refused); cp3 is not (ETCD CORRUPT)"
    )
    assert finding.fix.startswith("start cp2 and cp3 again")


def test_a_member_of_no_host_is_told() -> None:
    cluster = three()
    stranger = {"id": "id-x", "name": "old", "peers": ["10.0.0.99"], "learner": False}
    members = [*(factories.etcd_member(host) for host in cluster.control_planes), stranger]
    everywhere = {name: {"members": members} for name in ("cp1", "cp2", "cp3")}

    # Its host cannot be looked at, so nothing is known against it.
    finding = only(quorum.strangers(cluster, seen(cluster, everywhere)))

    assert "etcd has the member old, which is no host of the file" in finding.message


def test_one_of_three_may_leave_with_a_warning_about_two() -> None:
    assert told(quorum.removal(three(), seen(three()), ["cp1"])) == [("warning", "control-planes", "")]


def test_a_lost_one_of_three_may_leave() -> None:
    found = list(quorum.removal(three(), seen(three(), without=("cp1",)), ["cp1"]))

    assert told(found) == [("warning", "control-planes", "")]


def test_the_last_control_plane_stays() -> None:
    cluster = factories.cluster("cp", "w")

    assert told(quorum.removal(cluster, seen(cluster), ["cp1"])) == [("error", "last-control-plane", "cp1")]


def test_a_healthy_member_does_not_leave_while_another_is_ill() -> None:
    found = list(quorum.removal(three(), seen(three(), {"cp3": SILENT}), ["cp2"]))

    # Of cp1 and cp3 both would be needed.
    assert told(found)[0] == ("error", "etcd-quorum", "cp2")
    assert "cp1 is well; cp3 is not" in found[0].message


def test_of_five_a_healthy_one_stays_until_the_ill_one_is_gone() -> None:
    cluster = factories.cluster("cp", "cp", "cp", "cp", "cp", endpoint=ENDPOINT)

    found = list(quorum.removal(cluster, seen(cluster, {"cp5": SILENT}), ["cp2"]))

    assert told(found)[0] == ("error", "etcd-member", "cp2")
    assert "provision node remove cp5 --force" in found[0].fix


def test_the_ill_one_may_leave() -> None:
    found = quorum.removal(three(), seen(three(), {"cp3": SILENT}), ["cp3"])

    assert told(found) == [("warning", "control-planes", "")]


def test_nobody_leaves_while_the_quorum_is_lost() -> None:
    found = list(quorum.removal(three(), seen(three(), {"cp2": SILENT, "cp3": SILENT}), ["cp3"]))

    assert told(found)[0] == ("error", "etcd-quorum", "cp3")


def test_nobody_leaves_while_no_etcd_answers() -> None:
    silent = dict.fromkeys(("cp1", "cp2", "cp3"), SILENT)

    found = list(quorum.removal(three(), seen(three(), silent), ["cp3"]))

    assert told(found)[0] == ("error", "etcd-silent", "cp3")


def test_the_control_plane_that_is_the_endpoint_does_not_leave() -> None:
    cluster = factories.cluster("cp", "cp", "cp", endpoint="10.0.0.11:6443")

    found = list(quorum.removal(cluster, seen(cluster), ["cp1"]))

    assert told(found)[0] == ("error", "endpoint-leaves", "cp1")


def test_a_worker_is_no_matter_of_etcd() -> None:
    assert list(quorum.removal(three(), seen(three(), {"cp1": SILENT}), ["w1"])) == []


def test_an_api_server_that_is_silent_for_want_of_a_majority_says_so() -> None:
    documents = factories.running(three())
    documents["cp1"]["api"] = {"error": "https://10.0.0.11:6443: timed out"}
    documents["cp1"]["etcd"].update(healthy=False, reason="RAFT NO LEADER")

    told = silence(factories.facts("cp1", documents["cp1"]))

    assert told == (
        "https://10.0.0.11:6443: timed out; its etcd reaches no majority (RAFT NO LEADER): cp2, cp3 may be down"
    )


def test_an_etcd_that_does_not_answer_is_told_with_the_api_server() -> None:
    documents = factories.running(three())
    documents["cp1"].update(api={"error": "refused"}, etcd=SILENT)

    told = silence(factories.facts("cp1", documents["cp1"]))

    assert told == "refused; its etcd does not answer either: https://127.0.0.1:2379: refused"
