"""Firewalls of hosts, for real: namespaces are hosts, their traffic never leaves them. Only systemctl is a double."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .conftest import library
from .namespaces import Namespace, require_tools, wait_for

HOST, MEMBER, OTHER, STRANGER, POD = "10.9.0.1", "10.9.0.2", "10.9.0.4", "10.9.0.3", "10.244.0.2"
KUBELET, ETCD, UNLISTED = 10250, 2379, 9999
NFT_POLICY = """\
table inet filter {
    chain input {
        type filter hook input priority filter; policy drop;
        ct state established,related accept
        iif "lo" accept
        tcp dport 22 accept
        tcp dport 10250 counter drop
    }
    chain forward { type filter hook forward priority filter; policy drop; }
}
"""
NFT_REJECT = """\
table ip guard {
    chain deny { log prefix "denied: "; reject with icmp admin-prohibited; }
    chain incoming {
        type filter hook input priority filter - 5; policy accept;
        ct state established,related accept
        iif "lo" accept
        jump deny
    }
    chain passing { type filter hook forward priority filter; policy accept; counter drop; }
}
"""
IPTABLES = """\
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -i lo -j ACCEPT
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
COMMIT
"""
BUS = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_type="*"/><allow send_destination="*"/>
<allow receive_type="*"/></policy></busconfig>
"""


def opening(protocol: str, ports: str, sources: Sequence[str], group: str = "members") -> dict[str, Any]:
    return {"protocol": protocol, "ports": [ports] * bool(ports), "from": list(sources), "group": group}


def wanted(*members: str, **changes: Any) -> dict[str, Any]:
    """What a control plane of these members opens."""
    return {
        "input": [
            opening("tcp", "10250", members),
            opening("tcp", "2379-2380", members[:1], "control_planes"),
            opening("udp", "4789", members),
            opening("4", "", members),
            opening("tcp", "6443", [*members, "10.244.0.0/16", "fd00::/64"]),
        ],
        "pods": "10.244.0.0/16",
        "members": list(members),
        "control_planes": list(members[:1]),
        "node_ports_from": [],
        "controller": "",
        "hosts": ["cp1"],
        **changes,
    }


def nftables(host: Namespace, text: str = NFT_POLICY) -> None:
    host.run("nft", "-f", "-", stdin=text)


def rejecting(host: Namespace) -> None:
    nftables(host, NFT_REJECT)


def iptables(host: Namespace) -> None:
    host.run("iptables-nft-restore", stdin=IPTABLES)


def ufw(host: Namespace) -> None:
    host.run("ufw", "allow", "22/tcp")
    # Half of what is wanted is open already, and not by us.
    host.run("ufw", "allow", "proto", "udp", "from", MEMBER, "to", "any", "port", "4789")
    host.run("ufw", "--force", "enable")
    host.run("sysctl", "-q", "net.ipv4.ip_forward=1")


def firewalld(host: Namespace) -> None:
    host.run("mkdir", "-p", "/run/dbus")
    host.run("sh", "-c", "cat > /run/bus.conf", stdin=BUS)
    host.start("dbus-daemon", "--config-file=/run/bus.conf", "--nofork", "--nopidfile")
    wait_for(lambda: host.run("ls", "/run/dbus", check=False).strip())
    host.start("firewalld", "--nofork", "--nopid")
    wait_for(lambda: "running" in host.run("firewall-cmd", "--state", check=False))
    host.run("firewall-cmd", "--set-default-zone=drop")
    host.run("firewall-cmd", "--reload")  # it makes tables of iptables then, which stay
    host.run("firewall-cmd", "--change-interface=eth0")  # not permanently, as NetworkManager does it


@dataclass(frozen=True)
class Net:
    """A host with a pod behind it, two that become members, and a stranger."""

    host: Namespace
    member: Namespace
    other: Namespace
    stranger: Namespace

    def ruleset(self) -> str:
        return self.host.run("nft", "--stateless", "list", "ruleset")

    def files(self) -> str:
        return self.host.run(
            "sh",
            "-c",
            "find /etc /usr/local/sbin -xdev -type f -exec sha256sum {} + | grep -v /etc/mtab | sort -k2",
        )

    def open(self, wanted: dict[str, Any]) -> list[str]:
        found: list[str] = self.host.call("provision_openings:open_firewall", wanted)
        return found

    def close(self) -> list[str]:
        found: list[str] = self.host.call("provision_openings:close_firewall")
        return found

    def facts(self) -> dict[str, Any]:
        found: dict[str, Any] = self.host.call("provision_netfilter:firewall", "", changes=False)
        return found


