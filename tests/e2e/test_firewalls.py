"""Hosts whose firewalls drop by default, on lab machines: nftables on cp1, firewalld on w1, ufw on w2.

One lab per dataplane of the cluster. The lab's kernel must have nf_tables. The programs are Debian's packages, unpacked
here: machines have no way out. Each test continues where the one before it stopped.
"""

from __future__ import annotations

import base64
import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from provision.lab.debian import SUITE
from provision.lab.network import BRIDGE
from provision.lab.state import GATEWAY, lab_directory
from provision.lab.toolchain import unpack

from . import host_state
from .lab_cluster import LabCluster, running_lab, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.life]

STRANGER = f"{GATEWAY.rpartition('.')[0]}.250"
HOSTS = ("cp1", "w1", "w2")
PORTS = (22, 179, 2379, 2380, 4240, 6443, 9100, 10250, 10256, 10257, 10259, 30080)
NFTABLES = """\
#!/usr/sbin/nft -f
flush ruleset
table inet filter {
    chain input {
        type filter hook input priority filter; policy drop;
        ct state established,related accept
        iif "lo" accept
        tcp dport 22 accept
    }
    chain forward { type filter hook forward priority filter; policy drop; }
}
"""
FIREWALLS = {
    "cp1": f"sudo tee /etc/nftables.conf >/dev/null <<'END'\n{NFTABLES}END\nsudo systemctl enable --now nftables\n",
    "w1": "sudo systemctl enable --now firewalld\nsudo firewall-cmd --state\n",
    "w2": "sudo ufw allow 22/tcp\nsudo ufw --force enable\n",
}
PACKAGES = {"w1": "firewalld", "w2": "ufw"}
# The rules of the host's own firewall, without counters.
RULES = {
    "cp1": "sudo nft --stateless list table inet filter",
    "w1": "sudo nft --stateless list table inet firewalld",
    "w2": "sudo ufw status numbered; sudo cat /etc/ufw/*.rules; sudo iptables -S | grep ufw",
}
TABLES = "sudo nft list tables | sort"
CONNECT = """
import socket, sys
source, address, *ports = sys.argv[1:]
for port in ports:
    try:
        socket.create_connection((address, int(port)), 2, (source, 0)).close()
        print(port)
    except ConnectionRefusedError:
        print(port)
    except OSError:
        pass
"""


@dataclass
class GuardedCluster(LabCluster):
    """`before`: state and rule set of each host before the cluster."""

    dataplane: str = ""
    before: dict[str, list[str]] = field(default_factory=dict)

    def state(self, host: str) -> list[str]:
        return [*host_state.state(self, host), *self.rules(host).splitlines()]

    def rules(self, host: str) -> str:
        return self.on(host, RULES[host])

    def open_ports(self, host: str, source: str) -> set[int]:
        """Those of PORTS that do not drop a connection from an address of the lab's namespace."""
        lab = lab_directory(self.name).load()
        assert lab is not None
        ports = map(str, PORTS)
        return set(
            map(int, self.run("python3", "-c", CONNECT, source, lab.machine(host).address, *ports).split())
        )


@pytest.fixture(scope="module", params=["nftables", "iptables"])
def cluster(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GuardedCluster]:
    cluster = GuardedCluster("test-firewalls", tmp_path_factory.mktemp("cluster"), request.param)
    with running_lab(cluster, "--workers", "2"):
        text = cluster.file.read_text()
        assert text.count("network:\n") == 1
        cluster.file.write_text(text.replace("network:\n", f"network:\n  dataplane: {cluster.dataplane}\n"))
        root = tmp_path_factory.mktemp("debian") / "root"
        unpack([*PACKAGES.values()], SUITE, root, "--skip=cleanup/apt")
        for host, package in PACKAGES.items():
            install(cluster, host, root, package)
        for host, script in FIREWALLS.items():
            cluster.on(host, f"set -e\n{script}")
            cluster.before[host] = cluster.state(host)
        # A stranger: a second address of the machine that runs provision.
        cluster.run("ip", "address", "add", f"{STRANGER}/24", "dev", BRIDGE)
        yield cluster


def install(cluster: LabCluster, host: str, root: Path, package: str) -> None:
    """Install a Debian package with those of its dependencies that the machine lacks."""
    present = set(cluster.on(host, "dpkg-query --show --showformat='${Package}\\n'").split())
    archives = [
        path
        for path in sorted(root.glob("var/cache/apt/archives/*.deb"))
        if (name := path.name.partition("_")[0]) not in present
        and name not in {*PACKAGES.values()} - {package}
    ]
    assert any(path.name.startswith(f"{package}_") for path in archives), "nothing was downloaded"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path in archives:
            tar.add(path, path.name)
    script = "mkdir -p /tmp/debs && base64 -d | tar -x -C /tmp/debs && "
    script += "sudo env DEBIAN_FRONTEND=noninteractive dpkg --install /tmp/debs/*.deb && rm -r /tmp/debs"
    cluster.on(host, script, stdin=base64.b64encode(buffer.getvalue()).decode(), seconds=900)


