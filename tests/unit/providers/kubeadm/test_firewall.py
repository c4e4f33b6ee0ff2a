"""What is opened from whom, and when the step open-firewall is planned; real firewalls are in test_host_firewall."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from provision.providers.kubeadm.checks.network import firewalls
from provision.providers.kubeadm.steps.firewall import distinct, openings
from provision.providers.kubeadm.steps.planning import apply_plan, join_plan, removal_plan

from . import factories
from .test_plan import as_text, steps_of

if TYPE_CHECKING:
    from provision.model.cluster import Cluster
    from provision.model.plan import PlaybookPlan, PlaybookStep

Golden = Callable[[str, str], None]
VIP = {"vip": "10.0.0.10"}


def opened(cluster: Cluster, name: str, **options: Any) -> dict[str, tuple[str, ...]]:
    addresses = {host.name: [host.address] for host in cluster.hosts}
    wireguard = options.get("wireguard", False)
    found = openings(cluster, cluster.host(name), addresses, "10.9.0.1", wireguard=wireguard)
    return {one.shown: one.sources for one in found}


def running(cluster: Cluster, *, noted: bool = True) -> dict[str, factories.Document]:
    """A healthy cluster whose hosts all have a firewall; with `noted` opened as the plan wants it."""
    documents = {n: factories.with_firewall(d) for n, d in factories.running(cluster).items()}
    if noted:
        (step,) = [step for step in steps_of(cluster, documents) if step.name == "open-firewall"]
        for name, document in documents.items():
            document["firewall"]["noted"] = wanted(step, name)
            document["firewall"]["chains"][0]["opened"] = True
    return documents


def wanted(step: PlaybookStep, name: str) -> dict[str, Any]:
    return {key.removeprefix("host_firewall_"): value for key, value in step.host_variables[name].items()}


def reasons(plan: PlaybookPlan) -> list[tuple[str, str]]:
    return [(r.host, r.what) for step in plan if step.name == "open-firewall" for r in step.reasons]


def test_a_worker_lets_in_members_only_and_no_port_of_a_control_plane() -> None:
    members = ("10.0.0.11", "10.0.0.21")
    assert opened(factories.cluster("cp", "w"), "w1") == {
        "10250/tcp": (*members, "10.244.0.0/16"),
        "4789/udp": members,
    }


def test_etcd_is_open_for_control_planes_and_the_api_for_members_pods_and_the_controller() -> None:
    cluster = factories.cluster("cp", "cp", "cp", "w", endpoint=VIP)
    found = opened(cluster, "cp1")
    planes = ("10.0.0.11", "10.0.0.12", "10.0.0.13")
    assert found["2379-2380/tcp"] == planes
    assert found["VRRP"] == planes
    api = found["6443/tcp, 7443/tcp"]
    assert api == (*planes, "10.0.0.21", "10.244.0.0/16", "10.0.0.10", "10.9.0.1")


def test_the_file_says_who_uses_the_api_and_node_ports() -> None:
    firewall = {"api_from": ("10.20.0.0/16",), "node_ports_from": ("0.0.0.0/0",)}
    found = opened(factories.cluster("cp", "w", firewall=firewall), "cp1")
    assert found["6443/tcp"] == ("10.0.0.11", "10.0.0.21", "10.244.0.0/16", "10.20.0.0/16")
    assert found["30000-32767/tcp"] == found["30000-32767/udp"] == ("0.0.0.0/0",)


@pytest.mark.parametrize(
    ("encapsulation", "ports"),
    [
        ("vxlan", {"4789/udp"}),
        ("vxlan-cross-subnet", {"4789/udp"}),
        ("ipip", {"179/tcp", "IP-in-IP"}),
        ("ipip-cross-subnet", {"179/tcp", "IP-in-IP"}),
        ("none", {"179/tcp"}),
    ],
)
def test_only_what_the_encapsulation_needs_is_open(encapsulation: str, ports: set[str]) -> None:
    cluster = factories.cluster("cp", "w", network={"encapsulation": encapsulation})
    assert set(opened(cluster, "w1")) == {"10250/tcp", *ports}
    assert set(opened(cluster, "w1", wireguard=True)) == {"10250/tcp", *ports, "51820-51821/udp"}


def test_ranges_that_others_hold_are_left_out() -> None:
    assert distinct(["10.0.0.11", "10.0.0.0/8", "fd00::1", "10.0.0.11"]) == ("10.0.0.0/8", "fd00::1")


def test_new_hosts_with_a_firewall_are_opened_before_init_and_joins(golden: Golden) -> None:
    cluster = factories.cluster("cp", "w")
    documents = {host.name: factories.with_firewall(factories.fresh(host)) for host in cluster.hosts}
    documents["w1"]["firewall"].update(chains=[], firewalld={"active": True})
    steps = {step.name: step for step in steps_of(cluster, documents)}
    assert "open-firewall" in steps["init-control-plane"].needs
    assert "open-firewall" in steps["join-workers"].needs
    golden("plans/open-firewall.txt", as_text((steps["open-firewall"],)))


def test_hosts_without_a_firewall_need_nothing() -> None:
    cluster = factories.cluster("cp", "w")
    documents = {
        host.name: factories.with_firewall(factories.fresh(host), chains=[]) for host in cluster.hosts
    }
    assert reasons(steps_of(cluster, documents)) == []


def test_a_firewall_that_is_open_as_wanted_needs_nothing_and_none_is_opened_unasked() -> None:
    cluster = factories.cluster("cp", "w")
    assert steps_of(cluster, running(cluster)) == ()
    unmanaged = factories.cluster("cp", "w", firewall={"managed": False})
    assert steps_of(unmanaged, running(cluster, noted=False)) == ()


def test_openings_that_were_lost_are_made_again() -> None:
    cluster = factories.cluster("cp", "w")
    documents = running(cluster)
    documents["w1"]["firewall"]["lost"] = ["its chain inet filter input"]
    (reason,) = reasons(steps_of(cluster, documents))
    assert reason[0] == "w1"
    assert "inet filter input" in reason[1]


def test_another_machine_that_runs_provision_changes_nothing() -> None:
    cluster = factories.cluster("cp", "w")
    documents = running(cluster)
    documents["cp1"]["firewall"]["client"] = "10.9.0.99"
    assert steps_of(cluster, documents) == ()


def test_a_node_that_is_added_is_let_in_by_every_host_with_a_firewall() -> None:
    before, cluster = factories.cluster("cp", "w"), factories.cluster("cp", "w", "w")
    documents = running(before)
    documents["w2"] = factories.fresh(cluster.host("w2"))  # no firewall

    plan = join_plan(cluster, factories.observation(documents), ["w2"], smoke=False)

    assert reasons(plan) == [
        ("cp1", "opens 10250/tcp for 10.0.0.22; 6443/tcp for 10.0.0.22; 4789/udp for 10.0.0.22"),
        ("w1", "opens 10250/tcp for 10.0.0.22; 4789/udp for 10.0.0.22"),
    ]


def test_a_node_that_is_removed_is_shut_out_by_the_hosts_that_stay() -> None:
    cluster = factories.cluster("cp", "w", "w")
    documents = running(cluster)

    plan = removal_plan(cluster, factories.observation(documents), ["w2"], drain_seconds=60)

    (step,) = [step for step in plan if step.name == "open-firewall"]
    assert step.needs == ("delete-nodes", "reset-hosts")
    assert {host for host, _ in reasons(plan)} == {"cp1", "w1"}
    assert all("closes" in what and "10.0.0.22" in what for _, what in reasons(plan))


def test_a_control_plane_without_a_firewall_notes_which_hosts_have_one() -> None:
    cluster = factories.cluster("cp", "w")
    documents = running(cluster, noted=False)
    del documents["cp1"]["firewall"]
    (step,) = [step for step in steps_of(cluster, documents) if step.name == "open-firewall"]
    assert step.host_variables["cp1"]["host_firewall_input"] == []
    assert step.host_variables["cp1"]["host_firewall_hosts"] == ["w1"]


def test_a_host_behind_nat_is_known_by_its_own_address_too() -> None:
    cluster = factories.cluster("cp", "w")
    documents = running(cluster, noted=False)
    documents["w1"]["network"]["addresses"] = [{"cidr": "192.168.7.2/24", "interface": "eth0"}]
    plan = apply_plan(cluster, factories.observation(documents), smoke=False)
    (step,) = [step for step in plan if step.name == "open-firewall"]
    assert step.host_variables["cp1"]["host_firewall_members"] == ["10.0.0.11", "10.0.0.21", "192.168.7.2"]


@pytest.mark.parametrize(
    ("firewall", "message"),
    [
        ({"firewalld": {"active": True, "lockdown": True}}, "locked down"),
        ({"firewalld": {"active": True, "backend": "iptables"}}, "drop the rules of kube-proxy"),
        ({"firewalld": {"active": True}, "ufw": True}, "both active"),
        ({"programs": []}, "no program nft"),
        ({"legacy": True}, "legacy kind"),
        (
            {"chains": [{"name": "inet f o", "hook": "output", "opened": False}]},
            "inet f o drops what the host sends",
        ),
    ],
)
def test_what_cannot_be_handled_is_explained(firewall: dict[str, Any], message: str) -> None:
    cluster = factories.cluster("cp")
    document = factories.with_firewall(factories.fresh(cluster.hosts[0]), **firewall)
    (finding,) = firewalls(cluster, factories.observation({"cp1": document}))
    assert message in finding.message
    unmanaged = factories.cluster("cp", firewall={"managed": False})
    assert [*firewalls(unmanaged, factories.observation({"cp1": document}))] == []


def test_a_load_balancer_whose_addresses_are_not_known_is_named() -> None:
    cluster = factories.cluster("cp", endpoint="api.example.com:6443")
    document = factories.with_firewall(factories.fresh(cluster.hosts[0]))
    (finding,) = firewalls(cluster, factories.observation({"cp1": document}))
    assert "api.example.com" in finding.message
    wide = factories.cluster("cp", endpoint="api.example.com:6443", firewall={"api_from": ("10.20.0.0/16",)})
    assert [*firewalls(wide, factories.observation({"cp1": document}))] == []
