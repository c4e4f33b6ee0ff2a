from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from provision.providers.kubeadm.checks import CHECKS, check

from . import factories

if TYPE_CHECKING:
    from provision.model.cluster import Cluster
    from provision.model.plan import Finding

CLUSTER = factories.cluster("cp", "w")


def findings(documents: dict[str, factories.Document], cluster: Cluster = CLUSTER) -> list[Finding]:
    return list(check(cluster, factories.observation(documents)))


def fresh(
    where: str = "", changes: dict[str, Any] | None = None, cluster: Cluster = CLUSTER
) -> list[Finding]:
    """Findings about fresh hosts, one of them changed."""
    documents = {host.name: factories.fresh(host) for host in cluster.hosts}
    if where:
        documents[where] = factories.merged(documents[where], changes or {})
    return findings(documents, cluster)


def running(where: str, changes: dict[str, Any], cluster: Cluster = CLUSTER) -> list[Finding]:
    """Findings about a running cluster, one host of which is changed."""
    documents = factories.running(cluster)
    documents[where] = factories.merged(documents[where], changes)
    return findings(documents, cluster)


def only(found: list[Finding]) -> Finding:
    assert len(found) == 1, [f"{finding.check}: {finding.message}" for finding in found]
    assert found[0].fix, "every finding has a way out"
    return found[0]


def test_fresh_hosts_that_are_fit_have_no_findings() -> None:
    assert fresh() == []


def test_a_healthy_cluster_has_no_findings() -> None:
    assert running("w1", {}) == []


@pytest.mark.parametrize(
    ("changes", "name", "words"),
    [
        ({"machine": {"os": {"id": "nixos", "name": "NixOS 26"}}}, "system", "NixOS 26"),
        ({"machine": {"os": {"version": "11"}}}, "system", "Debian"),
        ({"machine": {"systemd": False}}, "system", "systemd"),
        ({"machine": {"architecture": "riscv64"}}, "architecture", "riscv64"),
        ({"machine": {"memory_mib": 1500}}, "memory", "1500 MiB"),
        ({"machine": {"cpus": 1}}, "cpus", "1 CPU"),
        (
            {"machine": {"disks": {"/var/lib/etcd": {"noexec": False, "read_only": True}}}},
            "read-only",
            "etcd",
        ),
        ({"machine": {"disks": {"/var/lib/containerd": {"noexec": True}}}}, "noexec", "/var/lib/containerd"),
        ({"kernel": {"cgroup": 1}}, "cgroup-v1", "version 1"),
        ({"software": {"package_database": {"broken": ["vim"]}}}, "packages-broken", "vim"),
        ({"kubernetes": {"etcd_data": True}}, "leftovers", "/var/lib/etcd/member"),
        ({"software": {"cni": ["05-cilium.conflist"]}}, "other-network-plugin", "05-cilium"),
    ],
)
def test_an_unfit_control_plane_is_refused(changes: dict[str, Any], name: str, words: str) -> None:
    finding = only(fresh("cp1", changes))
    assert (finding.severity, finding.check, finding.where) == ("error", name, "cp1")
    assert words in finding.message


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        (
            {"software": {"package_database": {"locked_by": "apt-get (pid 9)", "broken": ["x"]}}},
            "packages-locked",
        ),
        (
            {
                "software": {"package_database": {"broken": ["kubelet"]}},
                "kubernetes": {"markers": ["before"]},
            },
            "packages-broken",
        ),
        ({"network": {"routes": []}}, "no-default-route"),
        ({"machine": {"disks": {"/tmp": {"noexec": True}}}}, "noexec"),  # noqa: S108
        ({"software": {"cni": ["10-flannel.conflist"]}}, "other-network-plugin"),
    ],
)
def test_what_only_hinders_is_a_warning(changes: dict[str, Any], name: str) -> None:
    finding = only(fresh("w1", changes))
    assert (finding.severity, finding.check) == ("warning", name)


