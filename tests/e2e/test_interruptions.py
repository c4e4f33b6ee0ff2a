"""The interruption table: a verb is stopped at each of its steps, typed again, and ends as if nobody had disturbed it.

A cluster of cp1 and w1 is made on a lab with one more machine, w2, which is added and removed without end. What is
compared afterwards: nodes, ConfigMaps, Secrets, leases, the cluster file, and on each host its files, packages,
units and kernel settings. The state to compare with comes from an add and a removal that nobody disturbed.

Or a machine loses its power or its network in the middle of a step.

By default each step is struck once, by one signal after the other; `--every-interruption` sends each signal at each
step.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import pytest
import yaml

from provision.lab import machines

from .rig import KUBECTL, LIMIT, Rig, lab, wait_for, without

pytestmark = [pytest.mark.lab, pytest.mark.life]

LAB = "test-stops"
HOSTS = ("cp1", "w1", "w2")
ADD_STEPS = (
    "prepare-hosts",
    "install-containerd",
    "install-kubernetes",
    "pull-images",
    "join-workers",
    "wait-ready",
    "smoke-test",
)
REMOVE_STEPS = ("drain-nodes", "delete-nodes", "reset-hosts")
SIGNALS = ("SIGKILL", "SIGINT", "SIGTERM")
INTO = 1.5  # seconds from the beginning of a step to the signal: it has begun to change something

# On a host: every file that configures something, with its owner and mode; packages; units; swap; sysctls of ours.
HOST_STATE = r"""
sudo find /etc /usr/local -xdev -type f ! -path '/etc/cni/net.d/calico-kubeconfig' ! -path '/etc/kubernetes/*.conf' \
  ! -path '/etc/kubernetes/pki/*' -printf '%p %u %m\n' | sort
sudo find /etc /usr/local -xdev -type f ! -path '/etc/cni/net.d/calico-kubeconfig' ! -path '/etc/kubernetes/*.conf' \
  ! -path '/etc/kubernetes/pki/*' -print0 | sort -z | sudo xargs -0 sha256sum
sudo find /etc/kubernetes /var/lib/provision /var/lib/kubelet -maxdepth 2 ! -path '*/pods/*' ! -path '*plugin*' \
  ! -path '*/checkpoints*' ! -path '*/device-plugins*' ! -path '*/pki/kubelet-client-*' -printf '%p %y\n' | sort
dpkg-query --show --showformat='${Package} ${Version} ${Status}\n'
systemctl list-unit-files --no-legend --state=enabled,masked | sort
cut -d' ' -f1 /proc/swaps
sysctl net.ipv4.ip_forward net.bridge 2>/dev/null
ps -eo comm= | grep -E '^(kube|containerd$)' | sort
"""
# In the cluster: what exists, and what our own ConfigMap says.
CLUSTER_STATE = f"""
{KUBECTL} get nodes --no-headers -o custom-columns=N:.metadata.name,T:.spec.taints,U:.spec.unschedulable
{KUBECTL} get configmaps,secrets -A -o name | sort
{KUBECTL} -n kube-system get leases -o name | grep -v apiserver- | sort
{KUBECTL} -n kube-system get configmap provision kubeadm-config -o jsonpath='{{.items[*].data}}'
{KUBECTL} get namespaces --field-selector status.phase=Active -o name
"""


@dataclass
class StopRig(Rig):
    """`present` and `absent`: everything that is compared, with w2 in the cluster and without it."""

    words: tuple[str, ...] = ()
    present: dict[str, list[str]] = field(default_factory=dict)
    absent: dict[str, list[str]] = field(default_factory=dict)

    def state(self) -> dict[str, list[str]]:
        found = {host: self.on(host, HOST_STATE).splitlines() for host in HOSTS}
        found["cluster"] = self.on("cp1", CLUSTER_STATE).splitlines()
        found["file"] = self.file.read_text().splitlines()
        return found

    def add(self) -> subprocess.CompletedProcess[str]:
        return self.provision("node", "add", *self.words, "--yes")

    def remove(self) -> subprocess.CompletedProcess[str]:
        return self.provision("node", "remove", "w2", "--yes")

    def struck(self, blow: Blow, *arguments: str) -> None:
        """Start a command and strike a moment after the step began; what it says at its end has to be to the point.

        A machine that was lost is there again afterwards.
        """
        words = (*arguments, "--yes", "-o", "json")
        try:
            code, said = self.struck_when(
                f"{blow.step} begins", began(blow.step), blow.strike, *words, later=INTO
            )
        finally:
            blow.mend()
        if blow.how == "SIGKILL":
            assert code in {0, -signal.SIGKILL}, said
            return
        last = last_event(said)
        if blow.host:
            assert code in {1, 5}, last
            assert blow.host in last["message"], last
            assert last["fix"], last
        else:
            assert code in {0, 130}, last
            assert code == 0 or is_interrupted(last, f"provision {' '.join(arguments[:3])}"), last


@dataclass(frozen=True)
class Blow:
    """What happens in the middle of a step: a signal to the run, or `host` loses its "plug" or its "cable"."""

    step: str
    how: str
    host: str = ""

    def strike(self, process: subprocess.Popen[bytes]) -> None:
        if self.how == "plug":
            machines.power_off(LAB, self.host)
        elif self.how == "cable":
            machines.disconnect(LAB, self.host)
        else:
            os.killpg(process.pid, signal.Signals[self.how])

    def mend(self) -> None:
        if self.host:
            (machines.power_on if self.how == "plug" else machines.connect)(LAB, self.host)
            machines.wait_until_reachable(LAB, [self.host])

    def __str__(self) -> str:
        return f"{self.host + ' ' if self.host else ''}{self.how} in {self.step}"


def last_event(said: str) -> dict[str, Any]:
    """The last of a run's events; lines for people stand beside them."""
    event: dict[str, Any] = json.loads([line for line in said.splitlines() if line.startswith("{")][-1])
    return event


