"""The lab with real machines: their state, what survives reboots, and that `down` leaves nothing."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from provision.config import kubeadm_only, load
from provision.lab import machines, network, processes
from provision.lab.machines.uml import UserModeLinux
from provision.lab.state import lab_directory, labs_root
from provision.lab.versions import lab_versions

pytestmark = pytest.mark.lab

ONE, TWO, CRASHED = "test-lab", "test-lab-two", "test-lab-crash"
SMALL = ("--memory", "640")  # MiB; nothing is installed on these machines
BOOT = 300  # seconds
POINTS = (
    "provision.lab.lab.ensure_identity",
    "provision.lab.lab.network.ensure",
    "provision.lab.lab.mirror.start",
    "provision.lab.lab.machines.start_all",
    "provision.lab.processes.spawn",
    "provision.lab.lab.machines.wait_until_reachable",
)
CRASH = """
import importlib, os, signal, sys
from provision.lab.lab import LabRequest, up
place, name = sys.argv[1].rsplit(".", 1)
head, *rest = place.removeprefix("provision.lab.").split(".")
owner = importlib.import_module(f"provision.lab.{head}")
for part in rest:
    owner = getattr(owner, part)
real = getattr(owner, name)
def crash(*arguments, **named):
    if sys.argv[2] == "after":
        real(*arguments, **named)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(owner, name, crash)