def virtual_address(vip: str, *addresses: str) -> list[Finding]:
    """What is found where cp2 has these addresses besides its own."""
    cluster = factories.cluster("cp", "cp", "cp", "w", endpoint={"vip": vip})
    documents = {host.name: factories.fresh(host) for host in cluster.hosts}
    documents["cp2"]["network"]["addresses"] += [{"cidr": one, "interface": "eth1"} for one in addresses]
    return [one for one in check(cluster, factories.observation(documents)) if one.check == "virtual-address"]


@pytest.mark.parametrize("vip", ["10.0.1.10", "10.0.0.255", "10.0.0.0"])
def test_every_control_plane_can_have_the_virtual_address(vip: str) -> None:
    found = virtual_address(vip, "10.0.1.3/24")  # no matter what else it has: the others know it by its own

    assert [(one.severity, one.where) for one in found] == [("error", f"cp{number}") for number in (1, 2, 3)]
    assert (
        f"it cannot have {vip}, which is no free address of the network of its own 10.0.0.11/24"
        in found[0].message
    )
    assert "`endpoint: local`" in found[0].fix


def test_an_address_that_somebody_else_keeps_on_a_host_is_not_taken() -> None:
    (finding,) = virtual_address("10.0.0.10", "10.0.0.10/24")

    assert (finding.severity, finding.where) == ("error", "cp2")
    assert finding.message == "it has the address 10.0.0.10 already, and not from provision"


def test_the_virtual_address_of_our_own_is_no_endpoint_of_others() -> None:
    documents = factories.running(factories.cluster("cp", "w", endpoint={"vip": "10.0.0.10"}))

    found = check(factories.cluster("cp", "w", endpoint="10.0.0.10:7443"), factories.observation(documents))

    (finding,) = (one for one in found if one.check == "virtual-address")
    assert "`endpoint: {vip: 10.0.0.10}`" in finding.fix


def test_kubeadms_limits_can_be_ignored_by_its_own_names() -> None:
    cluster = factories.cluster("cp", "w", kubeadm={"ignore_preflight_errors": ("Mem", "NumCPU")})
    assert fresh("cp1", {"machine": {"memory_mib": 900, "cpus": 1}}, cluster) == []


def test_a_worker_may_be_smaller_than_a_control_plane() -> None:
    assert fresh("w1", {"machine": {"memory_mib": 1000, "cpus": 1}}) == []


def test_room_is_counted_per_file_system() -> None:
    found = only(fresh("cp1", {"machine": {"disks": {p: {"free_mib": 5000} for p in _ALL}}}))
    assert found.check == "disk"
    assert "5000 MiB are free for /, /var/lib/containerd, /var/lib/etcd, /var/lib/kubelet" in found.message


_ALL = ("/", "/var/lib/containerd", "/var/lib/etcd", "/var/lib/kubelet")


def test_room_on_several_disks_is_counted_apart() -> None:
    disks = {path: {"free_mib": 3100, "device": number} for number, path in enumerate(_ALL)}
    assert fresh("cp1", {"machine": {"disks": disks}}) == []


def test_only_the_clock_that_is_off_is_named() -> None:
    finding = only(fresh("w1", {"time": factories.NOW - 100}))
    assert (finding.check, finding.where) == ("clock-skew", "w1")
    assert "100 s behind" in finding.message


def test_clocks_within_half_a_minute_are_fine() -> None:
    assert fresh("w1", {"time": factories.NOW + 29}) == []


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("duplicate-machine-id", {"machine": {"machine_id": f"{21:032x}"}}),
        ("duplicate-mac", {"network": {"macs": ["52:54:00:00:00:15"]}}),
        ("duplicate-product-uuid", {"machine": {"product_uuid": "0000-21"}}),
        ("same-machine", {"machine": {"boot_id": "boot-21", "machine_id": f"{21:032x}"}}),
    ],
)
def test_clones_are_named_together(kind: str, values: dict[str, Any]) -> None:
    finding = only(fresh("cp1", values))
    assert finding.check == kind
    assert "cp1 and w1" in finding.message


