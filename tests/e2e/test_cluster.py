"""The whole way on real machines: a cluster made in spite of `kill -9`, then nothing to do, a reboot, a lost host.

One lab of a control plane and a worker serves the module; the tests build on each other in the order they stand in.
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

from .rig import KUBECTL, LOGINS, Rig, lab, wait_for

pytestmark = pytest.mark.lab

LAB = "test-cluster"
HOSTS = ("cp1", "w1")
READY_LIMIT = 420  # seconds
TOKEN = re.compile(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b")

# What must not change: every file of /etc, when the units were started, the versions of the cluster's ConfigMaps.
FINGERPRINT = f"""
sudo find /etc /var/lib/kubelet/config.yaml -xdev -type f -print0 | sort -z | sudo xargs -0 sha256sum
systemctl show -p ActiveEnterTimestampMonotonic containerd kubelet
test ! -e /etc/kubernetes/admin.conf || {KUBECTL} get configmaps -A -o \\
  jsonpath='{{range .items[*]}}{{.metadata.namespace}}/{{.metadata.name}} {{.metadata.resourceVersion}}{{"\\n"}}{{end}}'
"""


@dataclass
class ClusterRig(Rig):
    """`tokens`: the bootstrap tokens that were seen."""

    tokens: set[str] = field(default_factory=set)


def on(host: str, script: str, *, succeed: bool = True) -> str:
    return Rig(LAB, Path()).on(host, script, succeed=succeed)


def runs_kubeadm(host: str, verb: str, landmark: str) -> bool:
    """Whether kubeadm is at work there and has come to the point where that file exists."""
    script = f"pgrep -f '^kubeadm {verb}' > /dev/null && sudo test -e {landmark} && echo yes"
    return on(host, script, succeed=False).strip() == "yes"


def all_ready() -> bool:
    text = on("cp1", f"{KUBECTL} get nodes --no-headers", succeed=False)
    return len(re.findall(r"^\S+\s+Ready\s", text, re.MULTILINE)) == len(HOSTS)


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterRig]:
    rig = ClusterRig(LAB, tmp_path_factory.mktemp("cluster"))
    with lab(rig):
        yield rig


def test_check_finds_nothing_to_mend_and_changes_nothing(rig: ClusterRig) -> None:
    before = [on(host, FINGERPRINT) for host in HOSTS]

    done = rig.provision("check")

    assert done.returncode == 0, done.stderr
    assert [on(host, FINGERPRINT) for host in HOSTS] == before


def test_plan_says_that_everything_is_to_be_done(rig: ClusterRig) -> None:
    done = rig.provision("plan", "-o", "json")

    assert done.returncode == 2, done.stderr
    steps = {step["name"]: step for step in json.loads(done.stdout)["steps"]}
    assert next(iter(steps)) == "prepare-hosts"
    assert {"init-control-plane", "install-network", "join-workers", "wait-ready"} <= steps.keys()
    assert any("/swapfile" in reason["what"] for reason in steps["prepare-hosts"]["reasons"])


def test_apply_killed_in_the_middle_of_init_is_refused_nothing_the_next_time(rig: ClusterRig) -> None:
    rig.stopped_when(
        "init",
        lambda _: runs_kubeadm("cp1", "init", "/etc/kubernetes/manifests/etcd.yaml"),
        "apply",
        "--yes",
    )

    assert "init-control-plane" in rig.said("struck")


def test_apply_killed_in_the_middle_of_a_join_is_refused_nothing_the_next_time(rig: ClusterRig) -> None:
    rig.stopped_when("join", lambda _: runs_kubeadm("w1", "join", "/run/provision"), "apply", "--yes")

    secrets = on("cp1", f"{KUBECTL} -n kube-system get secrets -o json", succeed=False)
    rig.tokens |= bootstrap_tokens(secrets)
    assert rig.tokens, "the token of the join that was cut off was not seen"


def test_apply_after_both_kills_ends_with_ready_nodes_and_a_passed_smoke_test(rig: ClusterRig) -> None:
    done = rig.provision("apply", "--yes")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 2 nodes Ready" in done.stdout
    assert "smoke test passed" in done.stdout
    assert all_ready()


def test_nothing_is_left_of_any_token(rig: ClusterRig) -> None:
    """No bootstrap token in the cluster, and those that were used are in no file, log or process list."""
    secrets = on("cp1", f"{KUBECTL} -n kube-system get secrets -o json")
    needles = sorted(token.partition(".")[2] for token in rig.tokens)
    search = "|".join(needles)
    places = "/etc /home /root /run /tmp /var/log /var/lib/provision /var/lib/kubelet/config.yaml"
    script = (
        f"sudo grep -rslE '{search}' {places} --exclude-dir=containers --exclude-dir=journal; "
        f"sudo journalctl --no-pager | grep -E '{search}' | grep -v COMMAND=; "
        f"ps -eo args | grep -E '{search}' | grep -v grep; true"
    )

    assert needles
    assert not bootstrap_tokens(secrets)
    for host in HOSTS:
        assert on(host, script) == ""
    ours = [rig.directory, Path.home() / ".local" / "state" / "provision" / "runs"]
    texts = {
        path: path.read_text(errors="replace")
        for place in ours
        for path in place.rglob("*")
        if path.is_file()
    }
    assert [path for path, text in texts.items() if any(needle in text for needle in needles)] == []
    assert not list(Path("/dev/shm").glob("provision-run-*"))  # noqa: S108  (looked at, not written)


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


def test_a_second_apply_has_nothing_to_do_and_looks_once_at_each_host(rig: ClusterRig) -> None:
    before = [on(host, FINGERPRINT) for host in HOSTS]
    logins = [int(on(host, LOGINS)) for host in HOSTS]

    done = rig.provision("apply", "--yes")

    again = [int(on(host, LOGINS)) for host in HOSTS]
    assert done.returncode == 0, done.stderr
    assert "nothing to do" in done.stdout
    assert [on(host, FINGERPRINT) for host in HOSTS] == before
    # Each of our own looks is a login too: one for the fingerprint's end, one for the count itself.
    assert [after - first for first, after in zip(logins, again, strict=True)] == [2, 2]


def test_plan_of_a_finished_cluster_is_empty_and_says_so_by_its_exit_code(rig: ClusterRig) -> None:
    done = rig.provision("plan")

    assert (done.returncode, "nothing to do" in done.stdout) == (0, True), done.stdout


def test_status_is_healthy_and_without_drift(rig: ClusterRig) -> None:
    done = rig.provision("status", "-o", "json")

    status = json.loads(done.stdout)
    assert (status["healthy"], status["drift"]) == (True, [])
    assert {node["name"] for node in status["nodes"] if node["ready"]} == set(HOSTS)


def test_the_kubeconfig_beside_the_file_works_from_outside_and_is_private(rig: ClusterRig) -> None:
    assert rig.kubectl("get", "nodes", "-o", "name").split() == ["node/cp1", "node/w1"]
    assert rig.kubeconfig.stat().st_mode & 0o777 == 0o600


def test_after_a_reboot_the_preparation_holds_and_the_node_comes_back(rig: ClusterRig) -> None:
    boot = on("w1", "cat /proc/sys/kernel/random/boot_id")
    on("w1", "sudo systemctl reboot", succeed=False)
    wait_for("w1 has booted anew", lambda: boot_of("w1") not in ("", boot), READY_LIMIT)

    assert on("w1", "cat /proc/swaps").count("\n") == 1
    assert on(
        "w1", "cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/bridge/bridge-nf-call-iptables"
    ).split() == ["1", "1"]
    assert on("w1", "lsmod | grep -cE '^(overlay|br_netfilter|nf_conntrack) '").strip() == "3"
    wait_for("w1 runs its pods and is Ready", all_ready, READY_LIMIT)
    wait_for("nothing is left to do", lambda: rig.provision("plan").returncode == 0, READY_LIMIT)


def boot_of(host: str) -> str:
    return on(host, "cat /proc/sys/kernel/random/boot_id", succeed=False)


def test_a_lost_host_is_named_within_ten_seconds_and_nothing_is_touched(rig: ClusterRig) -> None:
    before = on("cp1", FINGERPRINT)
    machines.power_off(LAB, "w1")

    started = time.monotonic()
    done = rig.provision("apply", "--yes")
    seconds = time.monotonic() - started

    machines.power_on(LAB, "w1")
    assert done.returncode == 5, done.stderr
    assert "w1" in done.stderr
    assert seconds < 15, "10 s for the host, and the start of the program"
    assert on("cp1", FINGERPRINT) == before