up(LabRequest(sys.argv[3], 1, 0, 640), print)
"""


def lab(*arguments: str, succeed: bool = True, **named: object) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "provision", "lab", *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=BOOT, **named)  # type: ignore[call-overload]
    if succeed:
        assert done.returncode == 0, done.stderr
    return done  # type: ignore[no-any-return]


def on(host: str, script: str, name: str = ONE) -> str:
    return lab("ssh", host, "--name", name, "--", script).stdout.strip()


def resources(name: str) -> list[str]:
    """Everything on this computer that belongs to the lab."""
    place = str(lab_directory(name).path)
    found = [str(path) for path in labs_root().glob(f"*{name}*") if path.name in {name, f".{name}.lock"}]
    found += [
        line for line in Path("/proc/mounts").read_text().splitlines() if f"provision-lab-{name} " in line
    ]
    found += [str(path) for path in Path("/run/netns").glob(f"provision-lab-{name}")]
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                line = (process / "cmdline").read_bytes().decode(errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue
            found += [line] if f"{place}/" in line else []
    return found


def machines_of(name: str) -> list[dict[str, object]]:
    labs = json.loads(lab("status", "-o", "json").stdout)
    (found,) = (one["machines"] for one in labs if one["name"] == name)
    return list(found)


def wait_for(what: str, condition: Callable[[], bool], seconds: float = BOOT) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.2)


def has_rebooted(host: str, boot: str) -> bool:
    """Whether the machine answers and runs another boot than that one."""
    ask = ("ssh", host, "--name", ONE, "--", "cat /proc/sys/kernel/random/boot_id")
    return lab(*ask, succeed=False).stdout.strip() not in {"", boot}


@pytest.fixture(scope="module", autouse=True)
def _lab() -> Iterator[None]:
    """A lab of one control plane and one worker; those of a killed run are taken down first."""
    for name in (ONE, TWO, CRASHED):
        lab("down", "--name", name)
    lab("up", "--name", ONE, *SMALL)
    yield
    for name in (ONE, TWO, CRASHED):
        lab("down", "--name", name)


def test_a_machine_looks_like_a_cloud_image() -> None:
    said = on("w1", "grep -c swapfile /proc/swaps /etc/fstab; lsmod; which containerd crictl kubeadm; whoami")

    assert "/proc/swaps:1" in said
    assert "/etc/fstab:1" in said
    assert said.endswith("lab")
    assert not any(
        word in said for word in ("br_netfilter", "overlay", "nf_conntrack", "containerd", "kubeadm")
    )
    assert on("w1", "sudo id -u; systemctl is-system-running; . /etc/os-release; echo $VERSION_CODENAME") == (
        "0\nrunning\ntrixie"
    )
    assert on("w1", "cat /etc/apt/sources.list; ls /etc/apt/sources.list.d") == ""


def test_root_logins_are_refused() -> None:
    done = lab("ssh", "cp1", "--name", ONE, "--", "true", succeed=False)
    config = lab_directory(ONE).ssh_config
    argv = [
        *network.enter_command(ONE),
        "ssh",
        "-F",
        str(config),
        "-o",
        "BatchMode=yes",
        "-l",
        "root",
        "cp1",
        "true",
    ]

    refused = subprocess.run(argv, capture_output=True, text=True, check=False)

    assert done.returncode == 0
    assert "Permission denied" in refused.stderr


def test_machines_are_different_machines() -> None:
    identity = (
        "cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub /etc/hostname /sys/class/net/eth0/address"
    )

    first, second = (on(host, identity).splitlines() for host in ("cp1", "w1"))

    assert all(one != other for one, other in zip(first, second, strict=True))


def test_connections_to_the_internet_fail_at_once() -> None:
    began = time.monotonic()
    said = on(
        "cp1", "curl --silent --show-error --max-time 60 http://198.51.100.1 2>&1; ip route show default"
    )

    assert "default via 192.168.77.1" in said
    assert "Could not connect" in said or "unreachable" in said
    assert time.monotonic() - began < 30


def test_the_lab_has_no_uplink() -> None:
    inside = lab("run", "--name", ONE, "--", "ip", "-json", "link").stdout
    routes = lab("run", "--name", ONE, "--", "ip", "route").stdout

    assert {link["ifname"] for link in json.loads(inside)} == {"lo", "br0", "tap-cp1", "tap-w1"}
    assert routes.splitlines() == ["192.168.77.0/24 dev br0 proto kernel scope link src 192.168.77.1 "]


def test_guests_can_reach_the_mirror() -> None:
    said = on("w1", "curl -sf http://192.168.77.1:5000/v2/_catalog && curl -sfI http://192.168.77.1:8080/")

    assert "kube-apiserver" in said


def test_whole_segments_reach_a_guest_that_has_just_booted() -> None:
    base = f"http://192.168.77.1:8080/core:/stable:/v{lab_versions().kubernetes.default}/deb"
    package = f"$(curl -sf {base}/Packages | sed -n 's/^Filename: //p' | head -1)"
    # A big file comes in segments of up to 64 KiB; the kernel counts those that it got in parts.
    said = on("w1", f"curl -sf --max-time 20 -o /dev/null {base}/{package} && nstat -az")

    assert re.search(r"^IpExtInTruncatedPkts +0 ", said, re.MULTILINE), said


def test_run_passes_directory_environment_and_exit_code_on(tmp_path: Path) -> None:
    done = lab(
        "run", "--name", ONE, "--", "sh", "-c", "pwd; echo $CANARY; kubectl version --client; exit 7",
        succeed=False, cwd=tmp_path, env={**os.environ, "CANARY": "sings"},
    )  # fmt: skip

    assert done.returncode == 7
    assert done.stdout.startswith(f"{tmp_path}\nsings\nClient Version: v1.")


def test_ssh_passes_the_exit_code_on() -> None:
    assert lab("ssh", "w1", "--name", ONE, "--", "exit 9", succeed=False).returncode == 9


def test_the_cluster_file_is_complete() -> None:
    cluster = kubeadm_only(load(lab_directory(ONE).cluster_file), "a lab").cluster

    assert [host.name for host in cluster.hosts] == ["cp1", "w1"]
    assert all(host.host_key for host in cluster.hosts)


def test_up_again_changes_nothing() -> None:
    directory = lab_directory(ONE)

    def everything() -> dict[str, object]:
        files = {str(path): path.read_bytes() for path in directory.path.glob("*") if path.is_file()}
        return {**files, "uptime": on("cp1", "cat /proc/sys/kernel/random/boot_id")}

    before = everything()

    done = lab("up", "--name", ONE)

    assert everything() == before
    assert "all machines run already" in done.stderr


def test_a_machines_own_changes_survive_reboot_and_loss_of_power() -> None:
    change = "echo 10.0.0.9 peer | sudo tee -a /etc/hosts; sudo hostnamectl hostname other-$(hostname); sync"
    look = "cat /etc/hostname; hostname; tail -1 /etc/hosts; cat /etc/machine-id; wc -l < /proc/swaps"
    boot = {host: on(host, "cat /proc/sys/kernel/random/boot_id") for host in ("cp1", "w1")}
    ids = {host: on(host, f"({change}) > /dev/null; cat /etc/machine-id") for host in ("cp1", "w1")}

    lab("ssh", "cp1", "--name", ONE, "--", "sudo systemctl reboot", succeed=False)
    machines.power_off(ONE, "w1")
    assert [one["running"] for one in machines_of(ONE) if one["name"] == "w1"] == [False]
    machines.power_on(ONE, "w1")

    for host in ("cp1", "w1"):
        wait_for(f"{host} is back", partial(has_rebooted, host, boot[host]))
        assert on(host, look).splitlines() == [
            f"other-{host}",
            f"other-{host}",
            "10.0.0.9 peer",
            ids[host],
            "2",
        ]


def test_a_second_lab_with_the_same_addresses_runs_beside_it() -> None:
    lab("up", "--name", TWO, "--workers", "0", *SMALL)
    lab("up", "--name", TWO)

    assert [one["name"] for one in machines_of(TWO)] == ["cp1"]
    mine, other = (on("cp1", "cat /etc/machine-id", name) for name in (ONE, TWO))
    lab("down", "--name", TWO)

    assert mine != other
    assert resources(TWO) == []
    assert on("cp1", "cat /etc/machine-id") == mine


def test_a_machine_whose_main_process_was_killed_is_off_and_starts_again() -> None:
    marker = UserModeLinux().marker(lab_directory(ONE).machine("w1"))
    found = processes.find(marker)
    if not found:
        pytest.skip("this lab runs under QEMU, where a machine is one process")
    os.kill(next(process.pid for process in found if process.is_leader), signal.SIGKILL)
    wait_for("w1 is off", lambda: not all(one["running"] for one in machines_of(ONE)))

    lab("up", "--name", ONE)

    assert on("w1", "hostname").endswith("w1")
    assert len({process.session for process in processes.find(marker)}) == 1


@pytest.mark.parametrize(
    ("point", "moment"), [(point, moment) for point in POINTS for moment in ("before", "after")][:-1]
)
def test_down_removes_what_a_killed_up_left(point: str, moment: str) -> None:
    done = subprocess.run([sys.executable, "-c", CRASH, point, moment, CRASHED], check=False, timeout=BOOT)
    assert done.returncode == -signal.SIGKILL

    lab("down", "--name", CRASHED)

    assert resources(CRASHED) == []


def test_up_completes_what_a_killed_up_began_and_down_leaves_nothing() -> None:
    point = "provision.lab.processes.spawn"
    subprocess.run([sys.executable, "-c", CRASH, point, "after", CRASHED], check=False, timeout=BOOT)
    assert resources(CRASHED)

    lab("up", "--name", CRASHED, "--workers", "0", *SMALL)

    assert on("cp1", "hostname", CRASHED) == "cp1"
    lab("down", "--name", CRASHED)
    assert resources(CRASHED) == []
    assert lab("down", "--name", CRASHED).stderr == f"there is no lab {CRASHED}\n"
