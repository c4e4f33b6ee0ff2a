"""Hosts after a reset are as before provision, except for what docs/reset.md lists.

All tests use one lab of a control plane and a worker; the tests run in order and build on each other.
"""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from .fault_injection import SIGNALS, run_with_faults, signal_faults
from .lab_cluster import COMMAND_TIMEOUT, CONDITION_TIMEOUT, KUBECTL, LabCluster, running_lab, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.life]

LAB = "test-reset"
HOSTS = ("cp1", "w1")
# Firewall rules of other software: a dropped source address, a chain.
RULES = (
    "sudo iptables -A INPUT -s 198.51.100.7 -j DROP; sudo iptables -t nat -N MINE; "
    "sudo iptables -t nat -A MINE -d 198.51.100.8 -j RETURN; sudo iptables -t nat -A PREROUTING -j MINE"
)
# Commands whose output lines are the state of a machine.
STATE_COMMANDS = {
    "files": "find /etc /usr/local /opt /home /root -xdev -type f ! -name '.bash_history' "
    "! -path '/root/.kube*' -print0 | sort -z | xargs -0 sha256sum",
    "modes": "find /etc /usr/local /opt /home /root -xdev ! -name '.bash_history' ! -path '/root/.kube*' "
    "-printf '%p %y %m %U:%G %l\\n' | sort",
    "state": "find /var/lib /run -xdev -maxdepth 1 -printf '%p %y %m\\n' | grep -vE '^/run/(provision|netns) ' | sort",
    "packages": "dpkg-query --show --showformat='${Package} ${Version} ${Status}\\n' | grep ' installed$'",
    "units": "systemctl list-unit-files --no-legend --state=enabled,masked | sort",
    "swap": "cut -d' ' -f1 /proc/swaps",
    "names": "hostname; getent hosts localhost cp1 w1",
    "firewall": "for p in iptables ip6tables; do $p-save | grep -E '^-A|^:.* (DROP|-) ' | sed 's/ \\[.*//'; done",
    "mounts": "findmnt --raw --noheadings --output TARGET,SOURCE,FSTYPE | grep -v '^/run/user' | sort",
    "links": "ip -oneline address | awk '{print $2, $3, $4}' | grep -v ^tunl0 | sort; ip route; ip rule",
    "processes": "ps -eo comm= | grep -E 'kube|containerd|etcd|calico|felix|bird|pause|coredns' | sort; true",
}
SYSCTLS = "sysctl --all 2>/dev/null"
# Counters and values that the kernel computes; sysctls of modules that are loaded later are not compared.
VOLATILE = re.compile(
    r"random|dentry|inode|file-nr|nf_conntrack_count|pty\.nr|ns_last_pid|cpu_load|loadavg|free_|sched|perf|"
    r"max_newidle|stat|neigh\..*|ipv[46]\.conf\.(cali|vxlan|tunl)|nf_conntrack_(buckets|expect)|"
    r"netfilter\.nf_log|user\.max|numa|usage|quota"
)


@dataclass
class ResetCluster(LabCluster):
    """State of the hosts before provision."""

    before: dict[str, dict[str, str]] = field(default_factory=dict)
    sysctls: dict[str, dict[str, str]] = field(default_factory=dict)


def on(host: str, script: str, *, succeed: bool = True) -> str:
    return LabCluster(LAB, Path()).on(host, script, succeed=succeed)


def state(host: str) -> dict[str, str]:
    """Output of all STATE_COMMANDS by name, read in one login."""
    script = "".join(f"echo '=== {name}'; {command}\n" for name, command in STATE_COMMANDS.items())
    text = on(host, f"sudo sh <<'END'\n{script}END\n")
    parts = re.split(r"^=== (\w+)\n", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def sysctls(host: str) -> dict[str, str]:
    lines = on(host, f"sudo {SYSCTLS}").splitlines()
    pairs = (line.split(" = ", 1) for line in lines if " = " in line)
    return {pair[0]: pair[1] for pair in pairs if not VOLATILE.search(pair[0])}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ResetCluster]:
    cluster = ResetCluster(LAB, tmp_path_factory.mktemp("cluster"))
    with running_lab(cluster):
        for host in HOSTS:
            on(host, RULES)
            cluster.before[host] = state(host)
            cluster.sysctls[host] = sysctls(host)
        yield cluster


def test_a_second_run_from_another_controller_is_refused_with_the_lock_holder(
    cluster: ResetCluster,
) -> None:
    apply = cluster.start("apply", "--yes")
    started = "sudo test -e /run/provision/lock-cluster && sudo ls /var/lib/provision/before && echo yes"
    wait_for(
        "the lock is held and there is something to reset",
        lambda: bool(on("cp1", started, succeed=False)),
        120,
    )

    done = cluster.provision("reset", "--yes", "--force", controller="elsewhere")
    early = (done.returncode, done.stderr)
    held = f"{KUBECTL} -n kube-system get pods 2>/dev/null | grep -q kube-controller-manager"
    wait_for(
        "an API server answers", lambda: not on("cp1", f"{held} || echo no", succeed=False), CONDITION_TIMEOUT
    )
    second = cluster.provision("apply", "--yes", controller="elsewhere")

    assert apply.wait(COMMAND_TIMEOUT) == 0, cluster.output("apply")
    for code, stderr in (early, (second.returncode, second.stderr)):
        assert code == 1, stderr
        assert re.search(r"is being worked on: \w+@\S+, `provision apply.*`, process \d+, since 20", stderr)