def test_the_plan_says_what_is_opened_from_whom(cluster: GuardedCluster) -> None:
    done = cluster.provision("plan")

    assert done.returncode == 2, done.stderr
    assert "its chain inet filter input drops by default" in done.stdout
    assert "firewalld is active: opens 10250/tcp" in done.stdout
    assert "ufw is active: opens 10250/tcp" in done.stdout
    for host in HOSTS:
        assert cluster.open_ports(host, GATEWAY) == {22}, host


def test_a_cluster_is_created_behind_its_firewalls(cluster: GuardedCluster) -> None:
    done = cluster.provision("apply", "--yes")  # with the smoke test

    assert done.returncode == 0, done.stderr
    assert set(cluster.nodes().values()) == {"Ready"}
    assert cluster.kubectl("get", "nodes").count("Ready") == len(
        HOSTS
    )  # from the machine that runs provision


def test_kube_proxy_and_calico_use_the_dataplane_of_the_file(cluster: GuardedCluster) -> None:
    mode = cluster.kubectl("-n", "kube-system", "get", "configmap", "kube-proxy", "-o", "yaml")
    assert f"mode: {cluster.dataplane}\n" in mode
    for host in HOSTS:
        tables = cluster.on(host, TABLES).splitlines()
        expected = ["table ip calico", "table ip kube-proxy"] if cluster.dataplane == "nftables" else []
        assert [line for line in tables if line in ("table ip calico", "table ip kube-proxy")] == expected, (
            host
        )
        rules = cluster.on(host, "sudo iptables-save; sudo iptables-legacy-save 2>/dev/null || true")
        assert ("KUBE-SERVICES" in rules) == (cluster.dataplane == "iptables"), host


def test_nothing_else_was_opened(cluster: GuardedCluster) -> None:
    assert cluster.open_ports("cp1", GATEWAY) == {22, 6443}
    assert cluster.open_ports("cp1", STRANGER) == {22}
    for host in ("w1", "w2"):
        assert cluster.open_ports(host, GATEWAY) == {22}, host
    assert cluster.on("w1", "sudo firewall-cmd --state").strip() == "running"
    assert "Status: active" in cluster.on("w2", "sudo ufw status")
    assert "policy drop" in cluster.rules("cp1")


def test_a_second_apply_has_nothing_to_do(cluster: GuardedCluster) -> None:
    done = cluster.provision("apply", "--yes")

    assert done.returncode == 0, done.stderr
    assert "nothing to do" in done.stdout


def test_openings_survive_a_restart_of_nftables_and_a_reboot(cluster: GuardedCluster) -> None:
    cluster.on("cp1", "sudo systemctl restart nftables")
    assert "jump provision-input" in cluster.rules("cp1")
    cluster.on("cp1", "sudo systemctl reload nftables")
    assert "jump provision-input" in cluster.rules("cp1")

    boot = cluster.on("cp1", "cat /proc/sys/kernel/random/boot_id")
    cluster.on("cp1", "sudo systemctl reboot", succeed=False)
    again = "cat /proc/sys/kernel/random/boot_id"
    wait_for(
        "cp1 boots again",
        lambda: cluster.on("cp1", again, succeed=False).strip() not in ("", boot.strip()),
        300,
    )
    wait_for("the nodes are ready", lambda: set(cluster.nodes().values()) == {"Ready"}, 600)
    assert "nothing to do" in cluster.provision("apply", "--yes").stdout


def test_a_node_that_is_removed_is_shut_out_and_let_in_again(cluster: GuardedCluster) -> None:
    lab = lab_directory(cluster.name).load()
    assert lab is not None
    address = lab.machine("w2").address
    text = cluster.file.read_text()
    assert address in cluster.rules("cp1")

    assert cluster.provision("node", "remove", "w2", "--yes").returncode == 0
    assert address not in cluster.rules("cp1")
    assert address not in cluster.on("w1", "sudo firewall-cmd --ipset=provision-members --get-entries")
    assert cluster.state("w2") == cluster.before["w2"]

    cluster.file.write_text(text)
    assert cluster.provision("apply", "--yes").returncode == 0
    assert address in cluster.on("w1", "sudo firewall-cmd --ipset=provision-members --get-entries")


def test_a_reset_leaves_every_host_and_its_firewall_as_they_were(cluster: GuardedCluster) -> None:
    done = cluster.provision("reset", "--yes")

    assert done.returncode == 0, done.stderr
    host_state.assert_no_cluster_files(cluster, HOSTS)
    for host in HOSTS:
        now, before = cluster.state(host), cluster.before[host]
        assert [line for line in now if line not in before] == [], host
        assert [line for line in before if line not in now] == [], host
        assert "kube-proxy" not in cluster.on(host, TABLES)
        assert cluster.open_ports(host, GATEWAY) == {22}, host
