"""A cluster on lab machines: created despite `kill -9`, an apply without changes, a reboot, a lost host.

All tests use one lab of a control plane and a worker; the tests run in order and build on each other.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from provision.lab import machines

from .lab_cluster import KUBECTL, LOGINS, LabCluster, running_lab, wait_for

pytestmark = pytest.mark.lab

LAB = "test-cluster"
HOSTS = ("cp1", "w1")
READY_TIMEOUT = 420  # seconds
TOKEN = re.compile(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b")

# What a run without changes must not change: files of /etc, start times of units, versions of the ConfigMaps.
FINGERPRINT = f"""
sudo find /etc /var/lib/kubelet/config.yaml -xdev -type f -print0 | sort -z | sudo xargs -0 sha256sum
systemctl show -p ActiveEnterTimestampMonotonic containerd kubelet
test ! -e /etc/kubernetes/admin.conf || {KUBECTL} get configmaps -A -o \\
  jsonpath='{{range .items[*]}}{{.metadata.namespace}}/{{.metadata.name}} {{.metadata.resourceVersion}}{{"\\n"}}{{end}}'
"""


@dataclass
class TokenCluster(LabCluster):
    """`tokens`: the bootstrap tokens found during interrupted joins."""

    tokens: set[str] = field(default_factory=set)


def on(host: str, script: str, *, succeed: bool = True) -> str:
    return LabCluster(LAB, Path()).on(host, script, succeed=succeed)


def runs_kubeadm(host: str, verb: str, file: str) -> bool:
    """Whether kubeadm runs on the host and has created the file."""
    script = f"pgrep -f '^kubeadm {verb}' > /dev/null && sudo test -e {file} && echo yes"
    return on(host, script, succeed=False).strip() == "yes"


def all_nodes_are_ready() -> bool:
    text = on("cp1", f"{KUBECTL} get nodes --no-headers", succeed=False)
    return len(re.findall(r"^\S+\s+Ready\s", text, re.MULTILINE)) == len(HOSTS)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenCluster]:
    cluster = TokenCluster(LAB, tmp_path_factory.mktemp("cluster"))
    with running_lab(cluster):
        yield cluster


def test_check_has_no_findings_and_changes_nothing(cluster: TokenCluster) -> None:
    before = [on(host, FINGERPRINT) for host in HOSTS]

    done = cluster.provision("check")

    assert done.returncode == 0, done.stderr
    assert [on(host, FINGERPRINT) for host in HOSTS] == before


def test_plan_of_new_hosts_contains_all_steps(cluster: TokenCluster) -> None:
    done = cluster.provision("plan", "-o", "json")

    assert done.returncode == 2, done.stderr
    steps = {step["name"]: step for step in json.loads(done.stdout)["steps"]}
    assert next(iter(steps)) == "prepare-hosts"
    assert {"init-control-plane", "install-network", "join-workers", "wait-ready"} <= steps.keys()
    assert any("/swapfile" in reason["what"] for reason in steps["prepare-hosts"]["reasons"])


def test_apply_is_killed_during_kubeadm_init(cluster: TokenCluster) -> None:
    cluster.kill_when(
        "init",
        lambda _: runs_kubeadm("cp1", "init", "/etc/kubernetes/manifests/etcd.yaml"),
        "apply",
        "--yes",
    )

    assert "init-control-plane" in cluster.output("interrupted")


def test_apply_is_killed_during_kubeadm_join(cluster: TokenCluster) -> None:
    cluster.kill_when("join", lambda _: runs_kubeadm("w1", "join", "/run/provision"), "apply", "--yes")

    secrets = on("cp1", f"{KUBECTL} -n kube-system get secrets -o json", succeed=False)
    cluster.tokens |= bootstrap_tokens(secrets)
    assert cluster.tokens, "the token of the interrupted join was not found"


def test_apply_completes_the_cluster_after_both_kills(cluster: TokenCluster) -> None:
    done = cluster.provision("apply", "--yes")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 2 nodes Ready" in done.stdout
    assert "smoke test passed" in done.stdout
    assert all_nodes_are_ready()


def test_no_bootstrap_token_is_left_in_the_cluster_or_in_files_and_logs(cluster: TokenCluster) -> None:
    secrets = on("cp1", f"{KUBECTL} -n kube-system get secrets -o json")
    needles = sorted(token.partition(".")[2] for token in cluster.tokens)
    search = "|".join(needles)
    paths = "/etc /home /root /run /tmp /var/log /var/lib/provision /var/lib/kubelet/config.yaml"
    script = (
        f"sudo grep -rslE '{search}' {paths} --exclude-dir=containers --exclude-dir=journal; "
        f"sudo journalctl --no-pager | grep -E '{search}' | grep -v COMMAND=; "
        f"ps -eo args | grep -E '{search}' | grep -v grep; true"
    )

    assert needles
    assert not bootstrap_tokens(secrets)
    for host in HOSTS:
        assert on(host, script) == ""
    local = [cluster.directory, Path.home() / ".local" / "state" / "provision" / "runs"]
    texts = {
        path: path.read_text(errors="replace")
        for directory in local
        for path in directory.rglob("*")
        if path.is_file()
    }
    assert [path for path, text in texts.items() if any(needle in text for needle in needles)] == []
    assert not list(Path("/dev/shm").glob("provision-run-*"))  # noqa: S108  (read only)


def bootstrap_tokens(secrets: str) -> set[str]:
    """`id.secret` of every bootstrap token in kubectl's list of Secrets."""
    import base64  # noqa: PLC0415

    found = set()
    for item in json.loads(secrets or '{"items": []}')["items"]:
        if item["type"] == "bootstrap.kubernetes.io/token":
            data = {
                name: base64.b64decode(item["data"][name]).decode() for name in ("token-id", "token-secret")
            }
            found.add(f"{data['token-id']}.{data['token-secret']}")
    return found


