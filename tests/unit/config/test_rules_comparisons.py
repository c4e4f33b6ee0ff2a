"""Rules that compare keys: ranges that overlap, duplicate hosts, a missing endpoint."""

from __future__ import annotations

import pytest

from .factories import changed, findings_of, only

POD = "10.244.0.0/16"


def hosts(control_planes: int, workers: int) -> str:
    lines = [
        f"  - {{name: {role[0]}{number}, address: 10.1.{number // 250}.{number % 250 + 1}, role: {role}}}\n"
        for role, numbers in (
            ("control-plane", range(control_planes)),
            ("worker", range(control_planes, control_planes + workers)),
        )
        for number in numbers
    ]
    return 'name: demo\nkubernetes: "1.36.3"\nhosts:\n' + "".join(lines)


@pytest.mark.parametrize(
    ("cidr", "message", "fix"),
    [
        ("192.167.0.0/12", "has address bits set behind the prefix", "did you mean 192.160.0.0/12?"),
        ("10.244.0.1/16", "has address bits set behind the prefix", "did you mean 10.244.0.0/16?"),
        ("10.244.0.0", "has no prefix length", "10.244.0.0/16"),
        ("10.244.0.0/33", "is not a range", ""),
        ("10.244.0/16", "is not a range", ""),
        ("pods", "is not a range", ""),
        ("10.244.0.0/255.255.0.0", "has a mask instead of a prefix length", ""),
        ("10.244.0.0/25", "is too small; /8 to /24 is possible", ""),
        ("8.0.0.0/7", "is too large; /8 to /24 is possible", ""),
        ("127.0.0.0/16", "is reserved", ""),
        ("224.0.0.0/16", "is reserved", ""),
        ("fd00::/48", "IPv6 ranges are not supported yet", ""),
        ("10.244.0.0/16,fd00::/48", "dual-stack ranges are not supported yet", ""),
    ],
)
def test_a_pod_range_is_an_ipv4_range_that_nodes_can_share(cidr: str, message: str, fix: str) -> None:
    finding = only(findings_of(changed((POD, f'"{cidr}"'))))
    assert finding.key == "network.pod_cidr"
    assert message in finding.message
    assert fix in finding.fix


@pytest.mark.parametrize(
    ("cidr", "message"),
    [("10.96.0.0/11", "is too large; /12 to /28"), ("10.96.0.0/29", "is too small; /12 to /28")],
)
def test_a_service_range_has_a_size_that_kubernetes_accepts(cidr: str, message: str) -> None:
    finding = only(findings_of(changed((POD, f"{POD}\n  service_cidr: {cidr}"))))
    assert finding.key == "network.service_cidr"
    assert message in finding.message


@pytest.mark.parametrize("pods", ["10.96.0.0/16", "10.0.0.0/8", "10.96.0.0/12", "10.111.255.0/24"])
def test_pods_and_services_must_not_overlap_in_any_direction(pods: str) -> None:
    found = findings_of(changed((POD, pods)))
    finding = next(finding for finding in found if "service range" in finding.message)
    assert finding.key == "network.pod_cidr"
    assert finding.message == f"the pod range {pods} overlaps the service range 10.96.0.0/12"
    assert finding.fix == "write 10.244.0.0/16"


def test_an_overlap_is_reported_at_the_range_that_was_written() -> None:
    finding = only(findings_of(changed((f"pod_cidr: {POD}", "service_cidr: 10.244.128.0/20"))))
    assert finding.key == "network.service_cidr"
    assert finding.where == "cluster.yaml:4"
    assert finding.fix == "write 10.96.0.0/12"


def test_a_range_must_not_hold_hosts_and_the_free_one_that_is_named_holds_none() -> None:
    text = changed((POD, "10.0.0.0/16"), ("10.0.0.21", "10.244.7.7"))
    found = findings_of(text)
    assert [(finding.key, finding.message, finding.fix) for finding in found] == [
        ("network.pod_cidr", "the pod range 10.0.0.0/16 holds the address of cp1", "write 172.20.0.0/16")
    ]


def test_many_hosts_inside_a_range_are_one_finding() -> None:
    found = findings_of(hosts(1, 9) + "network: {service_cidr: 10.1.0.0/16}\n")
    assert only(found).message.endswith("holds the address of c0, w1, w2 and 7 more hosts")


def test_the_endpoint_must_not_be_inside_a_range() -> None:
    finding = only(findings_of(changed(add="endpoint: 10.96.0.7:6443\n")))
    assert finding.message == "10.96.0.7 is inside the service range 10.96.0.0/12"


@pytest.mark.parametrize(("workers", "severities"), [(2, []), (3, ["warning"]), (4, ["error"])])
def test_every_host_needs_a_24_of_the_pod_range(workers: int, severities: list[str]) -> None:
    found = findings_of(hosts(1, workers) + "network: {pod_cidr: 10.244.0.0/22}\n")
    assert [finding.severity for finding in found] == severities
    assert all("has room for 4 nodes" in finding.message for finding in found)
    assert all("/20 or wider" in finding.fix for finding in found)


@pytest.mark.parametrize(
    ("control_planes", "workers", "endpoint", "said"),
    [
        (1, 1, "", []),
        (3, 0, "10.1.0.200:6443", []),
        (3, 0, "local", []),
        (2, 0, "10.1.0.200:6443", ["warning: 2 control planes tolerate no more failures than 1"]),
        (4, 0, "api.example.com:6443", ["warning: 4 control planes tolerate no more failures than 3"]),
        (0, 1, "", ["error: no host has the role control-plane"]),
        (3, 0, "", ["error: endpoint is missing; 3 control planes need one address"]),
        (3, 0, "10.1.0.1:6443", ["warning: 10.1.0.1 is the address of c0 alone"]),
        (1, 0, "10.1.0.1:6443", []),
        (1, 1, "10.1.0.2:6443", ["error: 10.1.0.2 is the address of the worker w1"]),
    ],
)
def test_control_planes_have_a_quorum_and_an_endpoint(
    control_planes: int, workers: int, endpoint: str, said: list[str]
) -> None:
    found = findings_of(hosts(control_planes, workers) + (f"endpoint: {endpoint}\n" if endpoint else ""))
    heard = [f"{finding.severity}: {finding.message}" for finding in found]
    assert len(heard) == len(said)
    assert all(line.startswith(words) for line, words in zip(heard, said, strict=True))


def test_an_empty_list_of_hosts_is_no_cluster() -> None:
    assert only(findings_of('name: demo\nkubernetes: "1.36.3"\nhosts: []\n')).message == "no hosts are given"


@pytest.mark.parametrize(
    ("old", "new", "key", "message"),
    [
        ("name: w1", "name: cp1", "hosts[1].name", "cp1 is also the name of hosts[0]"),
        ("10.0.0.21", "10.0.0.11", "hosts[1].address", "10.0.0.11 is also the address of cp1"),
    ],
)
def test_a_duplicate_name_or_address_is_refused(old: str, new: str, key: str, message: str) -> None:
    finding = only(findings_of(changed((old, new))))
    assert (finding.key, finding.message) == (key, message)


def test_one_address_in_two_notations_is_a_duplicate() -> None:
    finding = only(findings_of(changed(("10.0.0.11", '"fd00::1"'), ("10.0.0.21", '"FD00:0::1"'))))
    assert finding.message == "FD00:0::1 is also the address of cp1"


def test_a_thousand_hosts_are_loaded_and_validated() -> None:
    assert (
        findings_of(hosts(3, 997) + "endpoint: api.example.com:6443\nnetwork: {pod_cidr: 172.16.0.0/12}\n")
        == ()
    )