@pytest.fixture
def net() -> Iterator[Net]:
    require_tools()
    with ExitStack() as stack:
        switch = Namespace(stack)
        switch.run("ip", "link", "add", "switch", "type", "bridge")
        switch.run("ip", "link", "set", "switch", "up")
        host, *others = (Namespace(stack) for _ in range(4))
        host.with_own_files()
        for number, (one, address) in enumerate(
            zip((host, *others), (HOST, MEMBER, OTHER, STRANGER), strict=True)
        ):
            one.connect(switch, f"port{number}", address)
            if one is not host:
                one.run("ip", "route", "add", "10.244.0.0/16", "via", HOST)
        pod = Namespace(stack)
        pid = str(pod.process.pid)
        host.run("ip", "link", "add", "cali1", "type", "veth", "peer", "name", "eth0", "netns", pid)
        host.run("ip", "address", "add", "10.244.0.1/24", "dev", "cali1")
        host.run("ip", "link", "set", "cali1", "up")
        host.run("sysctl", "-q", "net.ipv4.ip_forward=1")
        pod.run("ip", "address", "add", f"{POD}/24", "dev", "eth0")
        pod.run("ip", "link", "set", "eth0", "up")
        pod.run("ip", "route", "add", "default", "via", "10.244.0.1")
        host.serve(KUBELET, ETCD, UNLISTED)
        pod.serve(80)
        yield Net(host, *others)


KINDS: list[Callable[[Namespace], None]] = [nftables, rejecting, iptables, ufw, firewalld]


@pytest.mark.parametrize("firewall", KINDS, ids=lambda kind: kind.__name__)
def test_a_firewall_opens_for_members_alone_and_closes_without_a_trace(
    net: Net, firewall: Callable[[Namespace], None]
) -> None:
    firewall(net.host)
    before, files = net.ruleset(), net.files()
    assert not net.member.reaches(HOST, KUBELET)
    assert not net.member.reaches(POD, 80)

    assert net.open(wanted(MEMBER))

    assert net.member.reaches(HOST, KUBELET)
    assert net.member.reaches(HOST, ETCD)
    assert net.member.reaches(POD, 80)
    assert not net.member.reaches(HOST, UNLISTED)
    for one in (net.stranger, net.other):
        assert not one.reaches(HOST, KUBELET)
        assert not one.reaches(POD, 80)
    facts = net.facts()
    assert (facts["lost"], facts["noted"]) == ([], wanted(MEMBER))
    assert net.open(wanted(MEMBER)) == []

    assert net.open(wanted(OTHER))
    assert net.other.reaches(HOST, KUBELET)
    assert not net.member.reaches(HOST, KUBELET)
    assert net.facts()["lost"] == []

    assert net.close()
    assert not net.other.reaches(HOST, KUBELET)
    assert net.ruleset() == before
    assert net.files() == files
    assert net.close() == []


def test_openings_come_back_when_the_rules_of_the_host_are_loaded_again(net: Net) -> None:
    nftables(net.host)
    net.open(wanted(MEMBER))

    net.host.run("nft", "flush", "ruleset")
    nftables(net.host)
    assert net.facts()["lost"] == ["its chain inet filter input", "its chain inet filter forward"]
    net.host.run("/usr/local/sbin/provision-firewall")  # what its unit does, after nftables.service
    net.host.run("/usr/local/sbin/provision-firewall")

    assert net.facts()["lost"] == []
    assert net.ruleset().count("jump provision-input") == 1
    net.host.run("nft", "flush", "ruleset")
    net.host.run("/usr/local/sbin/provision-firewall")
    assert net.ruleset() == ""


def test_connections_to_node_ports_pass_where_the_file_wants_them(net: Net) -> None:
    nftables(net.host)
    translated = (
        f"chain pre {{ type nat hook prerouting priority dstnat; tcp dport 30080 dnat to {POD}:80; }}"
    )
    net.host.run("nft", "-f", "-", stdin=f"table ip kube-proxy {{\n{translated}\n}}\n")
    net.open(wanted(MEMBER))
    assert not net.stranger.reaches(HOST, 30080)

    net.open(wanted(MEMBER, node_ports_from=[STRANGER]))

    assert net.stranger.reaches(HOST, 30080)
    assert not net.stranger.reaches(POD, 80)
    assert not net.other.reaches(HOST, 30080)


def test_a_reload_of_firewalld_keeps_the_rules_of_others(net: Net) -> None:
    firewalld(net.host)
    net.host.run(
        "iptables-nft-restore", stdin="*nat\n:KUBE-SERVICES - [0:0]\n-A PREROUTING -j KUBE-SERVICES\nCOMMIT\n"
    )
    net.open(wanted(MEMBER))
    assert "-A PREROUTING -j KUBE-SERVICES" in net.host.run("iptables-nft", "-t", "nat", "-S")
    added = net.open(wanted(MEMBER, OTHER))
    assert f"firewalld: --add-entry={OTHER}" in added
    assert not any("opened" in sentence for sentence in added)  # without a reload
    assert net.other.reaches(HOST, KUBELET)
    net.close()
    assert "-A PREROUTING -j KUBE-SERVICES" in net.host.run("iptables-nft", "-t", "nat", "-S")

    net.host.run("firewall-cmd", "--add-port=8443/tcp")
    with pytest.raises(AssertionError, match="--runtime-to-permanent"):
        net.open(wanted(MEMBER))
    assert "8443/tcp" in net.host.run("firewall-cmd", "--list-ports")