def is_interrupted(event: dict[str, Any], again: str) -> bool:
    """Whether the event says that the run was interrupted, and by which command it goes on."""
    return (event["event"], event.get("exit_code")) == ("error", 130) and again in event["fix"]


def began(step: str) -> Callable[[str], bool]:
    """Whether a run that tells its events has begun that step."""
    event = re.compile(rf'"event": "step-started".*"step": "{step}"')
    return lambda said: event.search(said) is not None


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StopRig]:
    rig = StopRig(LAB, tmp_path_factory.mktemp("stops"))
    with lab(rig, "--workers", "2", "--memory", "2048"):
        text = rig.file.read_text()
        w2 = next(host for host in yaml.safe_load(text)["hosts"] if host["name"] == "w2")
        rig.words = ("w2", f"lab@{w2['address']}", "--host-key", f"w2={w2['host_key']}")
        rig.file.write_text(without(text, "w2"))
        assert rig.provision("apply", "--yes").returncode == 0
        # Once there and back first: what leaves for good, as module dependencies, has left then.
        assert rig.add().returncode == 0
        settle(rig)
        rig.present = rig.state()
        assert rig.remove().returncode == 0
        settle(rig)
        rig.absent = rig.state()
        yield rig


def settle(rig: StopRig) -> None:
    wait_for("nothing is left to do", lambda: rig.provision("plan").returncode == 0, LIMIT)


def compared(now: dict[str, list[str]], expected: dict[str, list[str]]) -> dict[str, list[str]]:
    """Lines that differ, by where."""
    differing = {
        place: [f"- {line}" for line in expected[place] if line not in lines]
        + [f"+ {line}" for line in lines if line not in expected[place]]
        for place, lines in now.items()
    }
    return {place: lines for place, lines in differing.items() if lines}


# w2 is the machine that comes and goes, cp1 the only control plane.
ADD_BLOWS = (
    *(Blow(step, how) for step in ADD_STEPS for how in SIGNALS),
    Blow("install-kubernetes", "plug", "w2"),
    Blow("join-workers", "cable", "w2"),
    Blow("join-workers", "plug", "cp1"),
    Blow("wait-ready", "cable", "cp1"),
)
REMOVE_BLOWS = (
    *(Blow(step, how) for step in REMOVE_STEPS for how in SIGNALS),
    Blow("drain-nodes", "plug", "cp1"),
    Blow("drain-nodes", "cable", "w2"),
    Blow("reset-hosts", "plug", "w2"),
    Blow("reset-hosts", "cable", "w2"),
)
# Each step once, by one signal after the other; and each loss of a machine.
EACH_STEP = (
    *(Blow(step, how) for step, how in zip(ADD_STEPS, cycle(SIGNALS), strict=False)),
    *(blow for blow in ADD_BLOWS if blow.host),
)
EACH_REMOVAL = (
    *(Blow(step, how) for step, how in zip(REMOVE_STEPS, cycle(SIGNALS), strict=False)),
    *(blow for blow in REMOVE_BLOWS if blow.host),
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "coming" in metafunc.fixturenames:
        every = metafunc.config.getoption("--every-interruption")
        adds, removals = (ADD_BLOWS, REMOVE_BLOWS) if every else (EACH_STEP, EACH_REMOVAL)
        metafunc.parametrize(("coming", "leaving"), tuple(zip(adds, cycle(removals), strict=False)), ids=str)


def test_a_verb_that_is_struck_goes_on_when_it_is_typed_again(
    rig: StopRig, coming: Blow, leaving: Blow
) -> None:
    rig.struck(coming, "node", "add", *rig.words)
    added = rig.add()
    assert added.returncode == 0, added.stdout + added.stderr
    settle(rig)
    assert compared(rig.state(), rig.present) == {}

    rig.struck(leaving, "node", "remove", "w2")
    removed = rig.remove()
    assert removed.returncode == 0, removed.stdout + removed.stderr
    settle(rig)
    assert compared(rig.state(), rig.absent) == {}


def test_what_a_stopped_run_says_is_in_its_journal(rig: StopRig) -> None:
    words = ("node", "add", *rig.words, "--yes", "-o", "json")
    step = "install-kubernetes"
    _, said = rig.stopped_when(f"{step} begins", began(step), *words, how=signal.SIGINT, later=INTO)

    assert is_interrupted(last_event(said), "provision node add w2"), said[-3000:]
    assert rig.add().returncode == 0
    assert rig.remove().returncode == 0
