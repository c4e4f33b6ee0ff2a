"""Hosts before us and after a reset, on real machines: equal but for the rests that docs/reset.md names.

One lab of a control plane and a worker serves the module; the tests build on each other in the order they stand in.
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

from .rig import KUBECTL, LIMIT, SEEN_LIMIT, Rig, lab, wait_for
from .striking import SIGNALS, signals, struck_in_turn

pytestmark = [pytest.mark.lab, pytest.mark.life]

LAB = "test-reset"
HOSTS = ("cp1", "w1")
# Somebody else's: a way in that is closed, a chain of their own.
RULES = (
    "sudo iptables -A INPUT -s 198.51.100.7 -j DROP; sudo iptables -t nat -N MINE; "
    "sudo iptables -t nat -A MINE -d 198.51.100.8 -j RETURN; sudo iptables -t nat -A PREROUTING -j MINE"
)
# What a person would call the state of a machine, each question with its answer as lines.
QUESTIONS = {
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
# Counters, and what the kernel computes; sysctls of modules that are loaded later are not compared.
MOVING = re.compile(
    r"random|dentry|inode|file-nr|nf_conntrack_count|pty\.nr|ns_last_pid|cpu_load|loadavg|free_|sched|perf|"
    r"max_newidle|stat|neigh\..*|ipv[46]\.conf\.(cali|vxlan|tunl)|nf_conntrack_(buckets|expect)|"
    r"netfilter\.nf_log|user\.max|numa|usage|quota"
)


@dataclass
class ResetRig(Rig):
    """What the hosts were before us."""

    before: dict[str, dict[str, str]] = field(default_factory=dict)
    sysctls: dict[str, dict[str, str]] = field(default_factory=dict)


def on(host: str, script: str, *, succeed: bool = True) -> str:
    return Rig(LAB, Path()).on(host, script, succeed=succeed)


def state(host: str) -> dict[str, str]:
    """Answers to all questions, in one look."""
    script = "".join(f"echo '=== {name}'; {question}\n" for name, question in QUESTIONS.items())
    text = on(host, f"sudo sh <<'END'\n{script}END\n")
    parts = re.split(r"^=== (\w+)\n", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def sysctls(host: str) -> dict[str, str]:
    lines = on(host, f"sudo {SYSCTLS}").splitlines()
    pairs = (line.split(" = ", 1) for line in lines if " = " in line)
    return {pair[0]: pair[1] for pair in pairs if not MOVING.search(pair[0])}


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ResetRig]:
    rig = ResetRig(LAB, tmp_path_factory.mktemp("cluster"))
    with lab(rig):
        for host in HOSTS:
            on(host, RULES)
            rig.before[host] = state(host)
            rig.sysctls[host] = sysctls(host)
        yield rig


def test_while_one_run_works_a_second_one_from_elsewhere_is_refused_and_told_by_whom(rig: ResetRig) -> None:
    apply = rig.begun("apply", "--yes")
    begun = "sudo test -e /run/provision/lock-cluster && sudo ls /var/lib/provision/before && echo yes"
    wait_for(
        "the lock is held and there is something to reset", lambda: bool(on("cp1", begun, succeed=False)), 120
    )

    done = rig.provision("reset", "--yes", "--force", desk="elsewhere")
    early = (done.returncode, done.stderr)
    held = f"{KUBECTL} -n kube-system get pods 2>/dev/null | grep -q kube-controller-manager"
    wait_for("an API server answers", lambda: not on("cp1", f"{held} || echo no", succeed=False), SEEN_LIMIT)
    second = rig.provision("apply", "--yes", desk="elsewhere")

    assert apply.wait(LIMIT) == 0, rig.said("apply")
    for code, said in (early, (second.returncode, second.stderr)):
        assert code == 1, said
        assert re.search(r"is being worked on: \w+@\S+, `provision apply.*`, process \d+, since 20", said)


def test_tokens_are_made_for_a_join_listed_without_their_secret_and_deleted(rig: ResetRig) -> None:
    command = rig.provision("token", "create", "--ttl", "5m", "--print-join-command").stdout
    found = re.search(r"--token (\w{6})\.(\w{16}) --discovery-token-ca-cert-hash sha256:\w{64}", command)
    assert found, command

    listed = json.loads(rig.provision("token", "list", "-o", "json").stdout)["tokens"]
    deleted = rig.provision("token", "delete", found[1]).stdout

    assert [token["id"] for token in listed] == [found[1]]
    assert found[2] not in json.dumps(listed)
    assert 0 < listed[0]["seconds"] <= 300
    assert deleted == f"{found[1]}: deleted\n"
    assert json.loads(rig.provision("token", "list", "-o", "json").stdout)["tokens"] == []
    for host in HOSTS:
        assert on(host, f"sudo journalctl --no-pager | grep -c {found[2]}; true").strip() == "0"


def test_nothing_to_do_needs_no_lock(rig: ResetRig) -> None:
    done = rig.provision("apply", "--yes")

    assert "nothing to do" in done.stdout
    assert on("cp1", f"{KUBECTL} -n kube-system get leases -o name").count("provision") == 0


def test_a_reset_that_gets_a_signal_at_each_step_goes_on_where_it_was(rig: ResetRig) -> None:
    struck_in_turn(rig, signals(("reset-workers", "reset-last-control-plane"), SIGNALS[0]), "reset")

    assert not rig.kubeconfig.exists()


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("what", QUESTIONS)
def test_a_host_is_as_it_was_before_us(rig: ResetRig, host: str, what: str) -> None:
    now = _state_after(rig, host)[what].splitlines()

    before = rig.before[host][what].splitlines()

    assert [line for line in now if line not in before] == []
    assert [line for line in before if line not in now] == []


_after: dict[str, dict[str, str]] = {}


def _state_after(rig: ResetRig, host: str) -> dict[str, str]:
    del rig
    if host not in _after:
        _after[host] = state(host)
    return _after[host]


@pytest.mark.parametrize("host", HOSTS)
def test_kernel_parameters_are_as_they_were(rig: ResetRig, host: str) -> None:
    now, before = sysctls(host), rig.sysctls[host]

    assert {name: now[name] for name in now.keys() & before.keys() if now[name] != before[name]} == {}


def test_a_second_reset_has_nothing_to_do(rig: ResetRig) -> None:
    done = rig.provision("reset", "--yes")

    assert done.returncode == 0
    assert "nothing to do" in done.stdout


def test_ctrl_c_in_the_middle_of_a_join_leaves_no_token(rig: ResetRig) -> None:
    apply = rig.begun("apply", "--yes")
    listed = f"{KUBECTL} -n kube-system get secrets -o name 2>/dev/null | grep bootstrap-token"
    joins = f"{listed} && {KUBECTL} get nodes -o name | grep -q cp1"
    joining = "pgrep -f '^kubeadm join' > /dev/null && echo yes"
    wait_for("w1 joins", lambda: on("w1", joining, succeed=False) == "yes\n", SEEN_LIMIT)
    assert on("cp1", joins, succeed=False)

    os.killpg(apply.pid, signal.SIGINT)

    assert apply.wait(120) == 130, rig.said("apply")
    assert on("cp1", listed, succeed=False) == ""
    assert on("cp1", f"{KUBECTL} -n kube-system get leases -o name").count("provision") == 0


def test_the_machines_make_a_new_cluster_at_once(rig: ResetRig) -> None:
    done = rig.provision("apply", "--yes")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 2 nodes Ready" in done.stdout
    assert "smoke test passed" in done.stdout
    for host in HOSTS:
        assert "-A INPUT -s 198.51.100.7/32 -j DROP" in on(host, "sudo iptables-save")


def test_a_smoke_test_that_has_not_passed_is_done_again(rig: ResetRig) -> None:
    patch = '{"data":{"unproven":"true"}}'
    on("cp1", f"{KUBECTL} -n kube-system patch configmap provision --type=merge -p '{patch}'")

    assert rig.provision("plan").returncode == 2
    done = rig.provision("apply", "--yes")

    assert "smoke test passed" in done.stdout
    assert rig.provision("plan").returncode == 0


def test_one_host_is_drained_forgotten_and_reset_while_the_cluster_stays(rig: ResetRig) -> None:
    done = rig.provision("reset", "w1", "--yes")

    assert done.returncode == 0, done.stdout + done.stderr
    assert on("cp1", f"{KUBECTL} get nodes -o name").split() == ["node/cp1"]
    assert on("w1", "cat /proc/swaps").count("\n") == 2
    assert rig.kubeconfig.exists()