@pytest.mark.parametrize(
    ("cidr", "taken"),
    [("10.244.7.0/24", "10.244.7.0/24"), ("10.0.0.0/8", "10.0.0.0/8"), ("10.244.0.0/16", "10.244.0.0/16")],
)
def test_a_route_that_overlaps_the_pod_range_is_found_in_any_direction(cidr: str, taken: str) -> None:
    routes = [{"cidr": "0.0.0.0/0", "interface": "eth0", "gateway": "10.0.0.1"}]
    routes += [{"cidr": cidr, "interface": "vpn0", "gateway": ""}]
    found = [f for f in fresh("w1", {"network": {"routes": routes}}) if "pod range" in f.message]
    finding = only(found)
    assert finding.check == "range-overlap"
    assert taken in finding.message
    assert "vpn0" in finding.message


def test_an_interface_in_the_service_range_is_found() -> None:
    addresses = [{"cidr": "10.96.3.4/24", "interface": "eth1"}]
    finding = only(fresh("w1", {"network": {"addresses": addresses}}))
    assert "service range 10.96.0.0/12 overlaps 10.96.3.0/24 of eth1" in finding.message


def test_the_routes_that_calico_makes_are_no_overlap() -> None:
    routes = [
        {"cidr": "0.0.0.0/0", "interface": "eth0", "gateway": "10.0.0.1"},
        {"cidr": "10.244.1.0/26", "interface": "vxlan.calico", "gateway": "10.244.1.0"},
        {"cidr": "10.244.2.3/32", "interface": "cali1234", "gateway": ""},
        {"cidr": "10.244.2.0/26", "interface": "*", "gateway": ""},
    ]
    assert running("w1", {"network": {"routes": routes}}) == []


def test_a_taken_port_is_named_with_its_process() -> None:
    finding = only(fresh("cp1", {"network": {"ports": [{"port": 6443, "process": "nginx", "pid": 812}]}}))
    assert finding.check == "port-taken"
    assert "6443 is taken by nginx (pid 812)" in finding.message


def test_a_port_of_the_control_plane_may_be_taken_on_a_worker() -> None:
    assert fresh("w1", {"network": {"ports": [{"port": 6443, "process": "nginx", "pid": 812}]}}) == []


def test_the_ports_of_a_running_node_are_its_own() -> None:
    assert running("cp1", {"network": {"ports": [{"port": 6443, "process": "", "pid": 0}]}}) == []


def test_the_ports_of_an_init_that_was_cut_off_are_its_own() -> None:
    ports = [{"port": 6443, "process": "kube-apiserver", "pid": 9}]
    kubernetes = {"markers": ["init-started"], "manifests": {"kube-apiserver": "x"}, "etcd_data": True}
    assert fresh("cp1", {"network": {"ports": ports}, "kubernetes": kubernetes}) == []


def test_the_distributions_containerd_is_refused_before_it_is_replaced() -> None:
    package = {"version": "1.6.20~ds1-1+deb12u1", "held": False, "whole": True}
    finding = only(fresh("w1", {"software": {"packages": {"containerd": package}}}))
    assert finding.check == "containerd-package"
    assert "1.6.20" in finding.message


def test_a_file_that_sets_a_sysctl_back_is_named() -> None:
    sysctl = {"now": "1", "at_boot": "0", "file": "/etc/sysctl.conf"}
    finding = only(running("w1", {"kernel": {"sysctls": {"net.ipv4.ip_forward": sysctl}}}))
    assert (finding.check, finding.where) == ("sysctl-reverted", "w1")
    assert "/etc/sysctl.conf" in finding.message


def test_a_node_of_another_cluster_is_refused() -> None:
    finding = only(
        running("w1", {"kubernetes": {"ca": factories.OTHER_CA, "kubelet_server": "https://other:6443"}})
    )
    assert (finding.check, finding.where) == ("another-cluster", "w1")
    assert "https://other:6443" in finding.message


def test_a_node_of_another_cluster_is_refused_before_there_is_one_of_ours() -> None:
    kubelet = {"services": {"kubelet": {"active": True}}}
    kubernetes = {"ca": factories.OTHER_CA, "joined": True}
    finding = only(fresh("w1", {"kubernetes": kubernetes, "software": kubelet}))
    assert finding.check == "another-cluster"


