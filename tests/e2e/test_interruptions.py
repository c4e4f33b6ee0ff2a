"""The interruption table: a verb is stopped at each of its steps, typed again, and ends as if nobody had disturbed it.

A cluster of cp1 and w1 is made on a lab with one more machine, w2, which is added and removed without end. What is
compared afterwards: nodes, ConfigMaps, Secrets, leases, the cluster file, and on each host its files, packages,
units and kernel settings. The state to compare with comes from an add and a removal that nobody disturbed.

Or a machine loses its power or its network in the middle of a step.

By default one signal for each step, in turn; `--every-interruption` sends each signal at each step.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import cycle

import pytest
import yaml

from provision.lab import machines

from .rig import KUBECTL, LIMIT, Rig, lab, wait_for

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
SIGNALS = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
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

    def loses(self, host: str, cable: bool, step: str, *arguments: str) -> tuple[int, dict[str, str]]:  # noqa: FBT001
        """Pull a machine's plug or its network cable in the middle of a step, and put it back when the command is over.

        Returns the exit code and the last event.
        """
        pull, put = (
            (machines.disconnect, machines.connect) if cable else (machines.power_off, machines.power_on)
        )
        words = (*arguments, "--yes", "-o", "json")
        code, said = self.struck_when(
            f"{step} begins", began(step), lambda _: pull(LAB, host), *words, later=INTO
        )
        put(LAB, host)
        machines.wait_until_reachable(LAB, [host])
        return code, json.loads(said.splitlines()[-1])

    def stopped_in(self, step: str, how: signal.Signals, *arguments: str) -> int:
        """Start a command, send the signal a moment after the step began, and return its exit code."""
        words = (*arguments, "--yes", "-o", "json")
        return self.stopped_when(f"{step} begins", began(step), *words, how=how, later=INTO)[0]


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
        rig.file.write_text(re.sub(r"  - name: w2\n(?:    .*\n)+", "", text))
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


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "how" not in metafunc.fixturenames:
        return
    steps = ADD_STEPS if "add" in metafunc.function.__name__ else REMOVE_STEPS
    if metafunc.config.getoption("--every-interruption"):
        pairs = [(step, how) for step in steps for how in SIGNALS]
    else:
        pairs = list(zip(steps, cycle(SIGNALS), strict=False))
    metafunc.parametrize(("step", "how"), pairs, ids=lambda value: getattr(value, "name", value))


def _codes(how: signal.Signals) -> set[int]:
    """Exit codes of a run that was stopped, or came to its end before it could be."""
    return {0, -how if how is signal.SIGKILL else 130}


def test_an_add_that_is_stopped_goes_on_when_it_is_typed_again(
    rig: StopRig, step: str, how: signal.Signals
) -> None:
    code = rig.stopped_in(step, how, "node", "add", *rig.words)
    again = rig.add()

    assert code in _codes(how)
    assert again.returncode == 0, again.stdout + again.stderr
    settle(rig)
    differing = compared(rig.state(), rig.present)
    back = rig.remove()
    assert differing == {}
    assert back.returncode == 0, back.stdout + back.stderr
    assert compared(rig.state(), rig.absent) == {}


def test_a_removal_that_is_stopped_goes_on_when_it_is_typed_again(
    rig: StopRig, step: str, how: signal.Signals
) -> None:
    assert rig.add().returncode == 0

    code = rig.stopped_in(step, how, "node", "remove", "w2")
    again = rig.remove()

    assert code in _codes(how)
    assert again.returncode == 0, again.stdout + again.stderr
    settle(rig)
    assert compared(rig.state(), rig.absent) == {}


# A machine that works on the step, and the only control plane: which of them is lost, how, and in which step.
LOST_IN_ADD = (
    ("install-kubernetes", "w2", "plug"),
    ("join-workers", "w2", "cable"),
    ("join-workers", "cp1", "plug"),
    ("wait-ready", "cp1", "cable"),
)
LOST_IN_REMOVE = (
    ("drain-nodes", "cp1", "plug"),
    ("drain-nodes", "w2", "cable"),
    ("reset-hosts", "w2", "plug"),
    ("reset-hosts", "w2", "cable"),
)


@pytest.mark.parametrize(("step", "host", "what"), LOST_IN_ADD)
def test_a_machine_lost_in_the_middle_of_an_add_is_named_and_the_add_goes_on_later(
    rig: StopRig, step: str, host: str, what: str
) -> None:
    code, last = rig.loses(host, what == "cable", step, "node", "add", *rig.words)
    again = rig.add()

    assert code in {1, 5}, last
    assert host in last["message"], last
    assert last["fix"], last
    assert again.returncode == 0, again.stdout + again.stderr
    settle(rig)
    differing = compared(rig.state(), rig.present)
    assert rig.remove().returncode == 0
    assert differing == {}


@pytest.mark.parametrize(("step", "host", "what"), LOST_IN_REMOVE)
def test_a_machine_lost_in_the_middle_of_a_removal_is_named_and_the_removal_goes_on_later(
    rig: StopRig, step: str, host: str, what: str
) -> None:
    assert rig.add().returncode == 0

    code, last = rig.loses(host, what == "cable", step, "node", "remove", "w2")
    again = rig.remove()

    assert code in {1, 5}, last
    assert host in last["message"], last
    assert last["fix"], last
    assert again.returncode == 0, again.stdout + again.stderr
    settle(rig)
    assert compared(rig.state(), rig.absent) == {}


def test_what_a_stopped_run_says_is_in_its_journal(rig: StopRig) -> None:
    rig.stopped_in("install-kubernetes", signal.SIGINT, "node", "add", *rig.words)

    last = json.loads(rig.said("struck").splitlines()[-1])

    assert (last["event"], last["exit_code"]) == ("error", 130)
    assert "provision node add w2" in last["fix"]
    assert rig.add().returncode == 0
    assert rig.remove().returncode == 0