def test_protocols_are_open_for_members_alone_in_ufw(net: Net) -> None:
    ufw(net.host)
    net.open(wanted(MEMBER))
    rules = net.host.run("iptables", "-S", "ufw-before-input").splitlines()
    ours = [line.split() for line in rules if f"-s {MEMBER}/32" in line]
    assert [words[-4:] for words in ours] in ([["-p", name, "-j", "ACCEPT"]] for name in ("4", "ipencap"))
    tuples = net.host.run("grep", "tuple", "/etc/ufw/user.rules").splitlines()
    (own,) = [line for line in tuples if "4789" in line]
    assert "comment" not in own


def test_a_reset_removes_the_tables_of_kube_proxy_and_calico_alone(net: Net) -> None:
    nftables(net.host)
    before = net.ruleset()
    chain = "chain nat { type nat hook prerouting priority dstnat; }"
    for table in ("ip kube-proxy", "ip6 kube-proxy", "ip calico", "ip6 calico"):
        net.host.run("nft", "-f", "-", stdin=f"table {table} {{\n{chain}\n}}\n")
    assert net.facts()["lost"] == ["its chain inet filter input", "its chain inet filter forward"]

    net.host.call("provision_firewall:remove_rules", "10.244.0.0/16", "10.96.0.0/12")

    assert net.ruleset() == before


def test_docker_that_drops_what_is_forwarded_is_no_firewall_of_the_host(net: Net) -> None:
    rules = "*filter\n:INPUT ACCEPT\n:FORWARD DROP\n:DOCKER-USER -\n-A FORWARD -j DOCKER-USER\n"
    calico = ":cali-INPUT -\n-A INPUT -j cali-INPUT\n-A cali-INPUT -j DROP\n"
    net.host.run("iptables-nft-restore", stdin=f"{rules}{calico}COMMIT\n")
    assert net.facts()["chains"] == []


def test_a_host_that_drops_what_it_sends_is_opened_for_what_it_receives(net: Net) -> None:
    output = "chain output { type filter hook output priority filter; policy drop; accept; }"
    nftables(net.host, f"{NFT_POLICY.rstrip()[:-1]}{output}\n}}\n")
    net.open(wanted(MEMBER))
    facts = net.facts()
    assert [chain["hook"] for chain in facts["chains"] if not chain["opened"]] == ["output"]
    assert facts["lost"] == []
    assert net.member.reaches(HOST, KUBELET)


def test_a_host_that_only_accepts_by_rules_is_no_firewall(net: Net) -> None:
    net.host.run("nft", "-f", "-", stdin=NFT_POLICY.replace("policy drop", "policy accept"))
    facts = net.facts()
    assert (facts["chains"], facts["ufw"], facts["firewalld"]["active"]) == ([], False, False)


def test_the_machine_that_runs_provision_is_known_by_its_connection(tmp_path: Path) -> None:
    """sudo hides the variable from the probe; its own ancestors have it."""
    netfilter = library("provision_netfilter")
    chain = {
        os.getpid(): (41, "HOME=/root"),
        41: (40, "SUDO=1"),
        40: (1, "A=b\0SSH_CONNECTION=10.9.0.77 5 10.9.0.1 22"),
    }
    for pid, (parent, environment) in chain.items():
        directory = tmp_path / f"proc/{pid}"
        directory.mkdir(parents=True)
        (directory / "environ").write_text(environment)
        (directory / "stat").write_text(f"{pid} (a b) c) S {parent} 0 0")
    assert netfilter.firewall(str(tmp_path))["client"] == "10.9.0.77"


def test_files_on_hosts_are_as_reviewed(golden: Callable[[str, str], None]) -> None:
    openings, policies = library("provision_openings"), library("provision_firewalld")
    asked = wanted("10.0.0.11", "10.0.0.21", "fd00::21", node_ports_from=["10.20.0.0/16"])
    chains = {
        ("inet", "filter", "input"): ("input", False),
        ("inet", "filter", "forward"): ("forward", False),
        ("ip", "filter", "INPUT"): ("input", False),
        ("ip", "filter", "FORWARD"): ("forward", False),
        ("ip6", "guard", "incoming"): ("input", False),
    }
    golden("firewall/provision-firewall", openings.script(asked, chains))
    golden("firewall/provision-firewall.service", openings._SERVICE)
    for path, text in policies._files(asked):
        golden(f"firewall/{path.removeprefix('etc/')}", text)


def test_a_chain_with_a_name_that_a_shell_could_misread_is_refused() -> None:
    openings, host = library("provision_openings"), library("provision_host")
    with pytest.raises(host.HostError, match="cannot be handled"):
        openings.script(wanted("10.0.0.11"), {("inet", "a;b", "input"): ("input", False)})