def test_a_second_apply_changes_nothing_and_logs_in_once_per_host(cluster: TokenCluster) -> None:
    before = [on(host, FINGERPRINT) for host in HOSTS]
    logins = [int(on(host, LOGINS)) for host in HOSTS]

    done = cluster.provision("apply", "--yes")

    logins_after = [int(on(host, LOGINS)) for host in HOSTS]
    assert done.returncode == 0, done.stderr
    assert "nothing to do" in done.stdout
    assert [on(host, FINGERPRINT) for host in HOSTS] == before
    # One login by apply, one by the second count.
    assert [after - first for first, after in zip(logins, logins_after, strict=True)] == [2, 2]


def test_plan_of_a_finished_cluster_is_empty_and_exits_with_0(cluster: TokenCluster) -> None:
    done = cluster.provision("plan")

    assert (done.returncode, "nothing to do" in done.stdout) == (0, True), done.stdout


def test_status_is_healthy_and_without_drift(cluster: TokenCluster) -> None:
    done = cluster.provision("status", "-o", "json")

    status = json.loads(done.stdout)
    assert (status["healthy"], status["drift"]) == (True, [])
    assert {node["name"] for node in status["nodes"] if node["ready"]} == set(HOSTS)


def test_the_kubeconfig_works_outside_the_hosts_and_is_private(cluster: TokenCluster) -> None:
    assert cluster.kubectl("get", "nodes", "-o", "name").split() == ["node/cp1", "node/w1"]
    assert cluster.kubeconfig.stat().st_mode & 0o777 == 0o600


def test_host_preparation_persists_and_the_node_becomes_ready_after_a_reboot(cluster: TokenCluster) -> None:
    boot = on("w1", "cat /proc/sys/kernel/random/boot_id")
    on("w1", "sudo systemctl reboot", succeed=False)
    wait_for("w1 has rebooted", lambda: boot_id("w1") not in ("", boot), READY_TIMEOUT)

    assert on("w1", "cat /proc/swaps").count("\n") == 1
    assert on(
        "w1", "cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/bridge/bridge-nf-call-iptables"
    ).split() == ["1", "1"]
    assert on("w1", "lsmod | grep -cE '^(overlay|br_netfilter|nf_conntrack) '").strip() == "3"
    wait_for("w1 runs its pods and is Ready", all_nodes_are_ready, READY_TIMEOUT)
    wait_for("the plan is empty", lambda: cluster.provision("plan").returncode == 0, READY_TIMEOUT)


def boot_id(host: str) -> str:
    return on(host, "cat /proc/sys/kernel/random/boot_id", succeed=False)


def test_a_lost_host_is_named_within_ten_seconds_and_nothing_is_changed(cluster: TokenCluster) -> None:
    before = on("cp1", FINGERPRINT)
    machines.power_off(LAB, "w1")

    started = time.monotonic()
    done = cluster.provision("apply", "--yes")
    seconds = time.monotonic() - started

    machines.power_on(LAB, "w1")
    assert done.returncode == 5, done.stderr
    assert "w1" in done.stderr
    assert seconds < 15, "10 s for the host, plus the start of the program"
    assert on("cp1", FINGERPRINT) == before