def test_a_token_is_created_listed_without_its_secret_and_deleted(cluster: ResetCluster) -> None:
    command = cluster.provision("token", "create", "--ttl", "5m", "--print-join-command").stdout
    found = re.search(r"--token (\w{6})\.(\w{16}) --discovery-token-ca-cert-hash sha256:\w{64}", command)
    assert found, command

    listed = json.loads(cluster.provision("token", "list", "-o", "json").stdout)["tokens"]
    deleted = cluster.provision("token", "delete", found[1]).stdout

    assert [token["id"] for token in listed] == [found[1]]
    assert found[2] not in json.dumps(listed)
    assert 0 < listed[0]["seconds"] <= 300
    assert deleted == f"{found[1]}: deleted\n"
    assert json.loads(cluster.provision("token", "list", "-o", "json").stdout)["tokens"] == []
    for host in HOSTS:
        assert on(host, f"sudo journalctl --no-pager | grep -c {found[2]}; true").strip() == "0"


def test_an_apply_without_changes_takes_no_lock(cluster: ResetCluster) -> None:
    done = cluster.provision("apply", "--yes")

    assert "nothing to do" in done.stdout
    assert on("cp1", f"{KUBECTL} -n kube-system get leases -o name").count("provision") == 0


def test_a_reset_with_a_signal_at_each_step_is_continued(cluster: ResetCluster) -> None:
    run_with_faults(
        cluster, signal_faults(("reset-workers", "reset-last-control-plane"), SIGNALS[0]), "reset"
    )

    assert not cluster.kubeconfig.exists()


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("what", STATE_COMMANDS)
def test_the_previous_state_of_a_host_is_restored(cluster: ResetCluster, host: str, what: str) -> None:
    now = _state_after(cluster, host)[what].splitlines()

    before = cluster.before[host][what].splitlines()

    assert [line for line in now if line not in before] == []
    assert [line for line in before if line not in now] == []


_after: dict[str, dict[str, str]] = {}


def _state_after(cluster: ResetCluster, host: str) -> dict[str, str]:
    del cluster
    if host not in _after:
        _after[host] = state(host)
    return _after[host]


@pytest.mark.parametrize("host", HOSTS)
def test_sysctls_are_restored(cluster: ResetCluster, host: str) -> None:
    now, before = sysctls(host), cluster.sysctls[host]

    assert {name: now[name] for name in now.keys() & before.keys() if now[name] != before[name]} == {}


def test_a_second_reset_has_nothing_to_do(cluster: ResetCluster) -> None:
    done = cluster.provision("reset", "--yes")

    assert done.returncode == 0
    assert "nothing to do" in done.stdout


def test_ctrl_c_during_a_join_leaves_no_token(cluster: ResetCluster) -> None:
    apply = cluster.start("apply", "--yes")
    listed = f"{KUBECTL} -n kube-system get secrets -o name 2>/dev/null | grep bootstrap-token"
    joins = f"{listed} && {KUBECTL} get nodes -o name | grep -q cp1"
    joining = "pgrep -f '^kubeadm join' > /dev/null && echo yes"
    wait_for("w1 joins", lambda: on("w1", joining, succeed=False) == "yes\n", CONDITION_TIMEOUT)
    assert on("cp1", joins, succeed=False)

    os.killpg(apply.pid, signal.SIGINT)

    assert apply.wait(120) == 130, cluster.output("apply")
    assert on("cp1", listed, succeed=False) == ""
    assert on("cp1", f"{KUBECTL} -n kube-system get leases -o name").count("provision") == 0


def test_a_new_cluster_can_be_created_after_the_reset(cluster: ResetCluster) -> None:
    done = cluster.provision("apply", "--yes")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 2 nodes Ready" in done.stdout
    assert "smoke test passed" in done.stdout
    for host in HOSTS:
        assert "-A INPUT -s 198.51.100.7/32 -j DROP" in on(host, "sudo iptables-save")


def test_a_pending_smoke_test_is_run_by_the_next_apply(cluster: ResetCluster) -> None:
    patch = '{"data":{"unproven":"true"}}'
    on("cp1", f"{KUBECTL} -n kube-system patch configmap provision --type=merge -p '{patch}'")

    assert cluster.provision("plan").returncode == 2
    done = cluster.provision("apply", "--yes")

    assert "smoke test passed" in done.stdout
    assert cluster.provision("plan").returncode == 0


def test_one_host_is_drained_deleted_and_reset_while_the_cluster_stays(cluster: ResetCluster) -> None:
    done = cluster.provision("reset", "w1", "--yes")

    assert done.returncode == 0, done.stdout + done.stderr
    assert on("cp1", f"{KUBECTL} get nodes -o name").split() == ["node/cp1"]
    assert on("w1", "cat /proc/swaps").count("\n") == 2
    assert cluster.kubeconfig.exists()