def test_a_new_machine_under_the_name_of_a_node_is_refused() -> None:
    finding = only(running("w1", {"machine": {"machine_id": "f" * 32}}))
    assert (finding.check, finding.where) == ("node-of-another-machine", "w1")


def test_a_role_that_was_changed_is_refused() -> None:
    documents = factories.running(CLUSTER)
    hosts = (CLUSTER.hosts[0], CLUSTER.hosts[1].model_copy(update={"role": "control-plane"}))
    wanted = CLUSTER.model_copy(update={"hosts": hosts})
    assert only(findings(documents, wanted)).check == "role-changed"


@pytest.mark.parametrize(("version", "words"), [("v1.36.2", "upgrades come"), ("v1.36.4", "cannot go back")])
def test_another_version_than_the_clusters_is_refused(version: str, words: str) -> None:
    documents = factories.running(CLUSTER)
    documents["cp1"]["api"]["version"] = version
    for node in documents["cp1"]["api"]["nodes"]:
        node["kubelet"] = version
    finding = only(findings(documents))
    assert finding.check == "kubernetes-version"
    assert words in finding.fix


def test_a_kubelet_that_stayed_behind_is_a_warning() -> None:
    documents = factories.running(CLUSTER)
    documents["cp1"]["api"]["nodes"][1]["kubelet"] = "v1.35.4"
    finding = only(findings(documents))
    assert (finding.severity, finding.check, finding.where) == ("warning", "kubelet-version", "w1")


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"network": {"pod_cidr": "10.200.0.0/16"}}, "network.pod_cidr"),
        ({"network": {"service_cidr": "10.100.0.0/16"}}, "network.service_cidr"),
        ({"network": {"encapsulation": "ipip"}}, "network.encapsulation"),
        ({"network": {"dataplane": "nftables"}}, "network.dataplane"),
        ({"name": "other"}, "name"),
    ],
)
def test_what_a_cluster_keeps_for_life_cannot_be_changed(changes: dict[str, Any], key: str) -> None:
    finding = only(findings(factories.running(CLUSTER), factories.cluster("cp", "w", **changes)))
    assert finding.check == "cannot-be-changed"
    assert finding.message.startswith(key)


def test_nftables_needs_a_kernel_that_kube_proxy_can_use() -> None:
    cluster = factories.cluster("cp", "w", network={"dataplane": "nftables"})
    finding = only(fresh("w1", {"machine": {"kernel": "5.10.0-28-amd64"}}, cluster=cluster))
    assert (finding.check, finding.where) == ("kernel", "w1")
    assert "5.13" in finding.message


def test_more_nodes_than_parts_of_the_pod_range_are_refused() -> None:
    cluster = factories.cluster("cp", "w", network={"pod_cidr": "10.244.0.0/24"})
    assert only(fresh(cluster=cluster)).check == "pod-range-size"


def test_a_silent_api_server_is_a_warning_with_its_reason() -> None:
    finding = only(running("cp1", {"api": {"error": "https://10.0.0.11:6443: refused"}}))
    assert (finding.severity, finding.check) == ("warning", "api-server-silent")


def test_a_certificate_that_ends_soon_is_a_warning() -> None:
    finding = only(running("cp1", {"kubernetes": {"certificates": {"apiserver": "270120000000Z"}}}))
    assert (finding.severity, finding.check) == ("warning", "certificate-ends")
    assert "apiserver" in finding.message


def test_a_stopped_kubelet_is_a_warning() -> None:
    finding = only(running("w1", {"software": {"services": {"kubelet": {"active": False}}}}))
    assert finding.check == "kubelet-stopped"


def test_errors_come_before_warnings() -> None:
    changes = {"network": {"routes": []}, "machine": {"memory_mib": 100}}
    assert [finding.severity for finding in fresh("w1", changes)] == ["error", "warning"]


def test_every_check_explains_itself() -> None:
    assert all(rule.__doc__ for rule in CHECKS)
